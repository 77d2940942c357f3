"""The sensor that tells people of failed runs.

Here belongs what is said of a failed run; how it gets out is in ``notify``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import time

import dagster as dg

from panic_assets.defs.intervals import SENSOR_SECONDS
from panic_assets.defs.launch import words_of_failure
from panic_assets.defs.notify import Notice, tell
from panic_assets.defs.resources import Laboratory
from panic_assets.defs.studies import is_of_study

_WILL_RETRY, _PARTITION = "dagster/will_retry", "dagster/partition"
_DECIDED_WITHIN_SECONDS = 5.0


@dg.run_failure_sensor(
    name="failures",
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of each failed run, with the failed step or check: a line in notifications.log of the data "
    "directory, and a message to $PANIC_WEBHOOK if that is set.",
)
def failures(context: dg.RunFailureSensorContext, laboratory: Laboratory) -> None:
    """One notice for each failed run; a cancelled run is none."""
    run = _decided(context.instance, context.dagster_run)
    tell(notice_of(context.instance, run, context.failure_event.message or ""), laboratory.root)


def _decided(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """The run with Dagster's word on whether it is tried again, which it writes a moment after the failure itself."""
    until = time.monotonic() + _DECIDED_WITHIN_SECONDS
    while instance.run_retries_enabled and _WILL_RETRY not in run.tags and time.monotonic() < until:
        time.sleep(0.1)
        run = instance.get_run_by_id(run.run_id) or run
    return run


def notice_of(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> Notice:
    """What is said of a failed run; ``message`` is Dagster's own, told where no step has failed."""
    partition, will_retry = run.tags.get(_PARTITION), run.tags.get(_WILL_RETRY) == "true"
    kind = "study" if is_of_study(run) else "experiment"
    what = f"{kind} {partition}" if partition else f"job {run.job_name}"
    checks = [
        {"check": check.check_name, "asset": check.asset_key.to_user_string(), "description": check.description}
        for check in _failed_checks(instance, run.run_id)
    ]
    causes = [f"check {check['check']}: {check['description']}" for check in checks] or _causes(instance, run.run_id)
    why = "; ".join(causes) or f"its process ended unexpectedly ({message.rstrip('.')})"
    again = " It is tried again, from its last commit." if will_retry else ""
    facts = {
        "run_id": run.run_id,
        "job": run.job_name,
        kind: partition,
        "failed_checks": checks,
        "will_retry": will_retry,
    }
    return Notice("run_failed", f"panic_assets: {what} failed: {why.rstrip('.')}.{again}", facts)


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    found = [event.asset_check_evaluation_data for event in events]
    return [check for check in found if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR]


def _causes(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return [words_of_failure(entry.dagster_event) for entry in entries if entry.dagster_event is not None]
