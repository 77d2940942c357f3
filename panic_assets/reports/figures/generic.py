"""Figures that fit every analysis: curves with bands, dots with intervals, violins and shares of labels.

Here belongs drawing from the tables ``curves``, ``dynamics`` and ``run_statistics``, whatever an analysis has written
there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, broken, plain, readable, short_networks, space_name
from panic_assets.reports.figures.pick import network_of_run
from panic_assets.reports.style import FAINT, INK, RASTERISE_FROM, colour, grid, legend_below, line, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
_MOST_CURVES = 27  # panels of curves
_MOST_LABELS = 12  # of a statistic, beyond which they are names of single things rather than kinds
_STEPS = ("_by", "_survival")  # ends of names of curves that rise or fall in steps
_MOST_ROWS = 14  # dots in a panel
_MOST_LINES = 14  # curves in a panel
_ALL = "all networks"

Row = dict[str, Any]


@styled
def curves(lake: Lake, experiment: str, analysis: str, only: Collection[str] = ()) -> Figure | None:
    """The curves of an analysis, one panel for each curve and space, a line with its band for each network.

    Curves of whole networks where there are some, else those of prompts, contrasts or single runs. ``only``: names of
    curves to draw; all of them without it.
    """
    rows = lake.read("curves", experiment, where={"analysis": analysis}).to_pylist()
    rows = [row for row in rows if row["value"] is not None and (not only or row["curve"] in only)]
    kinds = dict.fromkeys((row["curve"], row["embedding_model"], row["modality"]) for row in rows)
    if not kinds:
        return None
    shown = list(kinds)[:_MOST_CURVES]
    order = list(dict.fromkeys(network_of_run(lake, experiment).values()))
    figure, panels = grid(len(shown), width=3.1, height=2.2, title=_title(analysis))
    for panel, kind in zip(panels, shown, strict=True):
        own = broadest([r for r in rows if (r["curve"], r["embedding_model"], r["modality"]) == kind])
        _lines(panel, own, order)
        units = sorted({row["x_unit"] for row in own})
        panel.set(title=_panel_title(kind), xlabel=", ".join(units))
    legend_below(figure, panels)
    _left_out(figure, shown, kinds)
    return figure


@styled
def dots(lake: Lake, experiment: str, analysis: str, only: Collection[str] = ()) -> Figure | None:
    """Statistics of groups of runs with their intervals: a panel for each statistic, colours for spaces.

    ``only``: names of statistics to draw; all of them without it, those with intervals first.
    """
    rows = lake.read("dynamics", experiment, where={"analysis": analysis}).to_pylist()
    rows = [row for row in rows if row["value"] is not None and (not only or row["statistic"] in only)]
    statistics = dict.fromkeys(row["statistic"] for row in rows)
    if not statistics:
        return None
    with_interval = {row["statistic"] for row in rows if row["low"] is not None}
    order = list(dict.fromkeys(network_of_run(lake, experiment).values()))
    groups = {name: _whos([row for row in rows if row["statistic"] == name], order) for name in statistics}
    # Panels of equal height stand beside one another.
    shown = sorted(statistics, key=lambda name: (name not in with_interval, len(groups[name])))[:MOST_PANELS]
    spaces = sorted(
        dict.fromkeys(space_name(r["embedding_model"], r["modality"]) for r in rows), key=lambda s: (not s, s)
    )
    ratios = [0.75 + max(_room(groups[name]) for name in shown[start : start + 3]) for start in range(0, len(shown), 3)]
    figure, panels = grid(
        len(shown), width=3.6, height=sum(ratios) / len(ratios), title=_title(analysis), height_ratios=ratios
    )
    for panel, name in zip(panels, shown, strict=True):
        _intervals(panel, groups[name], spaces)
        units = {row["unit"] for own in groups[name].values() for row in own} - {""}
        panel.set(title=plain(readable(name), 48), xlabel=plain(", ".join(sorted(units)), 40))
    legend_below(figure, panels, most=4)
    _left_out(figure, shown, statistics)
    return figure


@styled
def run_values(lake: Lake, experiment: str, analysis: str, only: Collection[str] = ()) -> Figure | None:
    """How the numbers of single runs are spread, by network, one panel for each statistic and space."""
    rows = lake.read("run_statistics", experiment, where={"analysis": analysis}).to_pylist()
    network = network_of_run(lake, experiment)
    found: dict[str, dict[str, list[float]]] = {}
    units: dict[str, str] = {}
    for row in rows:
        if row["value"] is not None and row["run_number"] in network and (not only or row["statistic"] in only):
            title = _panel_title((row["statistic"], row["embedding_model"], row["modality"]))
            found.setdefault(title, {}).setdefault(network[row["run_number"]], []).append(row["value"])
            units[title] = row["unit"]
    return violins(found, _title(analysis), units)


@styled
def run_labels(lake: Lake, experiment: str, analysis: str, only: Collection[str] = (), most: int = 6) -> Figure | None:
    """Shares of the labels that runs bear, by network, one panel for each statistic and space."""
    rows = lake.read("run_statistics", experiment, where={"analysis": analysis}).to_pylist()
    network = network_of_run(lake, experiment)
    rows = [r for r in rows if r["label"] is not None and r["run_number"] in network]
    rows = [row for row in rows if not only or row["statistic"] in only]
    different: dict[str, set[str]] = {}
    for row in rows:
        different.setdefault(row["statistic"], set()).add(row["label"])
    rows = [row for row in rows if len(different[row["statistic"]]) <= _MOST_LABELS]
    kinds = dict.fromkeys((row["statistic"], row["embedding_model"], row["modality"]) for row in rows)
    if not kinds:
        return None
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["label"]] = counts.get(row["label"], 0) + 1
    frequent = sorted(counts, key=lambda label: (-counts[label], label))[:most]
    shown = list(kinds)[:MOST_PANELS]
    networks = list(dict.fromkeys(network.values()))[:_MOST_ROWS]
    names = short_networks(networks)
    figure, panels = grid(len(shown), width=3.0, height=0.8 + 0.36 * len(networks), title=_title(analysis))
    columns = min(3, len(shown))
    for number, (panel, kind) in enumerate(zip(panels, shown, strict=True)):
        own = [r for r in rows if (r["statistic"], r["embedding_model"], r["modality"]) == kind]
        _stacked(panel, [(network[row["run_number"]], row["label"]) for row in own], networks, frequent)
        _rows(panel, [names[network] for network in networks], number % columns == 0)
        panel.set(title=_panel_title(kind), xlabel="share of runs", xlim=(0, 1))
    legend_below(figure, panels)
    _left_out(figure, shown, kinds)
    return figure


@styled
def violins(found: Mapping[str, Mapping[str, Sequence[float]]], title: str, units: Mapping[str, str]) -> Figure | None:
    """``found``: panel to network to values of runs. Each as a violin with its median, and its runs where few."""
    shown = [name for name in found if any(found[name].values())][:MOST_PANELS]
    if not shown:
        return None
    networks = list(dict.fromkeys(network for name in shown for network in found[name]))[:_MOST_ROWS]
    names = short_networks(networks)
    figure, panels = grid(len(shown), width=3.0, height=0.8 + 0.38 * len(networks), title=title)
    columns = min(3, len(shown))
    for number, (panel, name) in enumerate(zip(panels, shown, strict=True)):
        for place, network in enumerate(networks):
            _violin(panel, np.asarray(found[name].get(network, ()), float), place)
        _rows(panel, [names[network] for network in networks], number % columns == 0)
        panel.set(title=name, xlabel=units.get(name, ""), ylim=(len(networks) - 0.4, -0.6))
    _left_out(figure, shown, found)
    return figure


def broadest(rows: Sequence[Row]) -> list[Row]:
    """The rows of the broadest groups that there are: networks, then contrasts, then prompts, then single runs."""
    tests: tuple[Callable[[Row], bool], ...] = (
        lambda row: row["prompt_number"] == -1 and not row["contrast"],
        lambda row: row["prompt_number"] == -1,
        lambda row: True,
    )
    groups = [row for row in rows if row.get("run_number", -1) == -1] or list(rows)
    return next((kept for test in tests if (kept := [row for row in groups if test(row)])), [])


def _whos(rows: Sequence[Row], order: Sequence[str]) -> dict[str, list[Row]]:
    """The rows of the broadest groups by what they are about, networks in ``order``, some of the first alone."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(broadest(rows), key=lambda r: order.index(r["network"]) if r["network"] in order else -1):
        groups.setdefault(_who(row), []).append(row)
    return dict(list(groups.items())[:_MOST_ROWS])


