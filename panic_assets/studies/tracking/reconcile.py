"""Making MLflow agree with the platform, whatever it missed: compare all, mend what differs, compare again.

Here belongs mending. It goes by what is there now, not by what happened, so it can be run at any time and any number of
times; what an outage cut short is done by the next one. How two sides are compared is in ``agreement``.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from panic_assets import paths
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, TrialRow
from panic_assets.studies.tracking import contents
from panic_assets.studies.tracking.agreement import Disagreement, Known, Seen, compare
from panic_assets.studies.tracking.errors import TrackingRefused
from panic_assets.studies.tracking.histories import MOST_RUNS, Measured
from panic_assets.studies.tracking.store import FoundRun, Tracking, now_ms


@dataclass(frozen=True)
class Reconciled:
    """What came of a reconciliation. Trials that have not begun need no run and are not counted.

    ``agreed_before`` and ``agreed_after`` are trials about which both sides agree on everything; ``created`` are runs
    that MLflow lacked, ``mended`` trials that were made to agree. ``found`` are all disagreements met and
    ``disagreements`` those that remain. ``links`` are the runs of trials that the platform knows by no run or another.
    """

    trials: int
    agreed_before: int
    agreed_after: int
    created: int
    mended: int
    found: tuple[Disagreement, ...]
    disagreements: tuple[Disagreement, ...]
    links: dict[str, str]

    @property
    def share(self) -> float:
        """Share of trials on which both sides agree now; 1 if there is none."""
        return self.agreed_after / self.trials if self.trials else 1.0

    @property
    def share_before(self) -> float:
        """Share of trials on which both sides agreed at first; 1 if there was none."""
        return self.agreed_before / self.trials if self.trials else 1.0


def reconcile(
    trials: Sequence[TrialRow],
    metrics: Sequence[MetricRow],
    tracking: Tracking | str | None = None,
    *,
    artifacts: Sequence[ArtifactRow] = (),
    contents_too: bool = True,
    mend: bool = True,
    root: Path | None = None,
) -> Reconciled:
    """Compare every trial with MLflow, and make MLflow agree.

    Measurements that MLflow alone has are reported and kept. A run with another value of a parameter is replaced, since
    MLflow changes none; replaced and duplicate runs are deleted as MLflow deletes, so that they can be restored.

    Args:
        trials: the platform's, of one study or of several.
        metrics: theirs, at all steps.
        tracking: MLflow's store or its URI; None for the usual one.
        artifacts: the trials' files; those of whole runs are left out.
        contents_too: compare artifacts by their content, not only by their size.
        mend: False to compare alone.
        root: where relative URIs of artifacts begin; None for the data directory.

    Raises:
        TrackingError: MLflow does not answer. What was mended stays; the next reconciliation does the rest.
    """
    store = tracking if isinstance(tracking, Tracking) else Tracking(tracking)
    known = _all_known(trials, metrics, artifacts)
    runs = _all_runs(known, store)
    work = _Mending(store, contents_too, root or paths.data_dir())
    found: list[Disagreement] = []
    left: list[Disagreement] = []
    agreed_before = agreed_after = 0
    for first in range(0, len(known), MOST_RUNS):
        some = known[first : first + MOST_RUNS]
        before = work.look(some, runs)
        differing = [one for one in some if before[one.trial_id].disagreements] if mend else []
        refused = {one.trial_id: work.mend(one, runs[one.trial_id], before[one.trial_id]) for one in differing}
        runs |= {one.trial_id: store.runs(one.row.study, contents.TRIAL, one.trial_id) for one in differing}
        after = before | work.look(differing, runs)
        for one in some:
            remaining = after[one.trial_id].disagreements + refused.get(one.trial_id, [])
            found += before[one.trial_id].disagreements
            left += remaining
            agreed_before += not before[one.trial_id].disagreements
            agreed_after += not remaining
    links = {
        one.trial_id: runs[one.trial_id][0].run_id
        for one in known
        if runs[one.trial_id] and runs[one.trial_id][0].run_id != one.row.mlflow_run_id
    }
    return Reconciled(
        trials=len(known),
        agreed_before=agreed_before,
        agreed_after=agreed_after,
        created=work.created,
        mended=agreed_after - agreed_before,
        found=tuple(found),
        disagreements=tuple(left),
        links=links,
    )


class _Mending:
    """Looks at trials and makes MLflow agree about them."""

    def __init__(self, tracking: Tracking, contents_too: bool, root: Path) -> None:
        self.created = 0
        self._tracking, self._contents_too, self._root = tracking, contents_too, root
        self._parents: dict[tuple[str, str], str] = {}

    def look(self, known: Sequence[Known], runs: Mapping[str, Sequence[FoundRun]]) -> dict[str, Seen]:
        """How each trial and its runs differ."""
        having: dict[str, list[str]] = defaultdict(list)
        for one in known:
            for run in runs[one.trial_id][:1]:
                for name in run.metrics:
                    having[name].append(run.run_id)
        histories: dict[str, dict[str, list[Measured]]] = defaultdict(dict)
        for name, run_ids in sorted(having.items()):
            for run_id, values in self._tracking.histories(run_ids, name).items():
                histories[run_id][name] = values
        return {one.trial_id: self._compare(one, runs[one.trial_id], histories) for one in known}

    def mend(self, known: Known, runs: Sequence[FoundRun], seen: Seen) -> list[Disagreement]:
        """Make MLflow agree about a trial; what it refuses."""
        try:
            run = self._one_run(known, runs, seen)
            if run is None:
                run = self._create(known)
                seen = self._compare(known, [run], {})
            self._fill(known, run, seen)
        except TrackingRefused as error:
            return [Disagreement(known.trial_id, "refused", str(error))]
        return []

    def _compare(
        self, known: Known, runs: Sequence[FoundRun], histories: Mapping[str, Mapping[str, Sequence[Measured]]]
    ) -> Seen:
        of_run = histories.get(runs[0].run_id, {}) if runs else {}
        return compare(known, runs, of_run, self._tracking, self._contents_too)

    def _one_run(self, known: Known, runs: Sequence[FoundRun], seen: Seen) -> FoundRun | None:
        """The run that stays, once all others are deleted; None if there is none that can be mended."""
        replaced = seen.has("param_differs")
        for run in runs[0 if replaced else 1 :]:
            self._tracking.delete(run.run_id)
        return None if replaced or not runs else runs[0]

    def _create(self, known: Known) -> FoundRun:
        row = known.row
        content = replace(known.content, tags=known.content.tags | {contents.PARENT: self._parent(row)})
        name = contents.run_name(row.arm, row.pair, row.trial_id)
        at = contents.milliseconds(row.started_at) if row.started_at else None
        self.created += 1
        return self._tracking.create(row.study, content, name, at)

    def _fill(self, known: Known, run: FoundRun, seen: Seen) -> None:
        """Log what the run lacks; its status last, so that one cut short is seen as such."""
        row = known.row
        tags = {key: value for key, value in known.content.tags.items() if run.tags.get(key) != value}
        if contents.PARENT not in run.tags:
            tags[contents.PARENT] = self._parent(row)
        params = {key: value for key, value in known.content.params.items() if key not in run.params}
        self._tracking.add_texts(run.run_id, params, tags)
        self._tracking.add_metrics(
            run.run_id, [_measured(known, place, after) for place, after in seen.lacking.items()]
        )
        for name in seen.files:
            if path := local_file(known.artifacts[name], self._root):
                self._tracking.add_artifact(run.run_id, path)
        if run.status != contents.STATUS[row.state]:
            ended = contents.milliseconds(row.finished_at) if row.finished_at else None
            self._tracking.finish(run.run_id, contents.STATUS[row.state], ended)

    def _parent(self, row: TrialRow) -> str:
        key = (row.study, row.model_run_id)
        if key not in self._parents:
            self._parents[key] = self._tracking.parent(row.study, row.model_run_id)
        return self._parents[key]


def local_file(artifact: ArtifactRow, root: Path) -> Path | None:
    """The artifact's file on this machine; None if it is elsewhere, or is not what the platform was told of."""
    parts = urlsplit(artifact.uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    path = root / (unquote(parts.path) if parts.scheme else artifact.uri)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != artifact.checksum:
        return None
    return path


def _all_known(
    trials: Sequence[TrialRow], metrics: Sequence[MetricRow], artifacts: Sequence[ArtifactRow]
) -> list[Known]:
    of_trial: dict[str, list[MetricRow]] = defaultdict(list)
    for metric in metrics:
        of_trial[metric.trial_id].append(metric)
    files: dict[str, list[ArtifactRow]] = defaultdict(list)
    for artifact in artifacts:
        if artifact.trial_id:
            files[artifact.trial_id].append(artifact)
    return [Known.of(row, of_trial[row.trial_id], files[row.trial_id]) for row in trials if row.state != "pending"]


def _all_runs(known: Sequence[Known], tracking: Tracking) -> dict[str, list[FoundRun]]:
    """The runs of each trial, that which is to stay first: the one that the platform knows, else the oldest."""
    runs: dict[str, list[FoundRun]] = defaultdict(list)
    for study in sorted({one.row.study for one in known}):
        for run in tracking.runs(study):
            if run.trial_id:
                runs[run.trial_id].append(run)
    for one in known:
        row = one.row
        its_own = runs[row.trial_id]
        its_own.sort(key=lambda run: (run.run_id != row.mlflow_run_id, run.started_at, run.run_id))
        if not its_own and row.mlflow_run_id and (named := tracking.run(row.mlflow_run_id)) and not named.trial_id:
            its_own.append(named)
    return runs


def _measured(known: Known, place: tuple[str, int], after: int) -> Measured:
    """A measurement to log at a place, later than what is there."""
    value = known.measured[place]
    at = now_ms() if after else known.at.get(place, now_ms())
    return Measured(place[0], float("nan") if value is None else value, place[1], max(at, after + 1))
