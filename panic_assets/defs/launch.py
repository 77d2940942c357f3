"""Running the experiment job in this process, with an event log, for the command line.

Here belongs starting a job and saying what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg

from panic_assets.errors import PanicError
from panic_assets.lake import PartitionLocked
from panic_assets.lake.locks import acquire, release


class JobFailed(PanicError):
    """A step of the job failed, or a check found broken rows."""


def execute(job: dg.JobDefinition, instance: dg.DagsterInstance, experiment: str) -> dict[str, int]:
    """Run the job for one experiment; how many items each asset computed this time.

    Raises:
        JobFailed: with the cause, and the run to look at in the UI.
    """
    run_id = str(uuid4())
    with _alive(instance, run_id):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=experiment,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    if not result.success:
        raise JobFailed(f"experiment {experiment}: {_cause(result)}\n(run {result.run_id}; `make dev` shows its log)")
    computed: dict[str, int] = {}
    for event in result.get_asset_materialization_events():
        value = event.materialization.metadata.get("computed")
        if value is not None and event.asset_key is not None:
            computed[event.asset_key.to_user_string()] = int(value.value)  # type: ignore[arg-type]
    return computed


@contextmanager
def _alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold a lock while a run goes on, by which other processes tell it from one that was killed.

    A killed run keeps its slot of the pool, and whoever needs the device would wait for it for ever: its slots are
    given back here, before another run begins.
    """
    folder = Path(instance.root_directory) / "running"
    for path in folder.glob("*"):
        _clear_away(instance, path)
    path = folder / run_id
    lock = acquire(path)
    try:
        yield
    finally:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        path.unlink(missing_ok=True)
        release(lock)


def _clear_away(instance: dg.DagsterInstance, path: Path) -> None:
    """End a run whose process is gone; one that is at work holds its lock and is left alone."""
    try:
        lock = acquire(path)
    except PartitionLocked:
        return
    run = instance.get_run_by_id(path.name)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "The process of this run was killed.")
    instance.event_log_storage.free_concurrency_slots_for_run(path.name)
    path.unlink(missing_ok=True)
    release(lock)


def _cause(result: dg.ExecuteInProcessResult) -> str:
    for check in result.get_asset_check_evaluations():  # first, as a check that fails fails its step, too
        if not check.passed:
            return f"check {check.check_name}: {check.description}"
    for event in result.all_node_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            if error.cls_name == "DagsterExecutionInterruptedError":
                return "interrupted; the same command goes on from here"
            kind, _, words = error.message.strip().partition(": ")
            # Our own errors are described for people, who need no name of a class.
            return f"step {event.step_key}: {words if kind.startswith('panic_assets.') else error.message.strip()}"
    return "the job failed for no recorded reason"
