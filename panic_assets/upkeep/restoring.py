"""Rows that can be written again from what is left: runs from the identities of their invocations, prompts from runs.

Here belongs what needs no model. A lost table of runs, which is small, must not cost what was computed for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import duckdb

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.loop.ids import invocation_id
from panic_assets.loop.planning import RunPlan, plan_runs, resolve_models
from panic_assets.models.registry import load_registry


def described(connection: duckdb.DuckDBPyConnection, experiment: str, file: Experiment | None) -> Experiment | None:
    """The experiment as the lake describes it, or else its file; None if neither does."""
    rows = connection.execute(
        "SELECT config FROM experiments WHERE experiment = $experiment", {"experiment": experiment}
    ).fetchall()
    try:
        values = json.loads(rows[0][0]) if rows else None
        if isinstance(values, dict):
            values.pop("resolved_models", None)
            return Experiment.parse(values)
    except (ValueError, PanicError):
        pass
    return file


def lost_runs(connection: duckdb.DuckDBPyConnection, experiment: str, asked: Experiment | None) -> list[dict[str, Any]]:
    """Rows of ``runs`` that invocations or outcomes speak of and that the experiment plans.

    The identity of an invocation tells the run that it is of. A run without invocations is known by its number, if
    all others have the numbers that a first plan gives.
    """
    if asked is None or asked.imported_from:
        return []
    given = {"experiment": experiment}
    firsts = connection.execute(
        """SELECT run_number, sequence_number, invocation_id FROM invocations ANTI JOIN runs_only
           USING (experiment, run_number) WHERE experiment = $experiment
           QUALIFY row_number() OVER (PARTITION BY run_number ORDER BY sequence_number) = 1""",
        given,
    ).fetchall()
    told = connection.execute(
        """SELECT run_number FROM outcomes ANTI JOIN runs_only USING (experiment, run_number)
           WHERE experiment = $experiment""",
        given,
    ).fetchall()
    if not firsts and not told:
        return []
    try:
        plans = plan_runs(asked, resolve_models(asked, load_registry()))
    except PanicError:
        return []
    held = dict(
        connection.execute("SELECT run_id, run_number FROM runs_only WHERE experiment = $experiment", given).fetchall()
    )
    open_plans = [plan for plan in plans if plan.run_id not in held]
    numbers = {bytes(run_id): number for run_id, number in held.items()}
    found: list[RunPlan] = []
    for number, place, identity in firsts:
        for plan in open_plans:
            if place >= 0 and invocation_id(plan.run_id, place) == identity:
                found.append(replace(plan, run_number=number))
                numbers[plan.run_id] = number
                break
    if all(numbers.get(plan.run_id, plan.run_number) == plan.run_number for plan in plans):
        left = {number for (number,) in told} - set(numbers.values())
        found += [plan for plan in open_plans if plan.run_id not in numbers and plan.run_number in left]
    return [_row(experiment, plan) for plan in found]


def lost_prompts(
    connection: duckdb.DuckDBPyConnection, experiment: str, asked: Experiment | None
) -> list[dict[str, Any]]:
    """Rows of ``prompts`` that runs speak of; tags from the experiment."""
    rows = connection.execute(
        """SELECT prompt_number, min(prompt) FROM runs_only ANTI JOIN prompts USING (experiment, prompt_number)
           WHERE experiment = $experiment GROUP BY prompt_number HAVING count(DISTINCT prompt) = 1""",
        {"experiment": experiment},
    ).fetchall()
    tags: Mapping[str, Mapping[str, str]] = {p.text: p.tags for p in asked.prompts} if asked else {}
    return [
        {"experiment": experiment, "prompt_number": number, "prompt": prompt, "tags": _tags(tags.get(prompt))}
        for number, prompt in rows
    ]


def _tags(tags: Mapping[str, str] | None) -> str | None:
    return json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None


def _row(experiment: str, plan: RunPlan) -> dict[str, Any]:
    return {"experiment": experiment, "network": plan.network} | vars(plan) | {"models": list(plan.models)}
