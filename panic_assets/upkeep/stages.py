"""Stages that an experiment has not been through yet.

Here belongs what no rule about rows can tell, because there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake.manifest import Manifest
from panic_assets.upkeep.findings import EXAMPLES, Finding, Place


def to_do(connection: duckdb.DuckDBPyConnection, name: str, manifests: Mapping[Place, Manifest]) -> Iterator[Finding]:
    """Stages that were never run."""
    counts = connection.execute(
        """SELECT (SELECT count(*) FROM embeddings WHERE sequence_number >= 0),
                  (SELECT count(DISTINCT run_number) FROM persistence_diagrams), (SELECT count(*) FROM runs_only)"""
    ).fetchall()[0]
    if counts[0] and counts[2]:
        held = manifests.get(("dynamics", name))
        marks = held.properties if held else {}
        missing = [analysis.name for analysis in ANALYSES if f"analysis:{analysis.name}" not in marks]
        if missing:
            examples = tuple({"analysis": one} for one in missing[:EXAMPLES])
            message = "the analyses are made"
            yield Finding(
                "analyses_are_made",
                "to_do",
                message,
                f"panic run {name}",
                "dynamics",
                name,
                None,
                len(missing),
                examples,
            )
    if counts[1] > 1 and ("diagram_distances", name) not in manifests:
        message = "diagrams are compared"
        yield Finding("diagrams_are_compared", "to_do", message, f"panic run {name}", "diagram_distances", name)