def _lines(panel: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    """A network keeps its colour in all panels; what is narrower than networks is numbered as it comes."""
    whole = all(not row["contrast"] and row["prompt_number"] == -1 for row in rows)
    single = any(row["run_number"] >= 0 for row in rows)
    members: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda r: order.index(r["network"]) if r["network"] in order else -1):
        members.setdefault((_who(row), row["run_number"]), []).append(row)
    whos = list(dict.fromkeys(who for who, _ in members))
    step = rows[0]["curve"].endswith(_STEPS)
    for (who, _), own in members.items():
        network = own[0]["network"]
        number = order.index(network) if whole and network in order else whos.index(who)
        if number >= _MOST_LINES:
            continue
        x, value, low, high = (np.array([r[c] for r in own], float) for c in ("x", "value", "low", "high"))
        panel.plot(
            x,
            value,
            color=colour(number),
            linestyle=line(number),
            linewidth=0.6 if single else 1.3,
            alpha=0.35 if single else 1,
            marker="o" if len(x) == 1 else "",
            markersize=3,
            label=who.replace("\n", " "),
            drawstyle="steps-post" if step else "default",
            rasterized=len(rows) > RASTERISE_FROM and single,
        )
        if np.isfinite(low).any() and np.isfinite(high).any():
            panel.fill_between(
                x, low, high, color=colour(number), alpha=0.18, linewidth=0, step="post" if step else None
            )
    _cut_bands(panel, rows)


