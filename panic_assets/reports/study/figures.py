"""One figure of a study for Dagster's metadata and for MLflow: differences, robustness, and what bounds the models.

Here belongs drawing with matplotlib, in the look of all figures. The charts of pages are in ``panels``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import plain
from panic_assets.reports.study.contents import NoSuchStudy, Study, by_pair, mean_interval, study_in
from panic_assets.reports.study.words import arm_words, attack_words, measure_of, power_of_ten
from panic_assets.reports.style import FAINT, INK, grid, legend_below, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#6b6a66", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKS = ("o", "s", "^", "D", "v", "X", "P", "p")
_LINES = ("-", "--", ":", "-.")
_DIFFERENCES = ("test_accuracy", "robust_area_pgd_l2", "generalisation_gap", "test_loss")
_MOST_DIFFERENCES = 2


def figure_of_study(lake: Lake, study: str) -> Figure | None:
    """The study at a glance; None where the lake has no comparison of it.

    Raises:
        LakeError: a table can't be read.
    """
    try:
        found = study_in(lake, study)
    except NoSuchStudy:
        return None
    return drawn(found) if found.comparison else None


@styled
def drawn(study: Study) -> Figure:
    """The same of a study that was read already."""
    there = {row["metric"] for row in study.comparison}
    wanted = (str(study.claim.get("metric") or ""), *_DIFFERENCES)
    metrics = [metric for metric in dict.fromkeys(wanted) if metric in there][:_MOST_DIFFERENCES]
    attack = next((key for key in (("pgd", "l2"), ("pgd", "linf"), ("fgsm", "l2")) if _points(study, *key)), None)
    count = len(metrics) + (attack is not None) + 1
    figure, panels = grid(count, columns=2, width=3.6, height=2.5, title=plain(f"Study {study.name}", 60))
    for panel, metric in zip(panels, metrics, strict=False):
        _differences(panel, study, metric)
    if attack is not None:
        _accuracies(panels[len(metrics)], study, *attack)
    _bounds(panels[-1], study)
    legend_below(figure, panels, most=5)
    return figure


def _differences(panel: Axes, study: Study, metric: str) -> None:
    told, pairs = measure_of(metric), by_pair(study, metric)
    rows = {row["arm"]: row for row in study.comparison if row["metric"] == metric and row["mode"] != "search"}
    arms = [arm for arm in study.arms if arm in rows]
    for place, arm in enumerate(arms):
        kind, row = study.colour(arm), rows[arm]
        values = [told.factor * value for value in pairs.get(arm, {}).values()]
        panel.scatter(values, [place + 0.22] * len(values), s=7, color=_COLOURS[kind], alpha=0.5, linewidths=0)
        panel.plot(
            [told.factor * row["low"], told.factor * row["high"]], [place, place], color=_COLOURS[kind], linewidth=1.8
        )
        panel.plot(
            [told.factor * row["difference"]], [place], _MARKS[kind], color=_COLOURS[kind], markersize=5.5, mec="white"
        )
    panel.axvline(0, color=INK, linewidth=0.8)
    panel.set_yticks(range(len(arms)), [plain(arm_words(arm), 24) for arm in arms])
    panel.set_ylim(len(arms) - 0.5, -0.5)
    panel.grid(axis="x", color=FAINT, linewidth=0.3)
    unit = "percentage points" if told.unit.startswith("%") else told.unit
    panel.set(title=f"{told.label}: difference from {plain(arm_words(study.reference), 24)}", xlabel=unit)


def _points(study: Study, attack: str, norm: str) -> dict[str, dict[float, list[float]]]:
    arms = {trial.trial_id: trial.arm for trial in study.compared}
    found: dict[str, dict[float, list[float]]] = {}
    for row in study.robustness:
        if row["metric"] != "accuracy" or row["value"] is None or row["trial_id"] not in arms:
            continue
        if row["attack"] == "none" or (row["attack"], row["norm"]) == (attack, norm):
            own = found.setdefault(arms[row["trial_id"]], {})
            own.setdefault(row["epsilon"], []).append(100 * row["value"])
    return found if any(len(own) > 1 for own in found.values()) else {}


def _accuracies(panel: Axes, study: Study, attack: str, norm: str) -> None:
    points = _points(study, attack, norm)
    for arm in study.arms:
        if arm not in points:
            continue
        kind = study.colour(arm)
        line = [(epsilon, *mean_interval(values)) for epsilon, values in sorted(points[arm].items())]
        x, mean, low, high = zip(*line, strict=True)
        panel.plot(
            x,
            mean,
            color=_COLOURS[kind],
            linestyle=_LINES[kind % len(_LINES)],
            marker=_MARKS[kind],
            markersize=3,
            linewidth=1.3,
            label=plain(arm_words(arm), 24),
        )
        panel.fill_between(x, low, high, color=_COLOURS[kind], alpha=0.15, linewidth=0)
    panel.set(title=f"accuracy under {attack_words(attack, norm)}", xlabel="\u03b5", ylabel="% of rows", ylim=(0, 100))


def _bounds(panel: Axes, study: Study) -> None:
    """Accuracy against the upper bound of the Lipschitz constant, a mark for each trial."""
    x_metric, y_metric = "lipschitz_upper", "test_accuracy"
    for arm in study.arms:
        own = [(t.metric(x_metric), 100 * t.metric(y_metric)) for t in study.compared if t.arm == arm]
        own = [(x, y) for x, y in own if math.isfinite(x) and math.isfinite(y) and x > 0]
        if own:
            kind = study.colour(arm)
            panel.scatter(
                [x for x, _ in own],
                [y for _, y in own],
                s=14,
                marker=_MARKS[kind],
                color=_COLOURS[kind],
                alpha=0.7,
                linewidths=0,
                label=plain(arm_words(arm), 24),
            )
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(lambda value, _place: power_of_ten(round(math.log10(value))) if value > 0 else "")
    panel.xaxis.set_minor_formatter(lambda _value, _place: "")
    panel.set(title="accuracy against the bound", xlabel="Lipschitz constant, upper bound", ylabel="test accuracy, %")
