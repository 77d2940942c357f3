"""Outcomes: one row a run, made of what its invocations say.

Here belongs the sum at the end of an engine's work. Why a run ended is told by its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from panic_assets.lake import Lake
from panic_assets.loop.state import RunState

_LOCK_SECONDS = 30.0


def write_outcomes(lake: Lake, experiment: str, states: Sequence[RunState]) -> None:
    """Bring the table ``outcomes`` up to date; nothing is written where nothing is new.

    Raises:
        LakeError: the table can't be read or written.
    """
    sums = _sums(lake, experiment)
    nothing: dict[str, Any] = {
        "flagged": 0,
        "shared": 0,
        "retries": 0,
        "model_seconds": 0.0,
        "started_at": None,
        "completed_at": None,
    }
    rows: list[dict[str, Any]] = []
    for state in states:
        row: dict[str, Any] = {
            "experiment": experiment,
            "run_number": state.plan.run_number,
            "stop_reason": state.stop_reason,
            "length": state.next,
            "transient_length": state.cycle.transient if state.cycle else None,
            "cycle_length": state.cycle.length if state.cycle else None,
            "error": state.error,
            "failed_at": state.failed_at,
        } | sums.get(state.plan.run_number, nothing)
        # A run that failed at its first invocation has none that could tell a time.
        row["completed_at"] = row["completed_at"] or state.failed_at or datetime.now(UTC)
        rows.append(row)
    planned = {state.plan.run_number for state in states}
    with lake.writer("outcomes", experiment, timeout=_LOCK_SECONDS) as writer:
        held = lake.read("outcomes", experiment).to_pylist()
        rows += [row for row in held if row["run_number"] not in planned]
        rows.sort(key=lambda row: row["run_number"])
        if rows != held:
            writer.replace(rows, {})
            writer.commit()


def _sums(lake: Lake, experiment: str) -> dict[int, dict[str, Any]]:
    """By run number: counts, seconds and times over its invocations."""
    names = ["shared", "retries", "model_seconds", "started_at", "completed_at"]
    table = lake.read("invocations", experiment, columns=["run_number", "flags", *names])
    flagged = pc.greater(pc.list_value_length(table["flags"]), 0)
    # Cast, because a sum of booleans is not defined for all of Arrow's numbers.
    table = table.append_column("flagged", pc.cast(flagged, "int64"))
    table = table.set_column(table.column_names.index("shared"), "shared", pc.cast(table["shared"], "int64"))
    how = {"flagged": "sum", "shared": "sum", "retries": "sum", "model_seconds": "sum"}
    how |= {"started_at": "min", "completed_at": "max"}
    grouped = table.group_by("run_number", use_threads=False).aggregate(list(how.items()))
    return {
        row["run_number"]: {name: row[f"{name}_{function}"] for name, function in how.items()}
        for row in grouped.to_pylist()
    }
