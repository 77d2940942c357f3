"""Dagster's own way of starting runs, and a word on whether they live.

Here belongs what ``dagster.yaml`` names as the run launcher. Dagster's launcher can't tell: a code server reports its
dead runs, but nobody reports those that died together with it, when the machine went down, say.
"""

from __future__ import annotations

import time
from typing import Any

from dagster import DagsterRun
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

from panic_assets.defs.alive import clear_away, is_dead

_GRACE_SECONDS = 3.0  # a code server that lives reports its dead runs within one


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts each run in a process of its own; run monitoring asks it whether that process is there."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._missed: dict[str, float] = {}

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run; before that, give back what dead ones hold, which it may want."""
        clear_away(self._instance)
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It can tell."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """A run that lost its lock is dead; one that has not taken it yet is let be."""
        if not is_dead(self._instance, run.run_id):
            self._missed.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # Reported twice, it would be told of twice.
        if time.monotonic() - self._missed.setdefault(run.run_id, time.monotonic()) < _GRACE_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "The process of this run is gone.")
