"""Asset checks of studies: what must hold of their rows, and whether MLflow tells the same.

Here belongs handing rules to Dagster; what a rule says is in ``panic_assets.lake.study_rules``. Rows without their
origin stop what comes after; a doubt, such as a pair that lost a trial, is told and stops nothing.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import dagster as dg

from panic_assets.defs.partitions import STUDIES
from panic_assets.defs.resources import Laboratory
from panic_assets.lake import connect
from panic_assets.lake.rules import Rule, judge
from panic_assets.lake.study_rules import DOUBTS, TIES
from panic_assets.studies.bench import Bench

#: The asset that makes a table, where they differ in name.
_MAKERS = {"trials": "study_trials", "artifacts": "study_trials"}
#: MLflow is to tell the same of as many trials.
LEAST_SHARE = 0.999
_SHOWN = 20


def _check_of(rule: Rule, blocking: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=rule.name,
        asset=_MAKERS.get(rule.asset, rule.asset),
        description=rule.meaning,
        blocking=blocking,
        partitions_def=STUDIES,
    )
    def check(context: dg.AssetCheckExecutionContext, laboratory: Laboratory) -> dg.AssetCheckResult:
        with connect(laboratory.lake.root, rule.tables) as connection:
            verdict = judge(connection, rule, context.partition_key)
        return dg.AssetCheckResult(
            passed=verdict.holds,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=None if verdict.holds else verdict.sentence,
            metadata={"broken_rows": verdict.count, "examples": dg.MetadataValue.json(verdict.examples)},
        )

    return check


@dg.asset_check(
    name="mlflow_agrees",
    asset="trial_metrics",
    description="MLflow tells the same of each trial: parameters, tags, measures at every epoch, state and files. What "
    "it lacked is made up for first.",
    blocking=False,
    partitions_def=STUDIES,
)
def mlflow_agrees(context: dg.AssetCheckExecutionContext, laboratory: Laboratory) -> dg.AssetCheckResult:
    """Reconcile, and say how far both sides agree."""
    from panic_assets.studies import stage
    from panic_assets.studies.tracking.errors import TrackingError

    bench = Bench(laboratory.root)
    if not bench.files.study(context.partition_key).tracking.mlflow:
        return dg.AssetCheckResult(passed=True, description="the study file says that MLflow is told nothing")
    try:
        done = stage.reconcile(bench, context.partition_key)
    except TrackingError as error:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=str(error))
    left = [f"{one.trial_id}: {one.kind}: {one.detail}" for one in done.disagreements[:_SHOWN]]
    return dg.AssetCheckResult(
        passed=done.share >= LEAST_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "trials": done.trials,
            "share": done.share,
            "share_before": done.share_before,
            "runs_created": done.created,
            "trials_mended": done.mended,
            "disagreements": dg.MetadataValue.json(left),
        },
    )


STUDY_CHECKS = [
    *(_check_of(rule, blocking=True) for rule in TIES),
    *(_check_of(rule, blocking=False) for rule in DOUBTS),
    mlflow_agrees,
]
