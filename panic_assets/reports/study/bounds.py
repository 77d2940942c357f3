"""Charts of what bounds a model, and what it costs: singular values by layer, Lipschitz bounds, time of a step.

Here belong charts of the table ``lipschitz`` and of ratios; the others of a comparison are in ``panels``.
"""

from __future__ import annotations

import math
from statistics import median

from panic_assets.reports.study.contents import Study
from panic_assets.reports.study.panels import Panel
from panic_assets.reports.study.svg import WIDTH, Plot, Scale, chart, fitted, mark, pointed, tag, text, width_of
from panic_assets.reports.study.words import arm_words, number

_MOST_LAYERS = 10
_MOST_MARKS = 12  # of an arm in a layer: more would be a blot
_QUANTITIES = {
    "reshaped_sigma": ("Largest singular value by layer", "\u03c3 of the weights as a matrix"),
    "operator_norm": ("Operator norm by layer", "norm of the layer as it acts"),
}
Columns = list[tuple[str, dict[str, list[float]]]]


def sigmas(study: Study) -> list[Panel]:
    """Singular values of each layer by arm; operator norms in a panel of their own where they are others."""
    arms = {trial.trial_id: trial.arm for trial in study.compared}
    found: dict[str, dict[tuple[int, str], dict[str, list[float]]]] = {}
    for row in study.lipschitz:
        value, arm = row["value"], arms.get(row["trial_id"])
        if arm is not None and row["layer"] >= 0 and row["quantity"] in _QUANTITIES and value is not None and value > 0:
            layers = found.setdefault(row["quantity"], {})
            layers.setdefault((row["layer"], str(row["layer_name"])), {}).setdefault(arm, []).append(value)
    if found.get("operator_norm") == found.get("reshaped_sigma"):
        found.pop("operator_norm", None)
    panels = []
    for quantity, (title, what) in _QUANTITIES.items():
        columns = [(name, own) for (_, name), own in sorted(found.get(quantity, {}).items())]
        if columns:
            note = f"The first {_MOST_LAYERS} of {len(columns)} layers." if len(columns) > _MOST_LAYERS else ""
            panels.append(
                Panel(title, _columns(study, columns[:_MOST_LAYERS], what, "layer", _coefficient(study)), note)
            )
    return panels


def lipschitz(study: Study) -> Panel | None:
    """The upper and the lower bound of the whole model by arm: the truth lies between."""
    told = {"lipschitz_lower": "lower bound", "lipschitz_upper": "upper bound"}
    columns: Columns = []
    for metric, name in told.items():
        own: dict[str, list[float]] = {}
        for trial in study.compared:
            if math.isfinite(value := trial.metric(metric)) and value > 0:
                own.setdefault(trial.arm, []).append(value)
        if own:
            columns.append((name, own))
    if not columns:
        return None
    svg = _columns(study, columns, "Lipschitz constant (L2 to L2)", "", None)
    return Panel("Lipschitz constant of the model", svg, "The true constant lies between the two.")


def cost(study: Study) -> Panel | None:
    """How many times the reference's each arm takes: time of a step, and memory where it was measured."""
    told = {"step_seconds": "time of a step", "peak_memory_mb": "peak memory"}
    rows = [
        (row["arm"], told[row["metric"]], float(row["ratio"]))
        for row in study.comparison
        if row["metric"] in told and row.get("ratio") is not None and math.isfinite(row["ratio"])
    ]
    rows.sort(key=lambda row: (row[1] != "time of a step", study.arms.index(row[0]) if row[0] in study.arms else 99))
    if not rows:
        return None
    left = 16 + max(width_of(arm_words(arm)) for arm, *_ in rows)
    kinds = list(dict.fromkeys(kind for _, kind, _ in rows))
    bottom = 14 + 24.0 * len(rows) + 22 * len(kinds)
    x = fitted([*(ratio for *_, ratio in rows), 1.0], left, WIDTH - 46, zero=True)
    drawn = [
        tag("line", class_="rule", x1=x.at(v), x2=x.at(v), y1=14.0, y2=bottom)
        + text(x.at(v), bottom + 15, f"{t}\u00d7", class_="tick mid")
        for v, t in x.ticks(4)
    ]
    y = 14.0
    for kind in kinds:
        drawn.append(text(2, y + 14, kind, class_="title"))
        y += 22
        for arm, own, ratio in rows:
            if own == kind:
                n = study.colour(arm)
                bar = tag("rect", class_=f"bar a{n}", x=left, y=y + 3, width=x.at(ratio) - left, height=17)
                words = text(left - 8, y + 15.5, arm_words(arm), class_="name end") + text(
                    x.at(ratio) + 6, y + 15.5, f"{ratio:.2f}\u00d7", class_="name"
                )
                drawn.append(tag("g", bar + words, class_="arm", data_arm=n))
                y += 24
    drawn.append(tag("line", class_="zero", x1=x.at(1), x2=x.at(1), y1=10.0, y2=bottom))
    drawn.append(
        text((left + WIDTH) / 2, bottom + 31, f"times that of {arm_words(study.reference)}", class_="title mid")
    )
    return Panel("Cost", chart("Cost as a ratio to the reference", *drawn, height=bottom + 38))


