"""Logging to MLflow beside training: best effort, never in its way.

Here belongs what is logged when, and the rest after a failure. What MLflow lacks in the end is made up for by
``reconcile``. Tell the platform first and MLflow afterwards, so that MLflow never knows more than the platform.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from panic_assets.studies.records import State, Trial
from panic_assets.studies.tracking import contents
from panic_assets.studies.tracking.histories import Measured
from panic_assets.studies.tracking.links import trial_url
from panic_assets.studies.tracking.store import Tracking, measured

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rest:
    """Seconds in which MLflow is left alone after a failure: doubling from the first to the longest."""

    first: float = 15.0
    longest: float = 300.0

    def after(self, failures: int) -> float:
        """The rest after so many failures in a row, 1 or more."""
        return float(min(self.first * 2 ** min(failures - 1, 32), self.longest))


@dataclass(frozen=True)
class LogStatus:
    """How logging stands. ``attempts`` are calls of MLflow, ``skipped`` those not made in a rest."""

    attempts: int
    failures: int
    skipped: int
    problem: str | None


@dataclass
class _Open:
    """A trial that is being trained: its run, None while MLflow has none, and what is not logged yet."""

    trial: Trial
    run_id: str | None = None
    waiting: list[Measured] = field(default_factory=list)
    sent_at: float = 0.0


class MlflowLog:
    """Logs the trials of one model run to MLflow. Nothing here raises; what fails is reconciled later.

    ``uri`` is the tracking URI, None for the usual one. ``parent`` is the MLflow run that the trials are nested in;
    None makes or finds one by ``model_run_id``. ``platform`` is the address of the platform's pages, for links.
    Measurements of epochs are sent together, at most every ``interval`` seconds of ``clock``.
    """

    def __init__(
        self,
        uri: str | None,
        study: str,
        model_run_id: str,
        parent: str | None = None,
        *,
        platform: str | None = None,
        rest: Rest | None = None,
        interval: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.model_run_id, self.parent = study, model_run_id, parent
        self._uri, self._platform = uri, platform
        self._rest, self._interval, self._clock = rest or Rest(), interval, clock
        self._tracking: Tracking | None = None
        self._open: dict[str, _Open] = {}
        self._rests_until = -float("inf")
        self._attempts = self._failures = self._skipped = self._in_a_row = 0
        self._problem: str | None = None

    @property
    def experiment_id(self) -> str | None:
        """Id of the study's experiment in MLflow; None if MLflow does not answer."""
        return self._attempt(lambda tracking: tracking.experiment(self.study))

    @property
    def status(self) -> LogStatus:
        """How logging stands."""
        return LogStatus(self._attempts, self._failures, self._skipped, self._problem)

    def start(self, trial: Trial) -> str | None:
        """A trial begins: its run in MLflow, or None if MLflow does not answer. A trial begun again keeps its run."""
        one = self._open[trial.trial_id] = _Open(trial, sent_at=self._clock())
        self._begin(one)
        return one.run_id

    def run_id(self, trial_id: str) -> str | None:
        """The run of a trial that is not finished, which may have come after its start; None if it has none."""
        one = self._open.get(trial_id)
        return one.run_id if one else None

    def metrics(self, trial_id: str, step: int, values: Mapping[str, float]) -> None:
        """Measurements of an epoch; they are sent with those that follow soon."""
        one = self._open.get(trial_id)
        if one is None:
            return
        one.waiting += measured(values, step)
        if self._clock() - one.sent_at >= self._interval and self._begin(one):
            self._send(one)

    def artifact(self, trial_id: str, path: Path) -> None:
        """A file of a trial that is not finished: its checkpoint, a figure."""
        one = self._open.get(trial_id)
        if one is not None and one.run_id:
            self._do(partial(Tracking.add_artifact, run_id=one.run_id, path=path))

    def finish(self, trial_id: str, state: State, metrics: Mapping[str, float] | None = None) -> None:
        """A trial is over, with these final measurements; they are logged as ``final/<name>``."""
        one = self._open.pop(trial_id, None)
        if one is None or one.run_id is None:  # a run made now would have an id that the platform was not told
            return
        one.waiting += measured({contents.FINAL + name: value for name, value in (metrics or {}).items()}, 0)
        if self._send(one):
            self._do(partial(Tracking.finish, run_id=one.run_id, status=contents.STATUS[state]))

    def study_artifact(self, path: Path) -> None:
        """A file of the whole study: its report, a figure."""
        if parent := self._found_parent():
            self._do(partial(Tracking.add_artifact, run_id=parent, path=path))

    def close(self, state: State) -> None:
        """The model run is over."""
        if parent := self._found_parent():
            self._do(partial(Tracking.finish, run_id=parent, status=contents.STATUS[state]))

    def _begin(self, one: _Open) -> bool:
        """Whether the trial has a run; it is made if need be."""
        if one.run_id is None and (parent := self._found_parent()):
            trial = one.trial
            content = contents.of_trial(trial, self.model_run_id)
            content.tags[contents.PARENT] = parent
            if self._platform:
                content.tags[contents.URL] = trial_url(self._platform, trial.study, trial.trial_id)
            name = contents.run_name(trial.arm, trial.pair, trial.trial_id)
            one.run_id = self._attempt(lambda tracking: tracking.begin(self.study, content, name))
        return one.run_id is not None

    def _found_parent(self) -> str | None:
        if self.parent is None:
            self.parent = self._attempt(lambda tracking: tracking.parent(self.study, self.model_run_id))
        return self.parent

    def _send(self, one: _Open) -> bool:
        """Send what waits; whether it is sent."""
        one.sent_at = self._clock()
        if one.waiting and one.run_id:
            if not self._do(partial(Tracking.add_metrics, run_id=one.run_id, measured=one.waiting)):
                return False
            one.waiting = []
        return True

    def _do(self, call: Callable[[Tracking], None]) -> bool:
        """Whether a call that gives nothing succeeded."""

        def called(tracking: Tracking) -> bool:
            call(tracking)
            return True

        return self._attempt(called) is True

    def _attempt(self, call: Callable[[Tracking], Result]) -> Result | None:
        """What MLflow gives, None if it fails or is left alone."""
        if self._clock() < self._rests_until:
            self._skipped += 1
            return None
        self._attempts += 1
        try:
            self._tracking = self._tracking or Tracking(self._uri)
            result = call(self._tracking)
        except Exception as error:  # training goes on, whatever a library of another house does
            self._failed(error)
            return None
        if self._in_a_row:
            logger.warning("MLflow answers again.")
        self._in_a_row, self._problem = 0, None
        return result

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._in_a_row += 1
        rest = self._rest.after(self._in_a_row)
        self._rests_until = self._clock() + rest
        if self._in_a_row == 1:
            logger.warning("%s Training goes on without it; what it misses is made up for later.", error)
        self._problem = str(error)
