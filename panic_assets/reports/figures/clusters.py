"""Clusters: the largest ones, which cluster each run was in at each time, and the passages between them.

Here belongs drawing from the tables of clusters and ``transitions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from panic_assets.dynamics.symbols import LabelledRun, LabelledSpace, labelled_spaces
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, broken, plain, short_networks, space_name
from panic_assets.reports.figures.pick import corpus_of
from panic_assets.reports.style import COLOURS, FAINT, INK, PALE, colour, grid, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OTHER, _OUTLIER, _ENDED = "#9A9A9A", PALE, "#FFFFFF"


@styled
def cluster_sizes(lake: Lake, experiment: str | None = None, count: int = 10) -> Figure | None:
    """The largest clusters of each embedding model by their medoids, over all experiments of the lake."""
    rows = lake.read("clusters").to_pylist()
    kinds = sorted({(row["embedding_model"], row["modality"], row["clustering_id"]) for row in rows})
    if not kinds:
        return None
    figure, panels = new_figure(1, len(kinds), width=6.4, height=0.6 + 0.2 * count, title="The largest clusters")
    for panel, kind in zip(panels, kinds, strict=True):
        chosen = [row for row in rows if row["clustering_id"] == kind[2]]
        chosen = sorted(chosen, key=lambda row: row["cluster"])[:count][::-1]
        panel.barh(range(len(chosen)), [row["share"] for row in chosen], color=colour(0), height=0.7)
        labels = [_medoid(row, 56) for row in chosen]
        panel.set_yticks(range(len(chosen)), labels, fontsize=6.5, color=INK)
        panel.set(title=space_name(*kind[:2]), xlabel="share of the outputs")
    return figure


@styled
def cluster_timeline(lake: Lake, experiment: str, named: int = 7) -> Figure | None:
    """Which cluster each run was in at each time: a line of the picture for each run, runs of a network together."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    spaces = _labelled(lake, experiment)
    if not spaces:
        return None
    runs = max(len(space.runs) for space in spaces)
    height = float(np.clip(0.035 * runs, 1.6, 3.4))
    figure, panels = new_figure(1, len(spaces), 7.0, height + 1.0, title="Clusters over time")
    for panel, space in zip(panels, spaces, strict=True):
        frequent, texts = _frequent(lake, space, named)
        groups = space.by_network()
        ordered = [
            one
            for members in groups.values()
            for one in sorted(members, key=lambda r: (r.run.prompt_number, r.run.seed < 0, r.run.seed, r.run.number))
        ]
        panel.imshow(
            _timeline(ordered, frequent),
            cmap=ListedColormap([_ENDED, _OUTLIER, _OTHER, *[colour(n) for n in range(named)]]),
            vmin=0,
            vmax=2 + named,
            aspect="auto",
            interpolation="nearest",
        )
        ends = np.cumsum([len(members) for members in groups.values()])
        panel.hlines(ends[:-1] - 0.5, -0.5, panel.get_xlim()[1], color=INK, linewidth=0.8)
        middles = ends - np.array([len(members) for members in groups.values()]) / 2 - 0.5
        names = short_networks(groups)
        panel.set_yticks(middles, [broken(names[name], 26) for name in groups], fontsize=6.5)
        panel.tick_params(axis="y", length=0)
        panel.set(title=space_name(space.embedding_model, space.modality), xlabel="sequence number")
        keys = [(colour(n), f"{c}: {texts.get(c, '')}") for n, c in enumerate(frequent)]
        keys += [(_OTHER, "other clusters"), (_OUTLIER, "in no cluster"), (_ENDED, "run has ended")]
        panel.legend(
            [Patch(facecolor=tint, edgecolor=FAINT, linewidth=0.5) for tint, _ in keys],
            [text for _, text in keys],
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            fontsize=6.5,
        )
    return figure


@styled
def transition_graph(lake: Lake, experiment: str, states: int = 8, most: int = 12) -> Figure | None:
    """Passages between the most visited clusters, one panel for each network and space.

    The area of a disc grows with the passages that leave it, its ring's darkness with the share that stays; arrows
    with the share of the passages that go there. Those under 5 % are left out. Passages go from output to output
    (``bigram``, lag 1).
    """
    rows = lake.read("transitions", experiment).to_pylist()
    rows = [row for row in rows if row["kind"] == "bigram" and row["lag"] == 1 and row["network"]]
    kinds = sorted({(row["embedding_model"], row["modality"], row["clustering_id"], row["network"]) for row in rows})
    if not kinds:
        return None
    shown = kinds[:most]
    names = short_networks(kind[3] for kind in kinds)
    columns = min(4, max(sum(kind[2] == one[2] for one in kinds) for kind in kinds))
    figure, panels = grid(len(shown), columns=columns, width=2.3, height=2.5, title="Passages between clusters")
    for panel, kind in zip(panels, shown, strict=True):
        own = [r for r in rows if (r["embedding_model"], r["modality"], r["clustering_id"], r["network"]) == kind]
        _graph(panel, own, states)
        panel.set_title(f"{space_name(*kind[:2])}\n{broken(names[kind[3]], 32)}", fontsize=7)
    remark = and_more(shown, len(kinds), "panels")
    note(figure, f"Numbers of clusters; none: in no cluster. Dark discs: most passages stay. {remark}".strip())
    return figure


