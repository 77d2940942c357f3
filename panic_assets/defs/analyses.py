"""One asset for each analysis: they are data, so that a new one needs no code here.

Here belongs how an analysis becomes an asset; what it computes is in ``panic_assets.dynamics``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import time

import dagster as dg

from panic_assets.defs.metadata import figure, plain
from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.patience import patient
from panic_assets.defs.resources import Laboratory
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.dynamics.stage import Analysis

GROUP = "analyses"
#: The asset that makes a table, where they differ in name.
_MAKERS = {
    "prompts": "runs",
    "clusterings": "clusters",
    "cluster_assignments": "clusters",
    "persistence_features": "persistence_diagrams",
}


def _asset_of(analysis: Analysis) -> dg.AssetsDefinition:
    makers = dict.fromkeys(_MAKERS.get(table, table) for table in analysis.reads)

    @dg.asset(
        name=analysis.name,
        partitions_def=EXPERIMENTS,
        group_name=GROUP,
        deps=list(makers),
        kinds={"parquet"},
        description=f"{analysis.description} Definition and limits: docs/analyses/{analysis.name}.md.",
        automation_condition=dg.AutomationCondition.eager(),
    )
    @patient
    def asset(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
        from panic_assets.dynamics.stage import analyse
        from panic_assets.reports.figures.files import figure_of
        from panic_assets.reports.findings import headline

        started = time.perf_counter()
        summary = analyse(laboratory.lake, context.partition_key, analysis)
        facts = {
            "rows": summary.rows,
            "computed": sum(summary.rows.values()) if summary.computed else 0,
            "seconds": round(time.perf_counter() - started, 3),
        }
        found = dg.MetadataValue.md(headline(laboratory.lake, context.partition_key, analysis.name))
        # Drawing may take longer than finding that nothing is new.
        drawn = figure_of(laboratory.lake, context.partition_key, analysis.name) if summary.computed else None
        picture = figure(drawn, analysis.title)
        return dg.MaterializeResult(metadata=plain(facts) | {"found": found} | picture)

    return asset


ANALYSIS_ASSETS = [_asset_of(analysis) for analysis in ANALYSES]
