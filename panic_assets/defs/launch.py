"""Running a job in this process, with an event log, for the command line.

Here belongs starting a job and saying what became of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import dagster as dg

from panic_assets.defs.alive import clear_away, hold, let_go
from panic_assets.errors import PanicError

_INTERRUPTED = "interrupted; the same command goes on from here"


class JobFailed(PanicError):
    """A step of the job failed, or a check found broken rows."""


class JobInterrupted(JobFailed):
    """A person ended the job, by Ctrl-C for instance."""


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    partition: str,
    tell: Callable[[str], None] = lambda words: None,
) -> dict[str, int]:
    """Run the job for one experiment or study; how many items each asset computed this time.

    ``tell`` hears of checks that failed and stopped nothing.

    Raises:
        JobFailed: with the cause, and the run to look at in the UI.
    """
    run_id = str(uuid4())
    with _alive(instance, run_id):
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=partition,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    if not result.success:
        cause = _cause(result)
        kind = JobInterrupted if cause == _INTERRUPTED else JobFailed
        what = getattr(job.partitions_def, "name", job.name)
        raise kind(f"{what} {partition}: {cause}\n(run {result.run_id}; `make dev` shows its log)")
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            tell(f"check {check.check_name}: {check.description or _facts(check)}")
    computed: dict[str, int] = {}
    for event in result.get_asset_materialization_events():
        value = event.materialization.metadata.get("computed")
        if value is not None and event.asset_key is not None:
            computed[event.asset_key.to_user_string()] = int(value.value)  # type: ignore[arg-type]
    return computed


@contextmanager
def _alive(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold the run's lock while it goes on; before that, give back what killed runs hold.

    A killed run keeps its slot of the pool, and whoever needs the device would wait for it for ever.
    """
    clear_away(instance)
    lock = hold(instance, run_id)
    try:
        yield
    finally:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        if lock is not None:
            let_go(instance, run_id, lock)


def _cause(result: dg.ExecuteInProcessResult) -> str:
    for check in result.get_asset_check_evaluations():  # first, as a check that fails fails its step, too
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR:
            return f"check {check.check_name}: {check.description}"
    for event in result.all_node_events:
        if event.is_step_failure:
            return words_of_failure(event)
    return "the job failed for no recorded reason"


def _facts(check: dg.AssetCheckEvaluation) -> str:
    return ", ".join(f"{name} {value.value}" for name, value in check.metadata.items())


def words_of_failure(event: dg.DagsterEvent) -> str:
    """Why a step failed: its first cause, in words for people."""
    error = event.step_failure_data.error
    if error is None:
        return f"step {event.step_key}: failed for no recorded reason"
    while error.cause is not None:
        error = error.cause
    if error.cls_name == "DagsterExecutionInterruptedError":
        return _INTERRUPTED
    kind, _, words = error.message.strip().partition(": ")
    # Our own errors are described for people, who need no name of a class.
    return f"step {event.step_key}: {words if kind.startswith('panic_assets.') else error.message.strip()}"
