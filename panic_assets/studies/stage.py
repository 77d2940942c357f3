"""What each step of a study does, from its file and the lake to the rows of the lake.

Here belongs joining: training, measuring, comparing and writing are done by the neighbours. Every step but the first
reads what the first left behind, so that each can be done anew by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from panic_assets.errors import PanicError
from panic_assets.lake.durable import replace_file
from panic_assets.studies.records import FINAL
from panic_assets.studies.trial_files import TrialRecord

if TYPE_CHECKING:
    from panic_assets.studies.bench import Bench
    from panic_assets.studies.comparison import Comparison
    from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, TrialRow
    from panic_assets.studies.events.store import EventStore
    from panic_assets.studies.runner import Known, OnTrial, StudySummary
    from panic_assets.studies.spec import StudySpec
    from panic_assets.studies.tracking.reconcile import Reconciled

_SUMMARY = "summary.json"
_PATIENCE_SECONDS = 60.0  # for the last events to arrive


class NotTrained(PanicError):
    """A step was asked for before the study was trained."""


@dataclass(frozen=True)
class Current:
    """The rows of the event store that are of the study as it is now: those of its earlier forms are left out.

    ``trials`` by their identity; ``model_run`` is the run that is told of, even if all its trials are of earlier ones.
    """

    store: EventStore
    trial_ids: frozenset[str]
    model_run: str

    def model_runs(self, study: str | None = None) -> list[ModelRunRow]:
        """The model runs that the trials belong to, and the last."""
        used = {row.model_run_id for row in self.trials(study)} | {self.model_run}
        return [row for row in self.store.model_runs(study) if row.model_run_id in used]

    def trials(self, study: str | None = None) -> list[TrialRow]:
        """The trials."""
        return [row for row in self.store.trials(study) if row.trial_id in self.trial_ids]

    def metrics(self, trial_id: str | None = None, study: str | None = None) -> list[MetricRow]:
        """What was measured of the trials while they trained."""
        return [row for row in self.store.metrics(trial_id, study) if row.trial_id in self.trial_ids]

    def artifacts(self, study: str | None = None) -> list[ArtifactRow]:
        """The files that the trials made."""
        return [row for row in self.store.artifacts(study) if row.trial_id in self.trial_ids]


def train(
    bench: Bench,
    spec: StudySpec,
    on_trial: OnTrial = lambda news: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> StudySummary:
    """Train what is left of a study, and write its model runs, trials and artifacts to the lake.

    Raises:
        PanicError: there is nothing to train on, another process trains this study, the disk is full.
    """
    from panic_assets.studies.data import load_dataset
    from panic_assets.studies.plan import model_run_id
    from panic_assets.studies.runner import run_study
    from panic_assets.studies.to_lake import write_trials

    data = load_dataset(spec, bench.lake)
    run = model_run_id(spec, data.data_id)
    with bench.store() as store, bench.client(spec.name, store) as client:
        client.flush(_PATIENCE_SECONDS)  # what an earlier process could not deliver any more
        summary = run_study(
            spec,
            data,
            bench.folder(spec.name),
            client,
            bench.log(spec, run),
            on_trial,
            should_stop,
            known_to(store, spec.name, run),
        )
        if left := client.flush(_PATIENCE_SECONDS):
            summary.notes.append(f"{left} events wait in the outbox; the next run delivers them")
        for refused in client.refused()[:5]:
            summary.notes.append(f"the platform refused event {refused.event_id}: {refused.reason}")
        _save(bench, summary)
        write_trials(_current(store, summary), bench.lake, spec.name)
    return summary


def known_to(store: EventStore, study: str, model_run: str) -> Known:
    """What the event store holds of a study already."""
    from panic_assets.studies.runner import Known

    states = {row.model_run_id: row.state for row in store.model_runs(study)}
    over = frozenset(row.trial_id for row in store.trials(study) if row.state in FINAL)
    return Known(over, states.get(model_run))


def write_metrics(bench: Bench, study: str) -> int:
    """Write what was measured while the study trained to the lake; how many rows.

    Raises:
        NotTrained: the study was not trained.
    """
    from panic_assets.studies.to_lake import write_metrics

    summary = last_summary(bench, study)
    with bench.store() as store:
        return write_metrics(_current(store, summary), bench.lake, study)["trial_metrics"]


def write_lipschitz(bench: Bench, study: str) -> int:
    """Write norms and bounds of the trained models to the lake; how many rows.

    Raises:
        NotTrained: the study was not trained.
    """
    from panic_assets.studies.to_lake import write_lipschitz

    return write_lipschitz(bench.lake, study, _rows(bench, study, "layers"))


def write_robustness(bench: Bench, study: str) -> int:
    """Write what the trained models know under disturbance to the lake; how many rows.

    Raises:
        NotTrained: the study was not trained.
    """
    from panic_assets.studies.to_lake import write_robustness

    return write_robustness(bench.lake, study, _rows(bench, study, "robust"))


def compare(bench: Bench, spec: StudySpec) -> str | None:
    """Compare the arms of a study, and write that to the lake; why there is nothing to compare, in words, or None.

    Raises:
        NotTrained: the study was not trained.
    """
    from panic_assets.studies import claim, comparison
    from panic_assets.studies.to_lake import write_comparison

    rows = [
        {"mode": r.trial.mode, "arm": r.trial.arm, "pair": r.trial.pair, "state": r.state, "metrics": r.all_metrics}
        for r in records(bench, spec.name)
    ]
    made: list[Comparison] = []
    problem = None
    if spec.comparison:
        try:
            made = comparison.compare(rows, spec.comparison.reference, spec.claim)
            if spec.search:
                search, reference = spec.search, spec.comparison.reference
                made += comparison.compare_searches(rows, reference, select=search.metric, direction=search.direction)
        except comparison.ComparisonError as error:
            problem = str(error)
    write_comparison(bench.lake, spec.name, claim.comparison_rows(made, spec.claim))
    return problem


def reconcile(bench: Bench, study: str, mend: bool = True) -> Reconciled:
    """Make MLflow agree with the lake about every trial of a study, and say how far it does.

    Runs that the platform did not know of, such as those made after an outage, are told to it, so that links lead both
    ways.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from panic_assets.studies.from_lake import study_artifacts, study_metrics, study_trials
    from panic_assets.studies.tracking.reconcile import reconcile

    lake = bench.lake
    trials = study_trials(lake, study)
    done = reconcile(
        trials,
        study_metrics(lake, study),
        bench.mlflow_uri,
        artifacts=study_artifacts(lake, study),
        contents_too=False,
        mend=mend,
        root=bench.root,
    )
    if mend and done.links:
        _link(bench, study, trials, done.links)
    return done