def _columns(study: Study, columns: Columns, y_title: str, x_title: str, bound: float | None) -> str:
    """Values on a logarithmic axis, columns across, arms side by side within each, with a line at the median."""
    values = [v for _, own in columns for found in own.values() for v in found] + ([bound] if bound else [])
    plot = Plot(Scale(0, len(columns), 46, WIDTH - 8), fitted(values, 200, 28, log=True))
    drawn = [
        tag("line", class_="rule", x1=46, x2=WIDTH - 8, y1=plot.y.at(v), y2=plot.y.at(v))
        + text(40, plot.y.at(v) + 3.6, t, class_="tick end")
        for v, t in plot.y.ticks(6)
    ]
    arms = [arm for arm in study.arms if any(arm in own for _, own in columns)]
    room = (WIDTH - 54) / len(columns)
    step = room * 0.86 / len(arms)
    longest = max(3, int(room / 6))
    for place, (name, own) in enumerate(columns):
        middle = plot.x.at(place + 0.5)
        told = name if len(name) <= longest else name[: longest - 1] + "\u2026"
        drawn.append(text(middle, 216, told, class_="tick mid"))
        if place:
            drawn.append(tag("line", class_="rule", x1=plot.x.at(place), x2=plot.x.at(place), y1=28, y2=200))
        for order, arm in enumerate(arms):
            found = sorted(own.get(arm, ()))
            if not found:
                continue
            kind, x = study.colour(arm), middle + step * (order - (len(arms) - 1) / 2)
            few = min(len(found), _MOST_MARKS)
            shown = [found[n * (len(found) - 1) // max(few - 1, 1)] for n in range(few)]
            middle_value, reach = median(found), min(step * 0.42, 9.0)
            marks = [
                mark(kind, x + reach * 0.7 * (((n * 0.618034) % 1) - 0.5), plot.y.at(v), 2.4, class_=f"dot a{kind}")
                for n, v in enumerate(shown)
            ]
            reached = f"{number(found[0])} to {number(found[-1])} of {len(found)} trials"
            told_of = pointed(f"{arm_words(arm)}, {name}: median {number(middle_value)}, {reached}")
            y, ends = plot.y.at(middle_value), {"x1": x - reach, "x2": x + reach}
            line = tag("line", told_of, class_=f"median a{kind}", **ends, y1=y, y2=y)
            drawn.append(tag("g", *marks, line, class_="arm", data_arm=kind))
    if bound:
        y = plot.y.at(bound)
        drawn.append(tag("line", class_="bound", x1=46, x2=WIDTH - 8, y1=y, y2=y))
        drawn.append(text(WIDTH - 8, y + (12 if y < 60 else -5), f"c = {bound:g}", class_="halo end"))
    drawn.append(tag("line", class_="edge", x1=46, x2=WIDTH - 8, y1=200, y2=200))
    if x_title:
        drawn.append(text((46 + WIDTH) / 2, 232, x_title, class_="title mid"))
    drawn.append(text(2, 11, y_title, class_="title"))
    return chart(f"{y_title} for {len(columns)} columns and {len(arms)} arms", *drawn, height=236 if x_title else 222)


def _coefficient(study: Study) -> float | None:
    """The bound that constrained trials share; None where they have several or none."""
    found = {trial.parameters.get("coefficient", 1.0) for trial in study.compared if trial.spectral_norm}
    one = next(iter(found)) if len(found) == 1 else None
    return float(one) if isinstance(one, int | float) and one > 0 else None
