"""Running the experiment job in this process, with an event log, for the command line.

Here belongs starting a job and saying what became of it.
"""

from __future__ import annotations

import dagster as dg

from panic_assets.errors import PanicError


class JobFailed(PanicError):
    """A step of the job failed, or a check found broken rows."""


def execute(instance: dg.DagsterInstance, experiment: str) -> dict[str, int]:
    """Materialise everything for one experiment; how many items each asset computed this time.

    Raises:
        JobFailed: with the cause, and the run to look at in the UI.
    """
    from panic_assets.definitions import build_defs

    job = build_defs().resolve_job_def("experiment")
    result = job.execute_in_process(
        instance=instance,
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


def _cause(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_node_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            return f"step {event.step_key}: {error.message.strip()}"
    for event in result.all_events:
        if event.is_asset_check_evaluation and not event.asset_check_evaluation_data.passed:
            data = event.asset_check_evaluation_data
            return f"check {data.check_name} on {data.asset_key.to_user_string()}: {data.description}"
    return "the job failed for no recorded reason"
