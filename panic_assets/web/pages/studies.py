"""Pages of studies: the list, the comparison, the monitor, the trials, and one trial.

Here belong pages alone; what they show is found by ``api.study_room`` and drawn by ``reports.study``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Query, Request, Response
from markupsafe import Markup

from panic_assets.reports.study.article import arm_mark, article
from panic_assets.reports.study.contents import Study, Trial, trial_of
from panic_assets.reports.study.curves import trial_panels
from panic_assets.reports.study.render import listed_metrics
from panic_assets.reports.study.words import arm_words, duration, measure_of, number, size
from panic_assets.studies.tracking.links import asset_url, pages_of, run_url
from panic_assets.studies.tracking.store import default_uri
from panic_assets.web.api.studies import StudyName, TrialId
from panic_assets.web.api.study_room import Studies, StudyRoom
from panic_assets.web.api.study_shapes import curves_of
from panic_assets.web.pages.rendering import page
from panic_assets.web.security.callers import Room
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_see = Rule("operator")
add_rules(
    {
        "GET /studies": _see,
        "GET /studies/{study}": _see,
        "GET /studies/{study}/live": _see,
        "GET /studies/{study}/trials": _see,
        "GET /studies/{study}/trials/{trial_id}": _see,
    }
)
router = GuardedRouter(include_in_schema=False)

#: Where Dagster's pages are, if not where `make dev` opens them.
DAGSTER_VARIABLE = "PANIC_DAGSTER_URL"
_LOCAL_DAGSTER = "http://127.0.0.1:3000"
#: Trials on a page of the list.
_ROWS = 100
_POINTS = 240


@router.get("/studies")
async def list_studies(request: Request, live: Room, room: Studies) -> Response:
    """All studies."""
    return page(request, "studies.html", studies=await live.thread(room.listed))


@router.get("/studies/{study}")
async def show_study(request: Request, study: StudyName, live: Room, room: Studies) -> Response:
    """What a study's comparison came to."""

    def drawn() -> Markup:
        return article(room.study(study), lambda trial: f"/studies/{study}/trials/{quote(trial.trial_id, safe='')}")

    found = await live.thread(room.study, study)
    return page(
        request,
        "study.html",
        study=found,
        article=await live.thread(room.kept, study, "article", drawn),
        tables=[table for table in ("trials", "metrics", "comparison", "lipschitz", "robustness")],
        is_running=any(trial.state in ("pending", "running") for trial in found.trials),
        dagster=asset_url(os.environ.get(DAGSTER_VARIABLE) or _LOCAL_DAGSTER, "study_report", study),
        mlflow=_mlflow_experiment(found),
    )


@router.get("/studies/{study}/live")
async def watch_study(request: Request, study: StudyName, live: Room, room: Studies) -> Response:
    """The monitor."""
    found = await live.thread(room.study, study)
    arms = {arm: {"kind": found.colour(arm), "name": arm_words(arm)} for arm in found.arms}
    return page(request, "study_live.html", study=found, arms=json.dumps(arms), keys=_keys(found))


