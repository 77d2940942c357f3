"""The assets of the main graph: an experiment's stages, and what is made of all experiments together.

Here belongs which stage follows which. Each function reads as one paragraph: load, call one function, tell.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import time
from collections.abc import Iterator

import dagster as dg

from panic_assets.defs.metadata import figure, plain, table_metadata
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.patience import patient
from panic_assets.defs.progress import Observer
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.dynamics.analyses import ANALYSES

LOOP, TOPOLOGY, CLUSTERS, CATALOG = "loop", "topology", "clustering", "catalog"
# A device does one thing at a time: steps that use models wait for one another, in all processes of an instance. So do
# those that write what is of all experiments together.
GPU_POOL, LAKE_POOL = "gpu", "lake"
_AS_NEW_DATA_COMES = dg.AutomationCondition.eager()
# Over all experiments: eager would wait until none is incomplete, so follow each update, but not each of a burst. An
# update that comes while clusters are being made counts as handled with them: the next one brings it in, or the night.
_AS_ANY_EXPERIMENT_CHANGES = (
    dg.AutomationCondition.any_deps_updated().since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=LOOP,
    kinds={"parquet"},
    description="What is to be run: every network from every prompt with every seed, each under a number that stays.",
)
@patient
def runs(context: dg.AssetExecutionContext, laboratory: Laboratory, models: Models) -> dg.MaterializeResult:
    """Tables ``experiments``, ``prompts`` and ``runs``."""
    from panic_assets.loop.planning import register

    started = time.perf_counter()
    experiment = laboratory.files.experiment(context.partition_key)
    plans = register(laboratory.lake, experiment, models.resolve(experiment))
    numbers = table_metadata(laboratory.lake, "runs", experiment.name, time.perf_counter() - started)
    return dg.MaterializeResult(
        metadata=numbers
        | plain(
            {
                "networks": len(experiment.networks),
                "prompts": len(experiment.prompts),
                "seeds": len(experiment.seeds),
                "invocations_at_most": sum(plan.max_length for plan in plans),
            }
        )
    )


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "invocations",
            deps=["runs"],
            description="Every model call and its output, in order.",
            kinds={"parquet", "pytorch"},
            automation_condition=_AS_NEW_DATA_COMES,
        ),
        dg.AssetSpec(
            "images",
            deps=["runs"],
            description="Every distinct picture, once, by the hash of its pixels.",
            kinds={"parquet"},
            automation_condition=_AS_NEW_DATA_COMES,
        ),
        dg.AssetSpec(
            "outcomes",
            deps=["runs"],
            description="How each run ended: at its length, in a cycle, or with an error.",
            kinds={"parquet"},
            automation_condition=_AS_NEW_DATA_COMES,
        ),
    ],
    name="loop",
    partitions_def=EXPERIMENTS,
    group_name=LOOP,
    pool=GPU_POOL,
)
@patient
def invocations(
    context: dg.AssetExecutionContext, laboratory: Laboratory, models: Models
) -> Iterator[dg.MaterializeResult]:
    """Advance all runs to their ends; what the lake holds already is not computed again."""
    from panic_assets.loop.engine import run_experiment
    from panic_assets.loop.planning import register
    from panic_assets.reports.figures.files import png_of
    from panic_assets.reports.figures.strips import film_strips

    experiment = laboratory.files.experiment(context.partition_key)
    entries = models.resolve(experiment)
    plans = register(laboratory.lake, experiment, entries)
    observer = Observer(context, "invocations")
    devices = models.opened if plans else []  # of an imported experiment nothing is run
    summary = run_experiment(
        laboratory.lake, experiment, plans, entries, devices, observer.engine, facts=laboratory.facts
    )
    context.log.info(
        f"{summary.computed} of {summary.invocations} invocations computed in {summary.seconds:.1f} s, "
        f"{summary.model_seconds:.1f} s of it in models; runs ended: {summary.stop_reasons}"
    )
    facts = plain(
        {
            "stop_reasons": summary.stop_reasons,
            "model_calls": summary.calls,
            "model_seconds": round(summary.model_seconds, 3),
            "loading_seconds": round(summary.loading_seconds, 3),
            "share_of_time_outside_models": round(summary.overhead, 4),
            "events": summary.events,
        }
    )
    pictures = {"images": figure(png_of(film_strips, laboratory.lake, experiment.name), "One run of each network")}
    for table in ("invocations", "images", "outcomes"):
        numbers = table_metadata(laboratory.lake, table, experiment.name, summary.seconds, summary.computed)
        yield dg.MaterializeResult(asset_key=table, metadata=numbers | facts | pictures.get(table, {}))


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=LOOP,
    deps=["invocations", "images"],
    kinds={"parquet", "pytorch"},
    pool=GPU_POOL,
    automation_condition=_AS_NEW_DATA_COMES,
    description="Every output as a vector in each embedding space; the prompt is the point at sequence number -1.",
)
@patient
def embeddings(context: dg.AssetExecutionContext, laboratory: Laboratory, models: Models) -> dg.MaterializeResult:
    """Table ``embeddings``."""
    from panic_assets.loop.embedding import embed_experiment, pending_points
    from panic_assets.reports.figures.drift import drift_from_prompt
    from panic_assets.reports.figures.files import png_of

    started = time.perf_counter()
    experiment = laboratory.files.experiment(context.partition_key)
    observer = Observer(context, "embeddings")
    entries = models.resolve(experiment)
    is_pending = any(
        pending_points(laboratory.lake, experiment.name, entries[name])[0] for name in experiment.embedding_models
    )
    devices = models.opened if is_pending else []  # opening them takes seconds on a GPU
    summaries = embed_experiment(laboratory.lake, experiment, entries, devices, observer.embeddings, laboratory.facts)
    computed = sum(summary.computed for summary in summaries)
    numbers = table_metadata(laboratory.lake, "embeddings", experiment.name, time.perf_counter() - started, computed)
    per_model = {s.embedding_model: {"rows": s.rows, "computed": s.computed} for s in summaries}
    picture = figure(png_of(drift_from_prompt, laboratory.lake, experiment.name), "Distance from the prompt")
    return dg.MaterializeResult(metadata=numbers | plain({"embedding_models": per_model}) | picture)


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=TOPOLOGY,
    deps=["embeddings"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="Vietoris-Rips persistence of each trajectory in homology dimensions 0, 1 and 2.",
)
@patient
def persistence_diagrams(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Tables ``persistence_diagrams`` and ``persistence_features``."""
    from panic_assets.reports.figures.diagrams import persistence_scatter
    from panic_assets.reports.figures.files import png_of
    from panic_assets.topology.stage import persist_experiment

    started = time.perf_counter()
    observer = Observer(context, "persistence_diagrams")
    summary = persist_experiment(
        laboratory.lake,
        context.partition_key,
        budget_seconds=laboratory.seconds_per_diagram,
        on_progress=observer.count,
    )
    numbers = table_metadata(
        laboratory.lake, "persistence_diagrams", context.partition_key, time.perf_counter() - started, summary.computed
    )
    picture = figure(png_of(persistence_scatter, laboratory.lake, context.partition_key), "Persistence diagrams")
    facts = plain({"trajectories": summary.trajectories, "status": summary.status})
    return dg.MaterializeResult(metadata=numbers | facts | picture)


