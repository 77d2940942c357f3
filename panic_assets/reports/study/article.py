"""The article about a study that the report and the web both show: the sentence, the charts, and every number.

Here belongs which charts there are and in which order, and putting them into HTML. The page around it is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from panic_assets.reports.study import bounds, panels
from panic_assets.reports.study.contents import Study
from panic_assets.reports.study.svg import mark, tag
from panic_assets.reports.study.words import alike, arm_words, duration, measure_of, number, signed

#: Metrics whose differences are drawn, where the study has them, after that of the claim.
_DRAWN = (
    "test_accuracy",
    "robust_area_pgd_l2",
    "robust_area_pgd_linf",
    "test_loss",
    "generalisation_gap",
    "ece",
    "certified_radius_median",
    "rollout_cosine",
)
_MOST_DIFFERENCES = 6


@dataclass(frozen=True)
class Section:
    """Some charts under a heading."""

    id: str
    title: str
    lead: str
    panels: Sequence[panels.Panel]


def sections(study: Study, link: panels.Link = lambda trial: None) -> list[Section]:
    """The charts of a study, those that have nothing to show left out."""
    claimed = str(study.claim.get("metric") or "test_accuracy")
    there = {row["metric"] for row in study.comparison}
    wanted = [metric for metric in dict.fromkeys((claimed, *_DRAWN)) if metric in there][:_MOST_DIFFERENCES]
    reference = arm_words(study.reference)
    accuracies = ("train_accuracy", "validation_accuracy", "test_accuracy")
    losses = ("train_loss", "validation_loss", "test_loss")
    found = [
        Section(
            "differences",
            f"Differences from \u201c{reference}\u201d, pair by pair",
            "The trials of a pair share split, seed and hyperparameters, and differ in their arm alone. "
            "Small marks are pairs; the large mark is their mean with its interval.",
            _some(panels.differences(study, metric) for metric in wanted),
        ),
        Section(
            "arms",
            "How well each arm learned",
            "",
            _some(
                (
                    panels.bars(study, accuracies, "Accuracy"),
                    panels.bars(study, losses, "Loss"),
                    panels.scatter(study, "lipschitz_upper", claimed, link)
                    or panels.scatter(study, "train_loss", "validation_loss", link)
                    or panels.scatter(study, "validation_loss", "validation_accuracy", link),
                )
            ),
        ),
        Section(
            "robustness",
            "Accuracy against \u03b5",
            "How much of its accuracy an arm keeps when its inputs are disturbed. Bands are 95% intervals over trials.",
            panels.robustness(study),
        ),
        Section(
            "bounds",
            "What bounds the models",
            "Each mark is a trial, the line its arm's median.",
            [*bounds.sigmas(study), *_some((bounds.lipschitz(study),))],
        ),
        Section("cost", "What it costs", "", _some((bounds.cost(study),))),
    ]
    return [section for section in found if section.panels]


def article(study: Study, link: panels.Link = lambda trial: None, level: str = "") -> Markup:
    """The article as harmless HTML. ``link`` gives a trial's address, or None."""
    counts: dict[str, int] = {}
    for trial in study.trials:
        counts[trial.state] = counts.get(trial.state, 0) + 1
    pairs = {trial.pair for trial in study.compared if trial.pair is not None and trial.mode == "comparison"}
    return Markup(
        environment()
        .get_template("article.html.j2")
        .render(
            study=study,
            sections=sections(study, link),
            arms=[
                {
                    "name": arm_words(arm),
                    "kind": study.colour(arm),
                    "mark": Markup(arm_mark(study.colour(arm))),
                    "trials": sum(trial.arm == arm for trial in study.compared),
                }
                for arm in study.arms
                if any(trial.arm == arm for trial in study.trials)
            ],
            numbers=_numbers(study, counts, len(pairs)),
            groups=_groups(study),
            reference=arm_words(study.reference),
            facts=[
                (_fact_words(name), value)
                for name, value in study.facts.items()
                if isinstance(value, str | int | float)
            ],
        )
    )