def _room(whos: Collection[str]) -> float:
    """Inches that rows of these names take."""
    return len(whos) * max(0.27, 0.12 * max(who.count("\n") + 1 for who in whos))


def _intervals(panel: Axes, groups: Mapping[str, Sequence[Row]], spaces: Sequence[str]) -> None:
    whos = list(groups)
    rows = [row for group in groups.values() for row in group]
    own = [s for s in spaces if any(space_name(r["embedding_model"], r["modality"]) == s for r in rows)]
    for row in rows:
        who, space = _who(row), space_name(row["embedding_model"], row["modality"])
        place = whos.index(who) + 0.6 * ((own.index(space) + 0.5) / len(own) - 0.5)
        tint = colour(spaces.index(space))
        if row["low"] is not None and row["high"] is not None:
            panel.plot([row["low"], row["high"]], [place, place], color=tint, linewidth=1.2, solid_capstyle="butt")
        panel.plot([row["value"]], [place], "o", color=tint, markersize=3.5, label=space or None)
    panel.set_yticks(range(len(whos)), whos, fontsize=6.5)
    panel.set_ylim(len(whos) - 0.5, -0.5)
    panel.grid(axis="x", color=FAINT, linewidth=0.3)
    values = np.array([row[name] for row in rows for name in ("value", "low", "high") if row[name] is not None])
    if values.min() < 0 < values.max():
        panel.axvline(0, color=INK, linewidth=0.6)


def _rows(panel: Axes, names: Sequence[str], told: bool) -> None:
    """Names of rows, told in the first column alone, since they are the same in all."""
    panel.set_yticks(range(len(names)), [broken(name) for name in names] if told else [""] * len(names), fontsize=6.5)


def _stacked(panel: Axes, held: Sequence[tuple[str, str]], networks: Sequence[str], frequent: Sequence[str]) -> None:
    left = np.zeros(len(networks))
    totals = np.array([max(1, sum(name == network for name, _ in held)) for network in networks])
    for number, label in enumerate([*frequent, None]):
        mine = [(n, one) for n, one in held if (one == label if label is not None else one not in frequent)]
        share = np.array([sum(name == network for name, _ in mine) for network in networks]) / totals
        if share.any():
            tint = colour(number) if label is not None else FAINT
            shown = plain(label, 30) if label is not None else "other labels"
            panel.barh(range(len(networks)), share, left=left, color=tint, height=0.7, edgecolor="white", label=shown)
        left += share
    panel.invert_yaxis()


def _violin(panel: Axes, values: np.ndarray, place: int) -> None:
    values = values[np.isfinite(values)]
    if not len(values):
        return
    tint = colour(place)
    if len(values) > 2 and np.ptp(values) > 1e-12 * max(1.0, float(np.abs(values).max())):
        drawn = panel.violinplot(values, [place], orientation="horizontal", widths=0.8, showextrema=False)
        for body in drawn["bodies"]:  # type: ignore[attr-defined]
            body.set(facecolor=tint, alpha=0.35, linewidth=0)
    if len(values) <= 60:
        shift = 0.22 * ((np.arange(len(values)) * 0.618034) % 1 - 0.5)
        panel.scatter(values, place + shift, s=5, color=tint, linewidths=0, alpha=0.8)
    panel.plot([np.median(values)], [place], "|", color=INK, markersize=11, markeredgewidth=1.4)


def _cut_bands(panel: Axes, rows: Sequence[Row]) -> None:
    """Bands that reach far beyond all curves are cut, so that the curves can be told apart."""
    values = np.array([row["value"] for row in rows])
    reach = 4 * (np.ptp(values) or abs(values).max() or 1.0)
    bottom, top = panel.get_ylim()
    top = min(top, values.max() + reach)
    lowest = min([row["value"] for row in rows] + [row["low"] for row in rows if row["low"] is not None])
    panel.set_ylim(max(bottom, values.min() - reach, lowest - 0.06 * (top - lowest)), top)


def _who(row: Row) -> str:
    """What a row is about, apart from its space."""
    prompt = f"prompt {row['prompt_number']}" if row["prompt_number"] != -1 else ""
    network = broken(short_networks([row["network"]])[row["network"]]) if row["network"] else ""
    return "\n".join(part for part in (network, plain(row["contrast"], 40), prompt) if part) or _ALL


def _title(analysis: str) -> str:
    words = readable(analysis)
    return words[:1].upper() + words[1:]


def _panel_title(kind: tuple[str, str, str]) -> str:
    space = space_name(*kind[1:])
    return "\n".join(part for part in (plain(readable(kind[0]), 48), space) if part)


def _left_out(figure: Figure, shown: Sequence[object], held: Collection[object]) -> None:
    remark = and_more(shown, len(held), "panels")
    if remark:
        note(figure, remark)