class Reclustering(dg.Config):
    """Whether clusters are to be made anew; else new points are put to those that there are."""

    anew: bool = False


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=TOPOLOGY,
    deps=["persistence_diagrams"],
    kinds={"parquet"},
    automation_condition=_AS_NEW_DATA_COMES,
    description="Distances between the persistence diagrams of all pairs of runs.",
)
@patient
def diagram_distances(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``diagram_distances``."""
    from panic_assets.topology.distance_stage import relate_experiment

    started = time.perf_counter()
    observer = Observer(context, "diagram_distances")
    summary = relate_experiment(laboratory.lake, context.partition_key, on_progress=observer.count)
    numbers = table_metadata(
        laboratory.lake, "diagram_distances", context.partition_key, time.perf_counter() - started, summary.computed
    )
    return dg.MaterializeResult(metadata=numbers | plain({"pairs": summary.pairs, "sampled": list(summary.sampled)}))


@dg.asset(
    group_name=CLUSTERS,
    deps=[dg.AssetDep("embeddings", partition_mapping=dg.AllPartitionMapping())],
    kinds={"parquet"},
    pool=LAKE_POOL,
    automation_condition=_AS_ANY_EXPERIMENT_CHANGES,
    description="Dense regions of each embedding space over all experiments (HDBSCAN), each with its medoid.",
)
@patient
def clusters(context: dg.AssetExecutionContext, config: Reclustering, laboratory: Laboratory) -> dg.MaterializeResult:
    """Tables ``clusterings``, ``clusters`` and ``cluster_assignments``."""
    from panic_assets.clustering.stage import cluster_lake
    from panic_assets.reports.figures.clusters import cluster_sizes
    from panic_assets.reports.figures.files import png_of

    started = time.perf_counter()
    summaries = cluster_lake(laboratory.lake, force=config.anew)
    computed = sum(summary.computed for summary in summaries)
    numbers = table_metadata(laboratory.lake, "clusters", None, time.perf_counter() - started, computed)
    found = {
        f"{s.space}, {s.modality}": {
            "points": s.points,
            "distinct_points": s.distinct_points,
            "clusters": s.clusters,
            "outlier_share": round(s.outlier_share, 4),
            "assigned_later": s.assigned_later,
            "recomputed": s.recomputed,
        }
        for s in summaries
    }
    picture = figure(png_of(cluster_sizes, laboratory.lake, ""), "Largest clusters")
    return dg.MaterializeResult(metadata=numbers | plain({"clusterings": found}) | picture)


@dg.asset(
    group_name=CATALOG,
    deps=[
        dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping())
        for name in (
            *("runs", "invocations", "images", "outcomes", "embeddings", "persistence_diagrams", "diagram_distances"),
            *(analysis.name for analysis in ANALYSES),
        )
    ]
    + [dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in ("codec_report", "study_comparison")]
    + [dg.AssetDep("clusters"), dg.AssetDep("compaction")],
    kinds={"duckdb"},
    pool=LAKE_POOL,
    automation_condition=_AS_ANY_EXPERIMENT_CHANGES,
    description="A DuckDB file of views over the lake, for any SQL client.",
)
def catalog(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """The file ``catalog.duckdb``: built aside and swapped in. Then parts go that no reader can hold any more."""
    from panic_assets.lake import build_catalog

    started = time.perf_counter()
    path = build_catalog(laboratory.lake.root, laboratory.catalog)
    removed = laboratory.lake.tidy()  # only now: the catalog before this one may have named what goes
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(path)),
            "bytes": path.stat().st_size,
            "old_parts_removed": removed,
            "seconds": round(time.perf_counter() - started, 3),
        }
    )


ASSETS = [runs, invocations, embeddings, persistence_diagrams, diagram_distances, clusters, catalog]
