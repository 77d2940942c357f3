"""The assets of the night: compaction of the lake, and its examination.

Here belongs when they come and what they tell; what they do is in ``panic_assets.upkeep``.
"""

# Dagster reads the annotations of these functions as objects, so they can't be postponed.
import time

import dagster as dg

from panic_assets.defs.metadata import plain
from panic_assets.defs.progress import Observer
from panic_assets.defs.resources import Laboratory
from panic_assets.upkeep.findings import Finding

GROUP = "upkeep"
_SHOWN, _LARGEST = 20, 100  # findings in words, and as metadata


@dg.asset(
    group_name=GROUP,
    kinds={"parquet"},
    description="Partitions of many small parts, made few large ones; those that are being written wait for the next "
    "night.",
)
def compaction(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Fewer and larger Parquet files; no row changes."""
    from panic_assets.upkeep.compaction import compact_lake

    started = time.perf_counter()
    done = compact_lake(laboratory.lake, on_progress=Observer(context, "compaction").count)
    return dg.MaterializeResult(metadata=plain(done.as_json() | {"seconds": round(time.perf_counter() - started, 3)}))


class Thoroughness(dg.Config):
    """Whether to leave out what takes long: reading every byte."""

    quick: bool = True


# It comes after nothing: where something is broken, what it would wait for fails.
@dg.asset(
    group_name=GROUP,
    description="What is wrong with the lake, if anything; it fails if something is broken. Every night all bytes are "
    "read.",
)
def examination(
    context: dg.AssetExecutionContext, config: Thoroughness, laboratory: Laboratory
) -> dg.MaterializeResult:
    """The doctor's findings by severity."""
    from panic_assets.upkeep.doctor import examine
    from panic_assets.upkeep.findings import SEVERITIES

    observer = Observer(context, "examination")
    found = examine(laboratory.root, quick=config.quick, on_progress=lambda pace: observer.count(pace.done, pace.total))
    counts: dict[str, object] = {
        severity: sum(f.severity == severity for f in found.findings) for severity in SEVERITIES
    }
    told = [finding.as_dict() for finding in found.findings[:_LARGEST]]  # the event log stores them several times over
    metadata = plain({**counts, "examined": vars(found.examined), "findings": told})
    broken = [_words(finding) for finding in found.findings if finding.severity == "broken"]
    if broken:
        more = [f"and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
        lines = "\n".join(f"- {words}" for words in [*broken[:_SHOWN], *more])
        title = f"{laboratory.root} is broken ({len(broken)} finding{'s' if len(broken) > 1 else ''}):"
        raise dg.Failure(f"{title}\n{lines}", metadata=metadata, allow_retries=False)
    return dg.MaterializeResult(metadata=metadata)


def _words(finding: Finding) -> str:
    place = "/".join(part for part in finding.place if part)
    return f"{place + ': ' if place else ''}{finding.message}; {finding.remedy}"


UPKEEP_ASSETS = [compaction, examination]
