"""Persistence: diagrams, the bars of one run of each network, and how entropies are spread.

Here belongs drawing from the tables ``persistence_diagrams`` and ``persistence_features``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from panic_assets.lake import Lake
from panic_assets.reports.figures.generic import violins
from panic_assets.reports.figures.labels import and_more, broken, short_networks, space_name
from panic_assets.reports.figures.pick import network_of_run
from panic_assets.reports.style import FAINT, RASTERISE_FROM, colour, grid, legend_below, note, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DIMENSIONS = (0, 1, 2)
_MARKERS = ("o", "^", "s")
_MOST_PANELS = 12
_MOST_BARS = 40  # of one dimension of a barcode


@styled
def persistence_scatter(lake: Lake, experiment: str) -> Figure | None:
    """All diagrams of an experiment, one panel for each space, by homology dimension."""
    rows = lake.read("persistence_diagrams", experiment).to_pylist()
    kinds = sorted({(row["embedding_model"], row["modality"]) for row in rows})
    if not kinds:
        return None
    figure, panels = grid(len(kinds), width=2.7, height=2.8, title="Persistence diagrams of all runs")
    for panel, kind in zip(panels, kinds, strict=True):
        reach = 0.0
        for dimension in _DIMENSIONS:
            births, deaths = _pairs(rows, kind, dimension)
            reach = max(reach, deaths.max(initial=0.0))
            panel.scatter(
                births,
                deaths,
                s=8,
                marker=_MARKERS[dimension],
                color=colour(dimension),
                alpha=min(0.5, max(0.08, 400 / max(1, len(births)))),
                linewidths=0,
                label=f"H{dimension}",
                rasterized=len(births) > RASTERISE_FROM,
            )
        panel.plot([0, reach], [0, reach], color=FAINT, linewidth=0.8)
        panel.set(title=space_name(*kind), xlabel="birth (distance)", ylabel="death (distance)")
    legend_below(figure, panels)
    return figure


@styled
def barcodes(lake: Lake, experiment: str) -> Figure | None:
    """The bars of one run of each network and space: the run of the highest total persistence of loops."""
    rows = lake.read("persistence_diagrams", experiment).to_pylist()
    network = network_of_run(lake, experiment)
    best: dict[tuple[str, str, str], tuple[float, float, int]] = {}
    for row in rows:
        if row["run_number"] not in network or not row["deaths"] or row["homology_dimension"] > 1:
            continue
        key = (row["embedding_model"], row["modality"], network[row["run_number"]])
        weight = float(np.sum(_lengths(row)))
        mine = (weight, 0.0) if row["homology_dimension"] == 1 else (0.0, weight)
        best[key] = max(best.get(key, (-1.0, 0.0, 0)), (*mine, -row["run_number"]))
    if not best:
        return None
    shown = sorted(best)[:_MOST_PANELS]
    names = short_networks(network.values())
    columns = len({key[2] for key in shown})
    figure, panels = grid(len(shown), columns=min(4, columns), width=2.4, height=2.1, title="Barcodes of one run each")
    for panel, key in zip(panels, shown, strict=True):
        number = -best[key][2]
        own = [r for r in rows if r["run_number"] == number and (r["embedding_model"], r["modality"]) == key[:2]]
        _bars(panel, own)
        panel.set_title(f"{space_name(*key[:2])}, run {number}\n{broken(names[key[2]], 32)}", fontsize=7)
        panel.set(xlabel="scale (distance)", yticks=[])
        panel.spines["left"].set_visible(False)
    legend_below(figure, panels)
    remark = and_more(shown, len(best), "panels")
    note(figure, f"The {_MOST_BARS} longest bars of each dimension. {remark}".strip())
    return figure


@styled
def entropy_violins(lake: Lake, experiment: str) -> Figure | None:
    """How the persistence entropy of runs is spread, by network, for each space and homology dimension."""
    network = network_of_run(lake, experiment)
    found: dict[str, dict[str, list[float]]] = {}
    rows = lake.read("persistence_features", experiment).to_pylist()
    for row in sorted(rows, key=lambda r: (r["homology_dimension"], r["embedding_model"], r["modality"])):
        if row["entropy"] is not None and row["run_number"] in network and row["homology_dimension"] < 2:
            title = f"H{row['homology_dimension']}, {space_name(row['embedding_model'], row['modality'])}"
            found.setdefault(title, {}).setdefault(network[row["run_number"]], []).append(row["entropy"])
    return violins(found, "Persistence entropy of runs", dict.fromkeys(found, "entropy (nats)"))


def _pairs(rows: list[dict[str, Any]], kind: tuple[str, str], dimension: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = [
        row
        for row in rows
        if (row["embedding_model"], row["modality"]) == kind and row["homology_dimension"] == dimension
    ]
    births = np.concatenate([np.asarray(row["births"], float) for row in chosen] or [np.empty(0)])
    deaths = np.concatenate([np.asarray(row["deaths"], float) for row in chosen] or [np.empty(0)])
    finite = np.isfinite(deaths)
    return births[finite], deaths[finite]


def _lengths(row: dict[str, Any]) -> np.ndarray:
    lengths = np.asarray(row["deaths"], float) - np.asarray(row["births"], float)
    return lengths[np.isfinite(lengths)]


def _bars(panel: Any, rows: list[dict[str, Any]]) -> None:
    """Bars of dimension 0 at the bottom, those that never end with an arrow's head."""
    finite = [value for row in rows for value in (*row["births"], *row["deaths"]) if np.isfinite(value)]
    reach = max(finite, default=1.0) or 1.0
    height = 0
    for row in sorted(rows, key=lambda r: r["homology_dimension"]):
        births, deaths = np.asarray(row["births"], float), np.asarray(row["deaths"], float)
        order = np.argsort(births - deaths, kind="stable")[:_MOST_BARS]
        order = order[np.lexsort((deaths[order], births[order]))]
        if not len(order):
            continue
        dimension = row["homology_dimension"]
        places = height + np.arange(len(order))
        ends = np.where(np.isfinite(deaths[order]), deaths[order], 1.08 * reach)
        panel.hlines(places, births[order], ends, color=colour(dimension), linewidth=1.1, label=f"H{dimension}")
        endless = ~np.isfinite(deaths[order])
        panel.plot(ends[endless], places[endless], ">", color=colour(dimension), markersize=3)
        height += len(order) + 3
    panel.set(xlim=(0, 1.12 * reach), ylim=(-2, max(height, 1)))