@router.get("/studies/{study}/trials")
async def list_trials(
    request: Request,
    study: StudyName,
    live: Room,
    room: Studies,
    arm: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    sort: Annotated[str, Query(max_length=100)] = "",
    down: bool = False,
    start: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> Response:
    """The trials of a study, some at a time, in any order."""
    found = await live.thread(room.study, study)
    wanted = [trial for trial in found.trials if arm in ("", trial.arm) and state in ("", trial.state)]
    wanted = _sorted(wanted, sort, down)
    metrics = listed_metrics(found)
    chosen = {"arm": arm, "state": state, "sort": sort, "down": "true" if down else ""}

    def address(**other: object) -> str:
        query = urlencode({name: value for name, value in (chosen | other).items() if value})
        return f"/studies/{study}/trials?{query}"

    return page(
        request,
        "study_trials.html",
        study=found,
        trials=[_listed(trial, metrics) for trial in wanted[start : start + _ROWS]],
        columns=[(name, measure_of(name)) for name in metrics],
        chosen=chosen,
        states=sorted({trial.state for trial in found.trials}),
        count=len(wanted),
        start=start,
        address=address,
        rows=_ROWS,
        arm_words=arm_words,
    )


@router.get("/studies/{study}/trials/{trial_id}")
async def show_trial(request: Request, study: StudyName, trial_id: TrialId, live: Room, room: Studies) -> Response:
    """One trial: what it was, what came of it, and its curves."""
    row = await live.thread(room.trial, study, trial_id)
    found = await live.thread(room.study, study)
    trial = next((one for one in found.trials if one.trial_id == trial_id), None)
    if trial is None:  # it began after the study was read
        trial = trial_of({field: getattr(row, field) for field in row.__dataclass_fields__})
    curves = curves_of(await live.thread(room.metrics, study, trial_id), _POINTS).get(trial_id, {})
    return page(
        request,
        "study_trial.html",
        study=found,
        trial=trial,
        row=row,
        arm=arm_words(trial.arm),
        mark=Markup(arm_mark(found.colour(trial.arm))),
        panels=trial_panels(curves),
        metrics=_told(trial),
        parameters=sorted((name, _plainly(value)) for name, value in trial.parameters.items()),
        layers=_layers(found, trial_id),
        robust=_robust(found, trial_id),
        artifacts=await live.thread(room.artifacts, study, trial_id),
        mlflow=_mlflow_run(room, found, row.model_run_id, row.mlflow_run_id),
        took=duration(row.duration_ms),
        size=size,
        partners=[
            (arm_words(other.arm), other.trial_id)
            for other in found.trials
            if trial.pair is not None and (other.pair, other.mode) == (trial.pair, trial.mode) and other != trial
        ],
    )


def _keys(study: Study) -> list[tuple[str, int, Markup]]:
    return [(arm_words(arm), study.colour(arm), Markup(arm_mark(study.colour(arm)))) for arm in study.arms]


def _sorted(trials: Sequence[Trial], by: str, down: bool) -> list[Trial]:
    """In the order of a metric, of the time taken, or of nothing but their beginning; what lacks it comes last."""
    if not by:
        return list(reversed(trials)) if down else list(trials)
    values = {id(trial): _value(trial, by) for trial in trials}
    there = [trial for trial in trials if not math.isnan(values[id(trial)])]
    there.sort(key=lambda trial: values[id(trial)], reverse=down)
    return [*there, *(trial for trial in trials if math.isnan(values[id(trial)]))]


def _value(trial: Trial, by: str) -> float:
    if by == "duration_ms":
        return float(trial.row.get("duration_ms") or math.nan)
    if by == "pair":
        return math.nan if trial.pair is None else float(trial.pair)
    return trial.metric(by)


def _listed(trial: Trial, metrics: Sequence[str]) -> dict[str, object]:
    return {
        "trial": trial,
        "arm": arm_words(trial.arm),
        "values": [
            number(measure_of(name).factor * trial.metric(name)) if math.isfinite(trial.metric(name)) else ""
            for name in metrics
        ],
        "took": duration(trial.row.get("duration_ms")),
        "error": trial.row.get("error_type") or "",
    }


def _told(trial: Trial) -> list[tuple[str, str, str]]:
    """(label, value, unit) of each metric."""
    return [
        (measure_of(name).label, number(measure_of(name).factor * trial.metric(name)), measure_of(name).unit)
        for name in trial.metrics
    ]


def _plainly(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "\u2013" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _layers(study: Study, trial_id: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The quantities of layers that are known, and each layer's."""
    own = [row for row in study.lipschitz if row["trial_id"] == trial_id]
    quantities = list(dict.fromkeys(row["quantity"] for row in own))
    layers: dict[tuple[int, str], dict[str, float]] = {}
    for row in own:
        name = "whole model" if row["layer"] < 0 else str(row["layer_name"])
        layers.setdefault((row["layer"] if row["layer"] >= 0 else 10**6, name), {})[row["quantity"]] = row["value"]
    words = [str(quantity).replace("_", " ") for quantity in quantities]
    return words, [
        (name, [number(values.get(quantity)) for quantity in quantities])
        for (_, name), values in sorted(layers.items())
    ]


def _robust(study: Study, trial_id: str) -> list[tuple[str, str, str, str]]:
    """(attack, norm, epsilon, accuracy in %)."""
    return [
        (row["attack"], row["norm"], number(row["epsilon"]), number(100 * row["value"]))
        for row in study.robustness
        if row["trial_id"] == trial_id and row["metric"] == "accuracy" and row["value"] is not None
    ]


def _mlflow_run(room: StudyRoom, study: Study, model_run_id: str, run_id: str | None) -> str | None:
    experiment = next(
        (run.get("mlflow_experiment_id") for run in study.runs if run["model_run_id"] == model_run_id), None
    )
    return run_url(pages_of(default_uri()), str(experiment), run_id) if experiment and run_id else None


def _mlflow_experiment(study: Study) -> str | None:
    experiment = next((run.get("mlflow_experiment_id") for run in reversed(study.runs)), None)
    return f"{pages_of(default_uri())}/#/experiments/{quote(str(experiment), safe='')}" if experiment else None