def _labelled(lake: Lake, experiment: str) -> list[LabelledSpace]:
    corpus = corpus_of(lake, experiment)
    return [space for space in labelled_spaces(lake, experiment, corpus.runs) if space.runs] if corpus else []


def _frequent(lake: Lake, space: LabelledSpace, count: int) -> tuple[list[int], dict[int, str]]:
    """The clusters that this experiment's runs are in most often, and what each is about."""
    labels = np.concatenate([one.labels for one in space.runs])
    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    frequent = [int(c) for c in numbers[np.lexsort((numbers, -counts))][:count]]
    rows = lake.read("clusters", where={"clustering_id": space.clustering_id}).to_pylist()
    return frequent, {row["cluster"]: _medoid(row, 40) for row in rows}


def _medoid(row: dict[str, Any], length: int) -> str:
    where = f"picture {row['medoid_sequence_number']} of run {row['medoid_run_number']}"
    return plain(row["medoid_text"], length) or where


def _timeline(runs: Sequence[LabelledRun], frequent: Sequence[int]) -> np.ndarray:
    """One row a run, one column a sequence number: 0 ended, 1 outlier, 2 other, 3 and up the frequent ones.

    Between two labels (other media lie between) the earlier one is kept.
    """
    length = max(int(one.sequence_numbers[-1]) for one in runs) + 1
    stride = max(1, round(length / max(len(one.labels) for one in runs)))
    shades = {-1: 1} | {cluster: 3 + place for place, cluster in enumerate(frequent)}
    table = np.zeros((len(runs), length), np.uint8)
    for row, one in enumerate(runs):
        ends = np.append(one.sequence_numbers[1:], one.sequence_numbers[-1] + stride)
        for start, end, label in zip(one.sequence_numbers, ends, one.labels, strict=True):
            table[row, start:end] = shades.get(int(label), 2)
    return table


def _graph(panel: Axes, rows: Sequence[dict[str, Any]], states: int) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    leaving: dict[int, int] = {}
    visits: dict[int, int] = {}
    for row in rows:
        leaving[row["from_state"]] = leaving.get(row["from_state"], 0) + row["count"]
        for state in (row["from_state"], row["to_state"]):
            visits[state] = visits.get(state, 0) + row["count"]
    shown = sorted(sorted(visits, key=lambda state: (-visits[state], state))[:states])
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(shown)) / len(shown)
    places = {state: (float(np.cos(a)), float(np.sin(a))) for state, a in zip(shown, angles, strict=True)}
    most = max(visits[state] for state in shown)
    radii = {state: 0.1 + 0.16 * (visits[state] / most) ** 0.5 for state in shown}
    stays = {
        row["from_state"]: row["count"] / leaving[row["from_state"]]
        for row in rows
        if row["from_state"] == row["to_state"]
    }
    for row in rows:
        start, end = row["from_state"], row["to_state"]
        share = row["count"] / leaving[start]
        if start == end or start not in places or end not in places or share < 0.05:
            continue
        (x0, y0), (x1, y1) = places[start], places[end]
        gap = np.hypot(x1 - x0, y1 - y0)
        from_edge, to_edge = radii[start] / gap, radii[end] / gap
        panel.add_patch(
            FancyArrowPatch(
                (x0 + (x1 - x0) * from_edge, y0 + (y1 - y0) * from_edge),
                (x1 - (x1 - x0) * to_edge, y1 - (y1 - y0) * to_edge),
                connectionstyle="arc3,rad=0.18",
                arrowstyle="-|>",
                mutation_scale=5 + 4 * share,
                linewidth=0.4 + 1.8 * share,
                color=INK,
                alpha=0.25 + 0.6 * share,
                shrinkA=0,
                shrinkB=0,
            )
        )
    for state in shown:
        stay = stays.get(state, 0.0)
        tint = (1 - 0.85 * stay, 1 - 0.55 * stay, 1 - 0.3 * stay)
        panel.add_patch(
            Circle(places[state], radii[state], facecolor=tint, edgecolor=COLOURS[0], linewidth=0.9, zorder=3)
        )
        panel.text(
            *places[state],
            "none" if state < 0 else str(state),
            ha="center",
            va="center",
            fontsize=6 if state < 0 else 7,
            color="white" if stay > 0.55 else INK,
            zorder=4,
        )
    panel.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
    panel.set_axis_off()
