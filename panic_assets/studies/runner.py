"""Running a study: its searches, then its paired comparison, one trial after the other.

Here belongs the order of work, and going on after a death: a trial is over once its file is written, and what has a
file is not trained again. What a trial tells the platform is in ``telling``, how one is trained in ``attempt``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from panic_assets.lake.locks import locked
from panic_assets.studies.attempt import ASKED, Interrupted, Trainer
from panic_assets.studies.plan import count, model_run_id, plan
from panic_assets.studies.records import FINAL, Dataset, Hyperparameters, State, Trial
from panic_assets.studies.search import Attempt, Searches, best_of
from panic_assets.studies.telling import Teller
from panic_assets.studies.trial_files import TRIALS, TrialFiles, TrialRecord

if TYPE_CHECKING:
    from panic_assets.studies.client import Client
    from panic_assets.studies.spec import StudySpec
    from panic_assets.studies.spec_sections import Search
    from panic_assets.studies.tracking.mlflow_log import MlflowLog

LOCK, _SEARCHES = ".lock", "optuna.db"
#: By this a model run's best trial is told where no search says what is looked for.
_BEST_BY = ("validation_loss", "minimize")


@dataclass(frozen=True)
class Known:
    """What the platform holds already, so that it need not be told again.

    ``trials``: those that are over. ``run``: state of this model run, None if it was never heard of.
    """

    trials: Collection[str] = ()
    run: State | None = None


@dataclass(frozen=True)
class TrialNews:
    """A trial that is over: ``place`` of ``total``, and whether it was trained just now."""

    record: TrialRecord
    place: int
    total: int
    is_new: bool


@dataclass
class StudySummary:
    """What a run of a study came to.

    ``trials``: identities of all trials of the study as it is now, in order, as far as they are over. ``left``: how
    many are not over, ``why`` in words. ``searched``: by arm, the hyperparameters that its search found best.
    ``best``: trial and value. ``notes``: sentences that a person should read.
    """

    study: str
    model_run_id: str
    data_id: str
    spec_id: str
    requested: int
    trials: list[str] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    trained: int = 0
    measured: int = 0
    left: int = 0
    why: str | None = None
    searched: dict[str, Hyperparameters] = field(default_factory=dict)
    best: tuple[str, float] | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


OnTrial = Callable[[TrialNews], None]


class _Spent(Exception):
    """The study's budget of time is spent."""


def run_study(
    spec: StudySpec,
    data: Dataset,
    folder: Path,
    client: Client,
    log: MlflowLog | None = None,
    on_trial: OnTrial = lambda news: None,
    should_stop: Callable[[], bool] = lambda: False,
    known: Known | None = None,
) -> StudySummary:
    """Do what is left of a study.

    A trial that fails, diverges or takes too long is recorded as such and stops nothing.

    Args:
        spec: the study.
        data: what it trains on.
        folder: where it keeps its state; one process works in it at a time.
        client: how the platform is told.
        log: MLflow's log, or None.
        on_trial: called with each trial that is over, in order, those of earlier runs, too.
        should_stop: asked at each epoch; the trial that is being trained is then begun anew the next time.
        known: what the platform holds; None for nothing.

    Raises:
        PartitionLocked: another process runs this study.
        LakeWriteError: the disk is full or refuses.
        DamagedTrial: a trial's file can't be read.
    """
    started = time.perf_counter()
    with locked(folder / LOCK):
        summary = _Run(spec, data, folder, client, log, on_trial, should_stop, known or Known()).all()
    summary.seconds = time.perf_counter() - started
    return summary


