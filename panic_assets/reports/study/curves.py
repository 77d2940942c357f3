"""Curves of one trial over its epochs.

Here belong grouping metrics into panels, thinning long curves and drawing them. Live curves are drawn in the browser,
from points thinned here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from panic_assets.reports.study.panels import Panel
from panic_assets.reports.study.svg import (
    DASHES,
    WIDTH,
    Plot,
    Scale,
    apart,
    chart,
    fitted,
    mark,
    pointed,
    tag,
    text,
    width_of,
)
from panic_assets.reports.study.words import measure_of, number

#: What names of singular values of layers begin with.
SIGMA = "sigma/"
Points = Sequence[tuple[int, float | None]]
#: Points of a curve that are drawn: more than a panel has places for is more than anybody sees.
MOST_POINTS = 240
_MOST_LINES = 8


def thinned(points: Points, most: int = MOST_POINTS) -> list[tuple[int, float | None]]:
    """At most so many of the points, in order: of each stretch its least and its greatest, and always the two ends.

    A spike is thus never thinned away.
    """
    if len(points) <= most:
        return list(points)
    inner, stretches = points[1:-1], max((most - 2) // 2, 1)
    kept = [points[0]]
    for number_ in range(stretches):
        own = inner[len(inner) * number_ // stretches : len(inner) * (number_ + 1) // stretches]
        if own:
            order = sorted(own, key=lambda point: -math.inf if point[1] is None else point[1])
            kept += sorted({order[0], order[-1]})
    return [*kept, points[-1]]


def trial_panels(curves: Mapping[str, Points]) -> list[Panel]:
    """The curves of a trial by metric, those of one kind in one panel: losses, accuracies, singular values, others."""
    groups: dict[str, dict[str, Points]] = {}
    for metric, points in curves.items():
        if any(value is not None and math.isfinite(value) for _, value in points):
            groups.setdefault(_group(metric), {})[metric] = points
    order = sorted(groups, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    return [_drawn(name, groups[name]) for name in order]


_ORDER = ("loss", "accuracy", "singular values")


def _group(metric: str) -> str:
    if metric.startswith(SIGMA):
        return "singular values"
    return next((kind for kind in ("loss", "accuracy") if metric.endswith(kind)), measure_of(metric).label)


def _drawn(group: str, curves: Mapping[str, Points]) -> Panel:
    shown = dict(list(curves.items())[:_MOST_LINES])
    lines = {
        _label(metric, group): [
            (float(step), measure_of(metric).factor * value if value is not None else math.nan)
            for step, value in thinned(points)
        ]
        for metric, points in shown.items()
    }
    values = [v for points in lines.values() for _, v in points if math.isfinite(v)]
    steps = [x for points in lines.values() for x, _ in points]
    right = WIDTH - 14 - max(width_of(label) for label in lines)
    low, high = min(steps), max(steps)
    if low == high:
        low, high = low - 0.5, high + 0.5
    log = min(values) > 0 and max(values) > 50 * min(values)
    plot = Plot(Scale(low, high, 46, right), fitted(values, 205, 26, log=log))
    unit = next((measure_of(metric).unit for metric in shown if measure_of(metric).unit), "")
    drawn, ends = [plot.axes("epoch", unit or group, 4)], []
    for place, (label, points) in enumerate(lines.items()):
        kind = (place + 1) % 8
        real = [point for point in points if math.isfinite(point[1])]
        if not real:
            continue
        d = plot.path(points)
        drawn.append(
            tag("path", pointed(label), class_=f"line a{kind}", d=d, stroke_dasharray=DASHES[place % len(DASHES)])
        )
        words = f"{label}: {number(real[-1][1])} at {real[-1][0]:.0f}"
        drawn.append(mark(kind, plot.x.at(real[-1][0]), plot.y.at(real[-1][1]), 3, words, class_=f"dot a{kind}"))
        ends.append((plot.y.at(real[-1][1]), label, kind))
    for (_, label, kind), y in zip(ends, apart([e[0] for e in ends], 13, 30, 205), strict=True):
        drawn.append(text(right + 8, y + 4, label, class_=f"label a{kind}"))
    note = f"The first {_MOST_LINES} of {len(curves)}." if len(curves) > _MOST_LINES else ""
    return Panel(group.capitalize(), chart(f"{group} over epochs", *drawn, height=242), note)


def _label(metric: str, group: str) -> str:
    is_layer = group == "singular values"
    told = f"layer {metric.removeprefix(SIGMA)}" if is_layer else measure_of(metric).label
    told = told.removesuffix(f" {group}") or metric
    return told if len(told) <= 16 else told[:15] + "\u2026"
