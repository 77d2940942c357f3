"""What starts studies: their job, and the sensor over study files.

Here belongs when a study is run; what its steps do is in ``studies``. How files are told apart is in ``watching``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from panic_assets.defs.automation import STARTS_AT_ONCE, reason_of, running_partitions, tell_of_files
from panic_assets.defs.intervals import SENSOR_SECONDS
from panic_assets.defs.partitions import STUDIES
from panic_assets.defs.resources import Laboratory
from panic_assets.defs.studies import STUDY_ASSETS, STUDY_JOB
from panic_assets.defs.watching import Memory, look_at, news
from panic_assets.lake import Lake
from panic_assets.studies.bench import Bench
from panic_assets.studies.spec import StudySpec

study_job = dg.define_asset_job(
    STUDY_JOB,
    selection=dg.AssetSelection.assets(*(asset.key for asset in STUDY_ASSETS), "catalog"),
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="One study from its file to its report: what is trained already is not trained again.",
)


@dg.sensor(
    # By its name: Dagster binds resources to the job, and would make the sensor anew for it, with a warning.
    job_name=STUDY_JOB,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers and starts the studies whose files are new or changed, once the lake holds the experiments "
    "that they learn from. A broken file is named in the reason why nothing was started, and notified once.",
)
def study_files(context: dg.SensorEvaluationContext, laboratory: Laboratory) -> dg.SensorResult:
    """Compare the files with those of the last tick; each change of a study leads to one run."""
    before = Memory.parse(context.cursor)
    bench = Bench(laboratory.root)
    found = look_at(bench.files.paths(), before.files, _identify)
    untold, told = news(found.problems, before.told)
    if untold:
        tell_of_files(context, laboratory, untold)
    changed = [name for name, value in found.ready.items() if before.started.get(name) != value]
    running = running_partitions(context.instance, of_studies=True) if changed else set()
    awaited = _awaited(bench, context.instance, [name for name in changed if name not in running])
    starting = [name for name in changed if name not in running and name not in awaited][:STARTS_AT_ONCE]
    started = {name: before.started[name] for name in found.ready if name in before.started}
    started |= {name: found.ready[name] for name in starting}
    cursor = Memory(found.files, started, told).dump()
    if not starting:
        reasons = [reason_of(found, [name for name in changed if name in running], "studies")]
        reasons += [f"Study {name} waits for experiment {other}." for name, other in awaited.items()]
        return dg.SensorResult(skip_reason=" ".join(reasons), cursor=cursor)
    partitions = set(context.instance.get_dynamic_partitions(str(STUDIES.name)))
    new = [name for name in starting if name not in partitions]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=name) for name in starting],
        dynamic_partitions_requests=[STUDIES.build_add_request(new)] if new else [],
        cursor=cursor,
    )


def _identify(path: Path) -> tuple[str, str]:
    spec = StudySpec.load(path)
    return spec.name, spec.spec_id[:16]


def _awaited(bench: Bench, instance: dg.DagsterInstance, names: Iterable[str]) -> dict[str, str]:
    """Studies that can't be started yet, each with an experiment that is not embedded, or that is being run."""
    waiting = {}
    busy: set[str] | None = None
    for name in names:
        experiments = bench.files.study(name).data.experiments
        if experiments and busy is None:
            busy = running_partitions(instance, of_studies=False)
        for experiment in experiments:
            if experiment in (busy or ()) or not _is_embedded(bench.lake, experiment):
                waiting[name] = experiment
                break
    return waiting


def _is_embedded(lake: Lake, experiment: str) -> bool:
    manifest = lake.manifest("embeddings", experiment)
    return manifest is not None and manifest.rows > 0