class _Run:
    """The state of one run of a study."""

    def __init__(
        self,
        spec: StudySpec,
        data: Dataset,
        folder: Path,
        client: Client,
        log: MlflowLog | None,
        on_trial: OnTrial,
        should_stop: Callable[[], bool],
        known: Known,
    ) -> None:
        self._spec, self._folder, self._log, self._known = spec, folder, log, known
        self._on_trial, self._should_stop = on_trial, should_stop
        data_id = data.data_id  # a hash over all arrays
        run_id = model_run_id(spec, data_id)
        self._files = TrialFiles(folder / TRIALS)
        # As seen from the data directory: a backup is restored to another place.
        self._teller = Teller(client, run_id, f"training/{folder.name}/{TRIALS}")
        self._trainer = Trainer(spec, data, self._files, self._teller, log, should_stop)
        self._summary = StudySummary(spec.name, run_id, data_id, spec.spec_id, count(spec))
        self._facts = data.facts
        self._records: list[TrialRecord] = []
        self._has_told = False

    def all(self) -> StudySummary:
        """Search, then compare; then tell how it ended."""
        summary = self._summary
        try:
            if self._spec.search:
                self._search(self._spec.search)
            for trial in plan(self._spec, summary.data_id, summary.searched):
                self._do(trial)
        except (_Spent, Interrupted) as reason:
            summary.why = str(reason)
        summary.trials = [record.trial.trial_id for record in self._records]
        summary.states = dict(Counter(record.state for record in self._records))
        summary.left = summary.requested - len(self._records)
        warned = [record for record in self._records if record.warnings]
        if warned:
            first = warned[0]
            summary.notes.append(
                f"{len(warned)} trials have warnings; {first.trial.arm} {first.trial.pair}: {'; '.join(first.warnings)}"
            )
        self._end()
        return summary

    def _search(self, search: Search) -> None:
        """Spend the budgets of all arms, in turns, so that a limit of time cuts all of them alike."""
        searches = Searches(self._folder / _SEARCHES, self._spec, search, self._summary.data_id)
        try:
            arms = {arm: searches.arm(arm) for arm in self._spec.arms}
            found = {arm: [self._do(trial) for trial in one.past()] for arm, one in arms.items()}
            for _ in range(search.trials):
                for arm, one in arms.items():
                    attempt = one.next()
                    if attempt is not None:
                        record = self._do(attempt.trial, attempt)
                        one.tell(attempt, record)
                        found[arm].append(record)
            for arm, one in arms.items():
                self._choose(arm, one.best(found[arm]))
        finally:
            searches.close()

    def _choose(self, arm: str, best: TrialRecord | None) -> None:
        if best is None:
            self._summary.notes.append(
                f"arm {arm}: no trial of its search is completed, so it has the hyperparameters of the study file"
            )
            return
        self._summary.searched[arm] = best.trial.hyperparameters
        if self._spec.comparison is None and not self._trainer.is_measured(best):
            self._measure(best)

    def _do(self, trial: Trial, attempt: Attempt | None = None) -> TrialRecord:
        """A trial's record: the one that there is, or that of training it now."""
        record = self._files.read(trial.trial_id)
        is_new = record is None
        if record is None:
            self._check_budget()
            self._tell_start()
            record = self._trainer.train(trial, attempt.is_hopeless if attempt else None)
            self._summary.trained += 1
        else:
            if attempt:  # it was trained, and then killed before the search heard of it
                for place, epoch in enumerate(record.epochs):
                    attempt.is_hopeless(epoch.metrics, place)
            if trial.mode == "comparison" and record.state == "completed" and not self._trainer.is_measured(record):
                record = self._measure(record)
            if trial.trial_id not in self._known.trials:
                self._tell_start()
                self._teller.again(record)
        self._records.append(record)
        self._on_trial(TrialNews(record, len(self._records), self._summary.requested, is_new))
        return record

    def _measure(self, record: TrialRecord) -> TrialRecord:
        self._summary.measured += 1
        return self._trainer.measure(record)

    def _check_budget(self) -> None:
        """Go on if nobody wants to stop and there is time left.

        Raises:
            Interrupted: somebody wants to stop.
            _Spent: all trials of the study together took as long as they may.
        """
        if self._should_stop():
            raise Interrupted(ASKED)
        limit = self._spec.budget.seconds
        spent = sum(record.seconds for record in self._records)
        if limit is not None and spent >= limit:
            raise _Spent(f"its trials took {spent:.0f} s, and budget.seconds is {limit:g}; raise it to go on")

    def _tell_start(self) -> None:
        """The model run begins, or goes on; told before its first trial, and not if that is over."""
        if not self._has_told and self._known.run not in FINAL:
            experiment = self._log.experiment_id if self._log else None
            self._teller.run_started(self._summary.requested, experiment, self._spec.canonical(), self._facts)
        self._has_told = True

    def _end(self) -> None:
        """Tell that the model run is over, if nothing is left and that is news."""
        summary, completed = self._summary, self._summary.states.get("completed", 0)
        search = self._spec.search
        metric, direction = (search.metric, search.direction) if search else _BEST_BY
        best = best_of(self._records, metric, direction)
        if best is not None:
            summary.best = (best.trial.trial_id, best.metrics[metric])
        if summary.left or self._known.run in FINAL:
            return
        self._tell_start()
        state: State = "completed" if completed else "failed"
        self._teller.run_stopped(state, completed, summary.best)
        if self._log:
            self._log.close(state)
