"""The assets of codecs: what storing an experiment's pictures would cost in each, and what that comes to.

Here belongs what Dagster is told; the numbers come from ``panic_assets.codec.rates``, page and figure from
``reports.codec``. Nothing starts these assets but a person: they take a minute, and most experiments never need them.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import time

import dagster as dg

from panic_assets.defs.assets import GPU_POOL
from panic_assets.defs.metadata import figure, plain, table_metadata
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.patience import patient
from panic_assets.defs.progress import Observer
from panic_assets.defs.resources import Laboratory, Models

GROUP, CODEC_JOB = "codec", "codec"


class Remeasuring(dg.Config):
    """Whether rates are to be measured anew though they would be the same, times aside."""

    anew: bool = False


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=GROUP,
    deps=["images"],
    kinds={"parquet"},
    # Its times would be wrong beside a loop, which keeps all cores busy.
    pool=GPU_POOL,
    description="Bytes, likeness and drift of a sample of the pictures in this project's codec, AVIF, WebP, JPEG, PNG.",
)
@patient
def codec_rate_distortion(
    context: dg.AssetExecutionContext, config: Remeasuring, laboratory: Laboratory, models: Models
) -> dg.MaterializeResult:
    """Table ``codec_rates``."""
    from panic_assets.codec.rates import RATES, measure_experiment
    from panic_assets.reports.codec.figures import rates_figure
    from panic_assets.reports.figures.files import png_of

    started, experiment = time.perf_counter(), context.partition_key
    summary = measure_experiment(
        laboratory.lake,
        experiment,
        models.registry,
        Observer(context, "codec_rate_distortion").count,
        anew=config.anew,
    )
    if summary.why_not:
        context.log.warning(summary.why_not)
    numbers = table_metadata(laboratory.lake, RATES, experiment, time.perf_counter() - started, summary.computed)
    facts = {
        "pictures": summary.pictures,
        "pictures_without_loss": summary.of,
        "embedding_model": summary.embedding_model,
        "why_not": summary.why_not or None,
    }
    picture = figure(png_of(rates_figure, laboratory.lake, experiment), "Likeness against bytes")
    return dg.MaterializeResult(metadata=numbers | plain(facts) | picture)


@dg.asset(
    partitions_def=EXPERIMENTS,
    group_name=GROUP,
    deps=["codec_rate_distortion"],
    kinds={"parquet"},
    description="How many fewer or more bytes the project's codec needs than others at equal likeness; a page of it.",
)
@patient
def codec_report(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Table ``codec_comparisons``, and the page ``reports/<experiment>.codec.html``."""
    from panic_assets.codec.rates import COMPARISONS, compare_experiment
    from panic_assets.codec.verdicts import headline
    from panic_assets.reports.codec.contents import report_path
    from panic_assets.reports.codec.render import write_codec_report

    started, experiment = time.perf_counter(), context.partition_key
    found = compare_experiment(laboratory.lake, experiment)
    path = write_codec_report(laboratory.lake, experiment, report_path(laboratory.root, experiment))
    numbers = table_metadata(laboratory.lake, COMPARISONS, experiment, time.perf_counter() - started)
    said = [one.sentence for one in found if one.counted == "files"]
    listed = "\n".join(f"- {sentence}" for sentence in said) or "Nothing was compared."
    told = {"found": dg.MetadataValue.md(listed), "path": dg.MetadataValue.path(str(path))}
    return dg.MaterializeResult(metadata=numbers | told | plain({"headline": headline(found) or None}))


CODEC_ASSETS = [codec_rate_distortion, codec_report]

codec_job = dg.define_asset_job(
    CODEC_JOB,
    selection=dg.AssetSelection.assets(*(asset.key for asset in CODEC_ASSETS), "catalog"),
    tags={"dagster/retry_strategy": "ALL_STEPS"},
    description="What each codec would make of one experiment's pictures; part of no other job.",
)
