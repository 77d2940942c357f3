"""Marks of what is done: properties by which a stage knows what it need not do again.

Here belongs which marks are true. A mark of what is gone would keep its stage from making it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import duckdb

_PLACE = "embedding_model, modality, homology_dimension"
#: Tables whose properties hold marks.
MARKED = ("persistence_diagrams", "diagram_distances", "dynamics")


def true_marks(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    experiment: str,
    properties: Mapping[str, Any],
    lost_analyses: Collection[str] = (),
) -> dict[str, Any]:
    """The properties of a partition without the marks of what its rows don't hold."""
    kept = dict(properties)
    if table == "persistence_diagrams" and isinstance(kept.get("trajectories"), dict):
        names = "run_number, embedding_model, modality"
        there = {"/".join(map(str, row[:-1])) for row in _rows(connection, table, experiment, names)}
        kept["trajectories"] = {name: mark for name, mark in kept["trajectories"].items() if name in there}
    elif table == "diagram_distances" and isinstance(kept.get("diagrams"), dict):
        pairs = {"/".join(map(str, row[:-1])): row[-1] for row in _rows(connection, table, experiment, _PLACE)}
        sampled = kept.get("sampled") or {}
        kept["diagrams"] = {
            name: runs
            for name, runs in kept["diagrams"].items()
            if _is_whole(pairs.get(name, 0), len(runs), name in sampled)
        }
    elif table == "dynamics":
        kept = {name: mark for name, mark in kept.items() if name.removeprefix("analysis:") not in lost_analyses}
    return kept


def _is_whole(pairs: int, runs: int, is_sampled: bool) -> bool:
    if is_sampled:
        return pairs > 0
    return pairs == runs * (runs - 1) // 2


def untrue(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the marks that one has and the other has not."""
    names = sorted(set(before) - set(after))
    for group in ("trajectories", "diagrams"):
        names += sorted(set(before.get(group) or {}) - set(after.get(group) or {}))
    return names


def _rows(connection: duckdb.DuckDBPyConnection, table: str, experiment: str, names: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {names}, count(*) FROM {table} WHERE experiment = $experiment GROUP BY {names}"
    return connection.execute(query, {"experiment": experiment}).fetchall()
