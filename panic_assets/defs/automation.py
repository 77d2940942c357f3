"""What starts by itself: the chain as jobs, the sensor over experiment files, the nightly clustering.

Here belong jobs, sensors and schedules, nothing that an asset does.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import json

import dagster as dg

from panic_assets.defs.analyses import ANALYSIS_ASSETS
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.resources import Laboratory
from panic_assets.experiment import Experiment
from panic_assets.loop.ids import content_id

PER_EXPERIMENT = dg.AssetSelection.assets(
    "runs", "invocations", "images", "outcomes", "embeddings", "persistence_diagrams", "diagram_distances"
)
OVER_ALL = dg.AssetSelection.assets("clusters", "catalog")
ANALYSES = dg.AssetSelection.assets(*(asset.key for asset in ANALYSIS_ASSETS))

experiment_job = dg.define_asset_job(
    "experiment",
    selection=PER_EXPERIMENT | OVER_ALL | ANALYSES,
    description="One experiment from its file to its analyses, with clusters and catalog.",
)
clusters_job = dg.define_asset_job(
    "clusters_and_catalog", selection=OVER_ALL, description="Cluster all experiments again and rebuild the catalog."
)

recluster = dg.ScheduleDefinition(
    name="recluster",
    job=clusters_job,
    cron_schedule="0 4 * * *",
    # By day new points only join the clusters that there are, so that these keep their numbers while people look.
    run_config={"ops": {"clusters": {"config": {"anew": True}}}},
    description="Every night: clusters over all experiments, anew. Nothing is computed if no embedding is new.",
)


@dg.sensor(
    job=experiment_job,
    minimum_interval_seconds=30,
    description="Registers and starts the experiments whose files are new or changed.",
)
def experiment_files(context: dg.SensorEvaluationContext, laboratory: Laboratory) -> dg.SensorResult | dg.SkipReason:
    """Compare the files with those of the last tick; a broken file is logged and tried again when it changes."""
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    experiments, broken = laboratory.files.read()
    for error in broken.values():
        context.log.warning(str(error))
    now = {name: fingerprint(experiment) for name, (_, experiment) in experiments.items()}
    changed = [name for name, value in now.items() if seen.get(name) != value]
    if not changed:
        return dg.SkipReason(f"{len(now)} experiment files, none new or changed; {len(broken)} broken")
    known = set(context.instance.get_dynamic_partitions(EXPERIMENTS.name or ""))
    new = [name for name in changed if name not in known]
    return dg.SensorResult(
        # Without run keys, of which Dagster starts each but once: a file that is changed back is started, too.
        run_requests=[dg.RunRequest(partition_key=name) for name in changed],
        dynamic_partitions_requests=[EXPERIMENTS.build_add_request(new)] if new else [],
        cursor=json.dumps(now),
    )


def fingerprint(experiment: Experiment) -> str:
    """Changes when the experiment does; a comment in its file does not change it."""
    return content_id(experiment.config).hex()
