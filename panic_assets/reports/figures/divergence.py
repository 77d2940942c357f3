"""Divergence: how far runs of one prompt are apart over time, with the straight lines that the exponents are.

Here belongs the picture; distances, slopes and intervals are those of the analysis ``divergence``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from panic_assets.lake import Lake
from panic_assets.reports.figures.generic import MOST_PANELS, broadest
from panic_assets.reports.figures.labels import and_more, broken, short_networks, space_name
from panic_assets.reports.figures.pick import network_of_run
from panic_assets.reports.style import COLOURS, FAINT, INK, grid, legend_below, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ANALYSIS = "divergence"
_LINES = {"early_slope": ("early fit", COLOURS[1], "-"), "whole_slope": ("fit to the whole series", INK, ":")}


@styled
def divergence_curves(lake: Lake, experiment: str) -> Figure | None:
    """Mean distance of runs of one prompt, logarithmic, one panel for each network and space.

    A straight line is exponential growth; its slope is the exponent, per invocation. The band is a bootstrap over runs.
    """
    where = {"analysis": _ANALYSIS}
    rows = lake.read("curves", experiment, where=where | {"curve": "distance"}).to_pylist()
    rows = broadest([row for row in rows if row["value"] is not None])
    kinds = list(dict.fromkeys((row["embedding_model"], row["modality"], row["network"]) for row in rows))
    if not kinds:
        return None
    fits = [row for row in lake.read("dynamics", experiment, where=where).to_pylist() if row["statistic"] in _LINES]
    fits = [row for row in fits if row["value"] is not None and row["prompt_number"] == -1 and not row["contrast"]]
    order = list(dict.fromkeys(network_of_run(lake, experiment).values()))
    kinds.sort(key=lambda kind: (*kind[:2], order.index(kind[2]) if kind[2] in order else len(order)))
    shown = kinds[:MOST_PANELS]
    names = short_networks(kind[2] for kind in kinds)
    columns = min(4, len({kind[2] for kind in shown}))
    figure, panels = grid(
        len(shown), columns=columns, width=2.5, height=2.35, title="How runs of one prompt come apart"
    )
    for panel, kind in zip(panels, shown, strict=True):
        own = [row for row in rows if (row["embedding_model"], row["modality"], row["network"]) == kind]
        mine = [row for row in fits if (row["embedding_model"], row["modality"], row["network"]) == kind]
        told = _curve(panel, own, mine)
        title = [space_name(*kind[:2]), broken(names[kind[2]], 34), *told]
        panel.set_title("\n".join(title), fontsize=7)
        panel.set(xlabel=own[0]["x_unit"], ylabel="distance (chord)")
    legend_below(figure, panels)
    remark = and_more(shown, len(kinds), "panels")
    note(figure, f"Slopes per invocation, with 95 % intervals. {remark}".strip())
    return figure


def _curve(panel: Axes, rows: list[dict[str, Any]], fits: list[dict[str, Any]]) -> list[str]:
    """What the fits' slopes are, in words."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    x, value, low, high = (np.array([row[name] for row in rows], float) for name in ("x", "value", "low", "high"))
    some = value > 0
    if not some.any():
        panel.text(0.5, 0.5, "equal at all times", transform=panel.transAxes, ha="center", color=INK)
        panel.set(xticks=[], yticks=[])
        return []
    floor = float(value[some].min()) / 2
    panel.fill_between(x[some], np.maximum(low[some], floor), high[some], color=COLOURS[0], alpha=0.18, linewidth=0)
    panel.plot(x[some], value[some], color=COLOURS[0], linewidth=1.3, label="mean over pairs of runs")
    told: list[str] = []
    for fit in fits:
        points = int(json.loads(fit["details"] or "{}").get("points", 0))
        rows_used = np.flatnonzero(some)[:points]
        if len(rows_used) > 1:
            words, tint, kind = _LINES[fit["statistic"]]
            span, logs = x[rows_used], np.log(value[rows_used])
            # Least squares go through the mean of the points: the slope is all that has to be known.
            fitted = np.exp(logs.mean() + fit["value"] * (span - span.mean()))
            panel.plot(span, fitted, color=tint, linestyle=kind, linewidth=1.2, label=words)
            told.append(_told(fit))
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:.3g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y", color=FAINT, linewidth=0.3)
    return told


def _told(fit: dict[str, Any]) -> str:
    word = {"early_slope": "early", "whole_slope": "whole"}[fit["statistic"]]
    if fit["low"] is None or fit["high"] is None:
        return f"{word} slope {fit['value']:.2g}"
    return f"{word} slope {fit['value']:.2g} [{fit['low']:.2g}, {fit['high']:.2g}]"
