"""Asset checks: the integrity rules of the lake, blocking what comes after.

Here belongs handing rules to Dagster; what a rule says is in ``panic_assets.lake.rules``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import dagster as dg

from panic_assets.defs.partitions import EXPERIMENTS
from panic_assets.defs.resources import Laboratory
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake import connect
from panic_assets.lake.analysis_rules import DISTANCES, soundness_of
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets.lake.rules import RULES, Rule, judge

#: The asset that makes a table, where they differ in name.
_MAKERS = {"codec_rates": "codec_rate_distortion", "codec_comparisons": "codec_report"}


def _check_of(rule: Rule) -> dg.AssetChecksDefinition:
    """One check that can be run by itself, too; what is downstream waits for it."""

    @dg.asset_check(
        name=rule.name,
        asset=_MAKERS.get(rule.asset, rule.asset),
        description=rule.meaning,
        blocking=True,
        partitions_def=EXPERIMENTS if rule.of_experiment else None,
    )
    def check(context: dg.AssetCheckExecutionContext, laboratory: Laboratory) -> dg.AssetCheckResult:
        with connect(laboratory.lake.root, rule.tables) as connection:
            verdict = judge(connection, rule, context.partition_key if rule.of_experiment else None)
        return dg.AssetCheckResult(
            passed=verdict.holds,
            description=None if verdict.holds else verdict.sentence,
            metadata={"broken_rows": verdict.count, "examples": dg.MetadataValue.json(verdict.examples)},
        )

    return check


CHECKS = [_check_of(rule) for rule in (*RULES, DISTANCES, *(soundness_of(analysis.name) for analysis in ANALYSES))]
CODEC_CHECKS = [_check_of(rule) for rule in CODEC_RULES]
