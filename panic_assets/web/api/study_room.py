"""What the server knows of studies: the event store's rows while they train, and the lake's when they are compared.

Here belong finding both and putting them together, and keeping what was put together until something changes.
Everything here blocks: call it off the event loop.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from threading import Lock
from typing import Annotated, Any

import pyarrow as pa
from fastapi import Depends, Request

from panic_assets.lake import Lake
from panic_assets.live.store import NotThere
from panic_assets.reports.study.contents import TABLES, Study, measured_in, study_of
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, StudyRow, TrialRow
from panic_assets.studies.events.store import EventStore
from panic_assets.studies.from_lake import study_artifacts, study_metrics, study_model_runs, study_trials
from panic_assets.studies.records import FINAL
from panic_assets.studies.to_lake import as_table
from panic_assets.web.live import live_of

#: Comparisons that are kept drawn.
_KEPT = 16
Mark = tuple[int, ...]


@dataclass(frozen=True)
class Listed:
    """A study in a list: trials by state, when something last began or ended, and what its claim came to."""

    study: str
    description: str
    trials: dict[str, int]
    model_runs: int
    last: datetime | None
    sentence: str

    @property
    def is_running(self) -> bool:
        """Whether any of its trials is not over."""
        return any(count for state, count in self.trials.items() if state not in FINAL)


class StudyRoom:
    """The studies that an event store and a lake know."""

    def __init__(self, store: EventStore, lake: Lake) -> None:
        self.store, self.lake = store, lake
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[Mark, Any]] = OrderedDict()

    def mark(self, study: str) -> Mark:
        """Changes whenever a trial or a model run of the study does, or its tables in the lake; not with each epoch.

        Raises:
            NotThere: neither knows it.
        """
        changed = next((row.changed for row in self.store.studies() if row.study == study), 0)
        generations = [self.lake.generation(table, study) for table in TABLES]
        if not changed and not any(generations):
            raise NotThere("study", study)
        return (changed, *generations)

    def kept(self, study: str, what: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made anew only when the study has changed."""
        mark = self.mark(study)
        with self._lock:
            found = self._kept.get((study, what))
        if found is None or found[0] != mark:
            found = mark, make()
        with self._lock:
            self._kept[study, what] = found
            self._kept.move_to_end((study, what))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found[1]

    def listed(self) -> list[Listed]:
        """All studies that the event store or the lake has, that with the newest trial first."""
        known = {row.study: row for row in self.store.studies()}
        runs: dict[str, list[ModelRunRow]] = {}
        for run in self.store.model_runs():
            runs.setdefault(run.study, []).append(run)
        found = []
        for study in sorted({*known, *self.lake.studies("trials")}):
            own = runs.get(study) or study_model_runs(self.lake, study)
            row = known.get(study)
            counts = counted(row) if row else _by_state(study_trials(self.lake, study))
            times = [time for run in own for time in (run.started_at, run.finished_at) if time]
            described = next((str(told) for run in own if (told := (run.spec or {}).get("description"))), "")
            found.append(Listed(study, described, counts, len(own), max(times, default=None), self._sentence(study)))
        return sorted(found, key=lambda one: (one.last is None, -one.last.timestamp() if one.last else 0.0, one.study))

    def study(self, study: str) -> Study:
        """The study as it is shown: trials as the event store tells them, all that is measured from the lake.

        Raises:
            NotThere: neither knows it.
        """

        def made() -> Study:
            return study_of(
                study,
                trials=[_plain(row) for row in self.trials(study)],
                model_runs=[_plain(row) for row in self.model_runs(study)],
                **measured_in(self.lake, study),
            )

        found: Study = self.kept(study, "study", made)
        return found

    def model_runs(self, study: str) -> list[ModelRunRow]:
        """The model runs of a study."""
        return self.store.model_runs(study) or study_model_runs(self.lake, study)

    def trials(self, study: str) -> list[TrialRow]:
        """The trials of a study, in the order in which they became known."""
        return self.store.trials(study) or study_trials(self.lake, study)

    def trial(self, study: str, trial_id: str) -> TrialRow:
        """One trial.

        Raises:
            NotThere: the study has no such trial.
        """
        found = self.store.trial(trial_id, study)
        if found is None:
            found = next((row for row in study_trials(self.lake, study) if row.trial_id == trial_id), None)
        if found is None:
            raise NotThere("trial", trial_id)
        return found

    def metrics(self, study: str, trial_id: str | None = None) -> list[MetricRow]:
        """What was measured while training, of one trial or of all."""
        found = self.store.metrics(trial_id, study)
        return found or study_metrics(self.lake, study, None if trial_id is None else [trial_id])

    def artifacts(self, study: str, trial_id: str) -> list[ArtifactRow]:
        """The files that a trial made."""
        found = self.store.artifacts(study, trial_id=trial_id)
        return found or [row for row in study_artifacts(self.lake, study) if row.trial_id == trial_id]

    def table(self, study: str, table: str) -> pa.Table:
        """A table of the study with the lake's columns; trials and metrics as the event store has them now.

        Raises:
            NotThere: nobody knows the study.
        """
        self.mark(study)
        live: dict[str, Callable[[str], Sequence[Any]]] = {
            "model_runs": self.store.model_runs,
            "trials": self.store.trials,
            "trial_metrics": lambda name: self.store.metrics(study=name),
            "artifacts": self.store.artifacts,
        }
        rows = live[table](study) if table in live else ()
        return as_table(table, study, rows) if rows else self.lake.read(table, study)

    def _sentence(self, study: str) -> str:
        found = self.lake.read("study_comparison", study, ["sentence", "is_claim"], {"is_claim": True}).to_pylist()
        return next((str(row["sentence"]) for row in found if row["sentence"]), "")


def counted(row: StudyRow) -> dict[str, int]:
    """Trials of a study by state."""
    return {str(state): count for state, count in row.trials.items()}


def _by_state(rows: Sequence[TrialRow]) -> dict[str, int]:
    return dict(Counter(str(row.state) for row in rows))


def _plain(row: Any) -> dict[str, Any]:
    """The fields of a record, not copied: parameters and metrics of a thousand trials are many."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


def study_room(request: Request) -> StudyRoom:
    """The studies of the server that answers this request."""
    state = request.app.state
    if getattr(state, "studies", None) is None:
        live = live_of(request)
        state.studies = StudyRoom(live.events, Lake(live.settings.data / "lake"))
    found: StudyRoom = state.studies
    return found


Studies = Annotated[StudyRoom, Depends(study_room)]
