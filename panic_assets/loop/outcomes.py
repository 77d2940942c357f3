"""Outcomes: one row a run, made of what its invocations say.

Here belongs the sum at the end of an engine's work. Why a run ended is told by its state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from panic_assets.lake import Lake
from panic_assets.loop.state import RunState

_LOCK_SECONDS = 30.0


def write_outcomes(lake: Lake, experiment: str, states: Sequence[RunState], behaviours: Mapping[str, str]) -> None:
    """Bring the table ``outcomes`` up to date; nothing is written where nothing is new.

    ``behaviours`` gives the seed behaviour of each model.

    Raises:
        LakeError: the table can't be read or written.
    """
    sums = _sums(lake, experiment, behaviours)
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
        } | sums[state.plan.run_number]
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


def _sums(lake: Lake, experiment: str, behaviours: Mapping[str, str]) -> dict[int, dict[str, Any]]:
    """By number of each run: counts, seconds and times over its invocations, and the events that name it."""
    names = ["run_number", "sequence_number", "model", "seed", "text", "image_hash", "flags", "retries"]
    names += ["model_seconds", "started_at", "completed_at"]
    rows = pl.DataFrame(lake.read("invocations", experiment, columns=names))
    prompts = pl.DataFrame(lake.read("runs", experiment, columns=["run_number", "prompt"]))
    events = pl.DataFrame(lake.read("events", experiment, columns=["run_numbers"]))
    named = events.explode("run_numbers").group_by(run_number="run_numbers").agg(events=pl.len())
    # A run's first input is its prompt, any other the output before it. The seed counts as far as the model heeds it.
    before = pl.col("sequence_number") - 1
    inputs = rows.select(
        "run_number", sequence_number=pl.col("sequence_number") + 1, before="text", picture="image_hash"
    )
    heeds = pl.col("model").replace_strict(behaviours, default="none", return_dtype=pl.String)
    work = (
        rows.join(inputs, on=["run_number", "sequence_number"], how="left")
        .join(prompts, on="run_number", how="left")
        .with_columns(
            input=pl.when(before < 0).then("prompt").otherwise("before"),
            seed=pl.when(heeds == "deterministic").then(0).otherwise("seed"),
            own=pl.when(heeds == "none").then(pl.struct("run_number", "sequence_number")),
        )
    )
    shared = pl.len().over("model", "seed", "input", "picture", "own") > 1
    sums = (
        work.with_columns(shared=shared, flagged=pl.col("flags").list.len() > 0)
        .group_by("run_number")
        .agg(
            pl.sum("flagged", "shared", "retries", "model_seconds"),
            pl.min("started_at"),
            pl.max("completed_at"),
        )
    )
    # A run that failed at its first invocation has none.
    every = (
        prompts.select("run_number").join(sums, on="run_number", how="left").join(named, on="run_number", how="left")
    )
    counts = ["flagged", "shared", "retries", "model_seconds", "events"]
    return {row.pop("run_number"): row for row in every.with_columns(pl.col(counts).fill_null(0)).to_dicts()}
