"""What a trial on the platform and a run in MLflow disagree about.

Here belongs comparing one with the other, and nothing that changes either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from panic_assets.studies.events.rows import ArtifactRow, MetricRow, TrialRow
from panic_assets.studies.tracking import contents
from panic_assets.studies.tracking.contents import Contents
from panic_assets.studies.tracking.histories import Measured
from panic_assets.studies.tracking.store import FoundRun, Tracking

#: ``*_unknown``: MLflow has what the platform has not; it is never deleted. ``refused``: MLflow will not take a value.
Kind = Literal[
    "run_missing",
    "run_duplicate",
    "param_missing",
    "param_differs",
    "tag",
    "status",
    "metric_missing",
    "metric_differs",
    "metric_unknown",
    "artifact_missing",
    "artifact_differs",
    "refused",
]
#: Where a measurement belongs: its name and its step.
Place = tuple[str, int]


@dataclass(frozen=True)
class Disagreement:
    """One thing about a trial that the two sides tell differently."""

    trial_id: str
    kind: Kind
    detail: str


@dataclass(frozen=True)
class Known:
    """All that the platform knows of a trial, as MLflow is to have it.

    ``measured`` values are None where there was no number. ``artifacts`` go by the names of their files.
    """

    row: TrialRow
    content: Contents
    measured: Mapping[Place, float | None]
    at: Mapping[Place, int]
    artifacts: Mapping[str, ArtifactRow]

    @property
    def trial_id(self) -> str:
        """Of the trial."""
        return self.row.trial_id

    @classmethod
    def of(cls, row: TrialRow, metrics: Sequence[MetricRow], artifacts: Sequence[ArtifactRow]) -> Known:
        """A trial, with the metrics and artifacts that are its own."""
        ended = row.finished_at or row.started_at
        final = {(contents.FINAL + contents.safe(name), 0): value for name, value in row.metrics.items()}
        epochs = {(contents.safe(one.metric), one.step): one for one in metrics}
        return cls(
            row,
            contents.of_row(row),
            {place: contents.number(one.value) for place, one in epochs.items()}
            | {place: contents.number(value) for place, value in final.items()},
            {place: contents.milliseconds(one.reported_at) for place, one in epochs.items()}
            | ({place: contents.milliseconds(ended) for place in final} if ended else {}),
            {file_name(one.uri): one for one in artifacts if one.status != "archived"},
        )


@dataclass
class Seen:
    """What MLflow has of a trial, and how it differs.

    ``lacking`` are the places whose measurement is to be logged, ``after`` the time that it must be later than, in
    milliseconds since 1970; ``files`` are the artifacts that are to be logged.
    """

    disagreements: list[Disagreement]
    lacking: dict[Place, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def has(self, kind: Kind) -> bool:
        """Whether there is a disagreement of a kind."""
        return any(one.kind == kind for one in self.disagreements)


def compare(
    known: Known,
    runs: Sequence[FoundRun],
    histories: Mapping[str, Sequence[Measured]],
    tracking: Tracking,
    contents_too: bool,
) -> Seen:
    """How a trial and its runs in MLflow differ; ``runs[0]`` is the one that is to stay.

    Args:
        known: the trial.
        runs: all that log it.
        histories: of the measurements of ``runs[0]``, by name.
        tracking: asked for files.
        contents_too: compare artifacts by their content, not only by their size.

    Raises:
        TrackingError: MLflow does not answer.
    """
    if not runs:
        return Seen([Disagreement(known.trial_id, "run_missing", "MLflow has no run of this trial")])
    seen = Seen([])
    for other in runs[1:]:
        seen.disagreements.append(Disagreement(known.trial_id, "run_duplicate", f"run {other.run_id} logs it, too"))
    seen.disagreements += _texts(known, runs[0])
    _measurements(known, histories, seen)
    if known.artifacts:
        _artifacts(known, runs[0], tracking, contents_too, seen)
    return seen


def file_name(uri: str) -> str:
    """The name of the file that a URI or a path leads to."""
    parts = urlsplit(uri)
    return PurePosixPath(unquote(parts.path) if parts.scheme else uri).name


def _texts(known: Known, run: FoundRun) -> Iterator[Disagreement]:
    for key, value in known.content.params.items():
        if key not in run.params:
            yield Disagreement(known.trial_id, "param_missing", f"{key} is {value} on the platform")
        elif run.params[key] != value:
            yield Disagreement(known.trial_id, "param_differs", f"{key} is {value}, in MLflow {run.params[key]}")
    for key, value in known.content.tags.items():
        if run.tags.get(key) != value:
            yield Disagreement(known.trial_id, "tag", f"{key} is {value}, in MLflow {run.tags.get(key)}")
    if contents.PARENT not in run.tags:
        yield Disagreement(known.trial_id, "tag", f"{contents.PARENT} is not set: the run is nested in none")
    status = contents.STATUS[known.row.state]
    if run.status != status:
        yield Disagreement(known.trial_id, "status", f"{known.row.state} is {status}, in MLflow {run.status}")


def _measurements(known: Known, histories: Mapping[str, Sequence[Measured]], seen: Seen) -> None:
    """Compare every measurement at every step; the last one logged at a step counts."""
    latest: dict[Place, list[Measured]] = {}
    for name in histories:
        for one in histories[name]:
            place = (name, one.step)
            before = latest.get(place)
            latest[place] = [*before, one] if before and before[0].at == one.at else [one]
    for place, value in known.measured.items():
        there = latest.get(place)
        if there is None:
            kind: Kind = "metric_missing"
            seen.lacking[place] = 0
            said = "missing in MLflow"
        elif {contents.number(one.value) for one in there} != {value}:
            kind = "metric_differs"
            seen.lacking[place] = there[0].at
            said = f"{' and '.join(str(one.value) for one in there)} in MLflow"
        else:
            continue
        detail = f"{place[0]} at step {place[1]} is {value}, {said}"
        seen.disagreements.append(Disagreement(known.trial_id, kind, detail))
    for name, step in sorted(latest.keys() - known.measured.keys()):
        detail = f"{name} at step {step} is in MLflow alone: deliver the events that wait, replay dead letters"
        seen.disagreements.append(Disagreement(known.trial_id, "metric_unknown", detail))


def _artifacts(known: Known, run: FoundRun, tracking: Tracking, contents_too: bool, seen: Seen) -> None:
    there = tracking.artifacts(run.run_id)
    for name, artifact in known.artifacts.items():
        if name not in there:
            kind: Kind = "artifact_missing"
            said = "missing in MLflow"
        elif there[name] != artifact.bytes:
            kind = "artifact_differs"
            said = f"{there[name]} bytes in MLflow, {artifact.bytes} on the platform"
        elif contents_too and tracking.checksum(run.run_id, name) != artifact.checksum:
            kind = "artifact_differs"
            said = "of another content in MLflow"
        else:
            continue
        seen.files.append(name)
        seen.disagreements.append(Disagreement(known.trial_id, kind, f"{name}: {said}"))
