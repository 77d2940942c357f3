"""Telling a run that is at work from one whose process was killed.

Here belongs the lock that a run holds as long as its process lives, and what is done for a run that lost it. The kernel
gives the lock back however a process ends. It holds on one machine, as those of the lake do.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from panic_assets.lake import PartitionLocked
from panic_assets.lake.locks import acquire, release

_SECONDS = 1.0  # who asks whether a run is dead holds its lock for a moment


def hold(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Take the run's lock, for `let_go`; None if this process or another of the run has it already."""
    try:
        return acquire(_path(instance, run_id), timeout=_SECONDS)
    except PartitionLocked:
        return None


def let_go(instance: dg.DagsterInstance, run_id: str, lock: int) -> None:
    """Give the lock back and leave nothing behind."""
    _path(instance, run_id).unlink(missing_ok=True)
    release(lock)


def is_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run had a process and lost it. A run that never took its lock is not known to be dead."""
    path = _path(instance, run_id)
    if not path.exists():
        return False
    try:
        lock = acquire(path)
    except PartitionLocked:
        return False
    release(lock)
    return True


def clear_away(instance: dg.DagsterInstance) -> None:
    """End the runs whose processes are gone and give their slots of pools back, for those that wait for them."""
    for path in _folder(instance).glob("*"):
        try:
            lock = acquire(path)
        except PartitionLocked:
            continue
        run = instance.get_run_by_id(path.name)
        if run is not None and not run.is_finished:
            instance.report_run_failed(run, "The process of this run was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(path.name)
        let_go(instance, path.name, lock)


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "running"


def _path(instance: dg.DagsterInstance, run_id: str) -> Path:
    return _folder(instance) / run_id
