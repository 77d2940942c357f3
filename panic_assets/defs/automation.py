"""What starts by itself: the chain as jobs, the sensor over experiment files, the nightly job.

Here belong jobs, sensors and schedules, nothing that an asset does. How files are told apart is in ``watching``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from panic_assets.defs.analyses import ANALYSIS_ASSETS
from panic_assets.defs.intervals import SENSOR_SECONDS
from panic_assets.defs.notify import Notice, tell
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.defs.studies import is_of_study
from panic_assets.defs.upkeep import UPKEEP_ASSETS
from panic_assets.defs.watching import Look, Memory, has_changes, look, news, stamp_of
from panic_assets.experiment import Experiment
from panic_assets.models.errors import ModelError
from panic_assets.models.registry import Registry

PER_EXPERIMENT = dg.AssetSelection.assets(
    "runs", "invocations", "images", "outcomes", "embeddings", "persistence_diagrams", "diagram_distances"
)
OVER_ALL = dg.AssetSelection.assets("clusters", "catalog")
ANALYSES = dg.AssetSelection.assets(*(asset.key for asset in ANALYSIS_ASSETS))
UPKEEP = dg.AssetSelection.assets(*(asset.key for asset in UPKEEP_ASSETS))

#: Runs that one tick starts at most; the others follow at the next.
STARTS_AT_ONCE = 25
_PARTITION, _WILL_RETRY, _RETRIED_AS = "dagster/partition", "dagster/will_retry", "dagster/auto_retry_run_id"
#: A run that is to be retried for longer than this is not going to be.
_RETRY_GAP = timedelta(minutes=10)

experiment_job = dg.define_asset_job(
    "experiment",
    selection=PER_EXPERIMENT | OVER_ALL | ANALYSES,
    # A retried run asks all steps again, each of which goes on from what the lake holds. Dagster's own way, only the
    # steps that failed, would leave out those that an edit of the file meanwhile has made stale.
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="One experiment from its file to its analyses, with clusters and catalog.",
)
nightly_job = dg.define_asset_job(
    "nightly",
    selection=OVER_ALL | UPKEEP,
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="All clusters anew, small Parquet files made large ones, old ones collected, the lake examined.",
)

nightly = dg.ScheduleDefinition(
    name="nightly",
    job=nightly_job,
    cron_schedule="0 4 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    run_config={
        "ops": {
            # By day new points only join the clusters that there are, so that these keep their numbers while people
            # look.
            "clusters": {"config": {"anew": True}},
            "examination": {"config": {"quick": False}},
        }
    },
    description="Every night at four: clusters over all experiments anew (nothing is computed if no embedding is new), "
    "compaction, catalog, collection of old files, and an examination of the whole lake, which fails if something is "
    "broken.",
)

follow_updates = dg.AutomationConditionSensorDefinition(
    "follow_updates",
    target=dg.AssetSelection.all(),
    # The job of an experiment makes everything already. On top of it, conditions would restart what a person has
    # cancelled, and pass by a check that stopped a run.
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=SENSOR_SECONDS,
    description="Off, as the job of an experiment makes all its assets. Switch it on if you materialise single assets "
    "by hand and want what depends on them to follow.",
)


@dg.sensor(
    job=experiment_job,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers and starts the experiments whose files are new or changed. A broken file is named in the "
    "reason why nothing was started, and notified once; an experiment that is running is started again afterwards.",
)
def experiment_files(
    context: dg.SensorEvaluationContext, laboratory: Laboratory, models: Models
) -> dg.SensorResult | dg.SkipReason:
    """Compare the files with those of the last tick; each change of an experiment leads to one run."""
    before = Memory.parse(context.cursor)
    own_models = stamp_of(laboratory.root / "models.yaml")
    # What is wrong with a file may be mended in the registry.
    known = {name: seen for name, seen in before.files.items() if own_models == before.models or not seen.problem}
    paths = laboratory.files.paths()
    try:
        # A code server lives for a minute, so that the registry would be parsed for every other tick.
        registry = models.registry if has_changes(paths, known) else Registry([])
    except ModelError as error:
        return dg.SensorResult(skip_reason=f"The model registry is broken: {error}", cursor=context.cursor)
    found = look(paths, known, lambda experiment: _check(experiment, registry))
    untold, told = news(found.problems, before.told)
    if untold:
        tell_of_files(context, laboratory, untold)
    changed = [name for name, value in found.ready.items() if before.started.get(name) != value]
    running = running_partitions(context.instance, of_studies=False) if changed else set()
    starting = [name for name in changed if name not in running][:STARTS_AT_ONCE]
    started = {name: before.started[name] for name in found.ready if name in before.started}
    started |= {name: found.ready[name] for name in starting}
    cursor = Memory(found.files, started, told, own_models).dump()
    if not starting:
        return dg.SensorResult(skip_reason=reason_of(found, changed), cursor=cursor)
    partitions = set(context.instance.get_dynamic_partitions(str(EXPERIMENTS.name)))
    new = [name for name in starting if name not in partitions]
    return dg.SensorResult(
        # Without run keys, of which Dagster starts each but once: a file that is changed back is started, too.
        run_requests=[dg.RunRequest(partition_key=name) for name in starting],
        dynamic_partitions_requests=[EXPERIMENTS.build_add_request(new)] if new else [],
        cursor=cursor,
    )


def _check(experiment: Experiment, registry: Registry) -> None:
    experiment.check(registry)
    registry.with_overrides(experiment.models)


def running_partitions(instance: dg.DagsterInstance, of_studies: bool) -> set[str]:
    """Experiments, or studies, with a run that is not over, or that failed and is about to be retried."""
    unfinished = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    failed = instance.get_runs(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={_WILL_RETRY: "true"},
            updated_after=datetime.now(UTC) - _RETRY_GAP,
        )
    )
    # Runs of other processes than a code server have no origin, and are not retried.
    awaited = [run for run in failed if _RETRIED_AS not in run.tags and run.remote_job_origin is not None]
    # An experiment and a study may have one name.
    ours = [run for run in [*unfinished, *awaited] if is_of_study(run) == of_studies]
    return {run.tags[_PARTITION] for run in ours if _PARTITION in run.tags}


def tell_of_files(context: dg.SensorEvaluationContext, laboratory: Laboratory, problems: Mapping[str, str]) -> None:
    """Notify people of files that can't be run as written."""
    for name, problem in problems.items():
        context.log.warning(f"{name}: {problem}")
    words = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
    notice = Notice("broken_files", f"panic_assets: can't be run as written: {words}", {"files": dict(problems)})
    became = tell(notice, laboratory.root)
    if became not in ("sent", "no webhook"):
        context.log.warning(f"the webhook was not told: {became}")


def reason_of(found: Look, waiting: list[str], what: str = "experiments") -> str:
    """Why nothing is started."""
    parts = [f"{len(found.ready)} {what}, none new or changed"]
    if waiting:
        parts = [f"{len(found.ready)} {what}; changed, and started when their run is over: {', '.join(waiting)}"]
    if found.unsettled:
        parts.append(f"{len(found.unsettled)} files are still being written: {', '.join(found.unsettled[:5])}")
    parts += [f"{name} is broken: {problem}" for name, problem in sorted(found.problems.items())[:10]]
    if len(found.problems) > 10:
        parts.append(f"and {len(found.problems) - 10} more files are broken")
    return ". ".join(part.rstrip(".") for part in parts) + "."