def arm_mark(kind: int) -> str:
    """The mark of an arm beside its name."""
    return tag(
        "svg", mark(kind, 8, 8, 5, class_=f"mean a{kind}"), class_="key", viewBox="0 0 16 16", aria_hidden="true"
    )


@cache
def environment() -> Environment:
    """The templates of this package, escaping all that they are given."""
    made = Environment(
        loader=PackageLoader("panic_assets.reports.study", "parts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "arm": arm_words,
        "number": number,
        "signed": signed,
        "duration": duration,
        "metric": lambda name: measure_of(name).label,
    }
    return made


def _some(found: Any) -> list[panels.Panel]:
    return [panel for panel in found if panel is not None]


def _numbers(study: Study, counts: dict[str, int], pairs: int) -> list[tuple[str, str]]:
    told = [("trials", f"{len(study.trials):,}"), ("completed", f"{counts.get('completed', 0):,}")]
    if failed := counts.get("failed", 0) + counts.get("timed_out", 0):
        told.append(("failed", f"{failed:,}"))
    if pairs:
        told.append(("pairs", f"{pairs:,}"))
    arm = study.claim.get("arm")
    row = next((row for row in study.comparison if row["arm"] == arm and row["metric"] == "step_seconds"), None)
    if row is not None and row.get("ratio") is not None and math.isfinite(row["ratio"]):
        told.append((f"time of a step, {arm_words(str(arm))}", f"{row['ratio']:.2f}\u00d7"))
    return told


def _ordered(study: Study) -> list[Any]:
    """The comparison's rows: the claim's metric first, then by metric; arms in their order."""
    claimed = study.claim.get("metric")
    names = list(dict.fromkeys(row["metric"] for row in study.comparison))
    places = {arm: place for place, arm in enumerate(study.arms)}

    def key(row: Any) -> tuple[bool, bool, int, int]:
        metric = row["metric"]
        return row["mode"] == "search", metric != claimed, names.index(metric), places.get(row["arm"], 99)

    return sorted(study.comparison, key=key)


def _groups(study: Study) -> list[list[dict[str, Any]]]:
    """The comparison's rows as they are told, those of a metric together and with equally many decimals."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in _ordered(study):
        found.setdefault((row["mode"], row["metric"]), []).append(row)
    return [[_row(study, row, _spread(rows)) for row in rows] for rows in found.values()]


def _spread(rows: Sequence[Any]) -> float:
    """How wide the intervals of some rows are, in their metric's unit; NaN where none has any."""
    ends = ((row["low"], row["high"]) for row in rows)
    found = sorted(high - low for low, high in ends if low is not None and high is not None and high > low)
    return measure_of(rows[0]["metric"]).factor * found[len(found) // 2] if found else math.nan


def _row(study: Study, row: Any, spread: float) -> dict[str, Any]:
    told = measure_of(row["metric"])

    def scaled(name: str) -> float | None:
        value = row.get(name)
        return told.factor * value if value is not None else None

    low, high = scaled("low"), scaled("high")
    difference, low_told, high_told = alike((scaled("difference"), low, high), spread, sign=True)
    means = alike((scaled("arm_mean"), scaled("reference_mean")), spread)
    clear = row["low"] is not None and row["high"] is not None and (row["low"] > 0 or row["high"] < 0)
    return {
        "metric": told.label,
        "unit": told.unit,
        "mode": row["mode"],
        "arm": row["arm"],
        "kind": study.colour(row["arm"]),
        "arm_mean": means[0],
        "reference_mean": means[1],
        "difference": difference,
        "interval": f"{low_told} to {high_told}",
        "ratio": number(row.get("ratio")),
        "effect_size": number(row.get("effect_size"), 2),
        "p_value": _chance(row.get("permutation_p") if row.get("permutation_p") is not None else row.get("p_value")),
        "adjusted_p": _chance(row.get("adjusted_p")),
        "wins": f"{row['wins']} of {row['pairs']}",
        "is_claim": bool(row.get("is_claim")),
        "is_clear": clear,
    }


def _chance(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "\u2013"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _fact_words(name: str) -> str:
    return str(name).replace("_", " ")