def _link(bench: Bench, study: str, trials: Sequence[TrialRow], links: Mapping[str, str]) -> None:
    from panic_assets.studies.to_lake import write_trials
    from panic_assets.studies.tracking.linking import tell_links

    with bench.store() as store, bench.client(study, store) as client:
        tell_links(client, trials, links)
        client.flush(_PATIENCE_SECONDS)
        write_trials(_current(store, last_summary(bench, study)), bench.lake, study)


def share(bench: Bench, spec: StudySpec, files: Sequence[Path]) -> None:
    """Hand files of the whole study, such as its report, to MLflow; where it does not answer, it goes without."""
    summary = last_summary(bench, spec.name)
    log = bench.log(spec, summary.model_run_id)
    if log:
        for file in files:
            log.study_artifact(file)
        if not summary.left:
            log.close("completed" if summary.states.get("completed") else "failed")


def records(bench: Bench, study: str) -> Iterator[TrialRecord]:
    """The trials of the study as it is now that are over.

    Raises:
        NotTrained: the study was not trained.
    """
    files = bench.trials(study)
    for trial_id in last_summary(bench, study).trials:
        record = files.read(trial_id)
        if record is not None:
            yield record


def last_summary(bench: Bench, study: str) -> StudySummary:
    """What the last training of a study came to.

    Raises:
        NotTrained: the study was not trained.
    """
    from panic_assets.studies.records import Hyperparameters
    from panic_assets.studies.runner import StudySummary

    path = bench.folder(study) / _SUMMARY
    try:
        values = json.loads(path.read_bytes())
        values["searched"] = {arm: Hyperparameters(**found) for arm, found in values["searched"].items()}
        values["best"] = tuple(values["best"]) if values["best"] else None
        return StudySummary(**values)
    except FileNotFoundError:
        raise NotTrained(f"study {study} was not trained in {bench.root}; `panic study run {study}` does it") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotTrained(f"{path} can't be read ({error}); `panic study run {study}` writes it anew") from error


def _save(bench: Bench, summary: StudySummary) -> None:
    path = bench.folder(summary.study) / _SUMMARY
    replace_file(path, json.dumps(asdict(summary), ensure_ascii=False).encode())


def _current(store: EventStore, summary: StudySummary) -> Current:
    return Current(store, frozenset(summary.trials), summary.model_run_id)


def _rows(bench: Bench, study: str, kind: str) -> Sequence[dict[str, Any]]:
    return [
        {"trial_id": record.trial.trial_id} | row
        for record in records(bench, study)
        if record.measured is not None
        for row in getattr(record.measured, kind)
    ]
