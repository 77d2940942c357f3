"""How far runs get from their prompts: curves of all runs, and ridges of how the distances are spread over time.

Here belongs drawing from vectors. Group statistics of drift are those of the analysis of that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panic_assets.dynamics.corpus import Space, Trajectory
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, broken, short_networks, space_name
from panic_assets.reports.figures.pick import corpus_of
from panic_assets.reports.style import RASTERISE_FROM, colour, grid, legend_below, line, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIDGES = 9
_MOST_NETWORKS = 5
_LABEL = "cosine distance from the prompt"


@styled
def drift_from_prompt(lake: Lake, experiment: str) -> Figure | None:
    """Cosine distance of each output from its run's prompt: each run faint, the mean of each network strong."""
    spaces = _spaces(lake, experiment)
    if not spaces:
        return None
    networks = list(dict.fromkeys(name for space in spaces for name in space.by_network()))
    names = short_networks(networks)
    figure, panels = grid(len(spaces), width=3.3, height=2.6, title="Distance from the prompt")
    for panel, space in zip(panels, spaces, strict=True):
        points = sum(map(len, space.trajectories))
        for network, members in space.by_network().items():
            number = networks.index(network)
            drifts = [_drift(one) for one in members]
            for places, values in drifts:
                panel.plot(
                    places,
                    values,
                    color=colour(number),
                    alpha=max(0.04, min(0.25, 6 / len(drifts))),
                    linewidth=0.6,
                    rasterized=points > RASTERISE_FROM,
                )
            style = {"color": colour(number), "linestyle": line(number), "linewidth": 1.6}
            panel.plot(*_mean(drifts), **style, label=names[network])  # type: ignore[arg-type]
        panel.set(title=space_name(space.embedding_model, space.modality), xlabel="sequence number", ylabel=_LABEL)
        panel.set_ylim(0, None)
    legend_below(figure, panels)
    return figure


@styled
def drift_ridges(lake: Lake, experiment: str) -> Figure | None:
    """How the distances of runs from their prompts are spread at nine times, from the first output to the last.

    A run that has ended keeps its last distance. Densities are drawn with normal kernels of 3 % of the axis,
    all to one height; runs that agree make a spike.
    """
    spaces = _spaces(lake, experiment)
    if not spaces:
        return None
    networks = list(dict.fromkeys(name for space in spaces for name in space.by_network()))
    shown = networks[:_MOST_NETWORKS]
    names = short_networks(networks)
    figure, panels = new_figure(
        len(shown), len(spaces), 2.2, 2.5, "Distance from the prompt over time", sharex="row", sharey="row"
    )
    for row, space in enumerate(spaces):
        by_network = space.by_network()
        ends = np.unique(np.concatenate([one.sequence_numbers for one in space.trajectories]))
        places = np.unique(ends[np.linspace(0, len(ends) - 1, min(_RIDGES, len(ends))).round().astype(int)])
        drifts = {name: [_drift(one) for one in by_network.get(name, ())] for name in shown}
        reach = max(float(values.max()) for own in drifts.values() for _, values in own) * 1.08 or 1.0
        for column, name in enumerate(shown):
            panel = panels[row * len(shown) + column]
            _ridges(panel, drifts[name], places, reach, colour(networks.index(name)))
            panel.set_title(broken(names[name], 28) if row == 0 else "", fontsize=7)
            panel.set_xlabel(_LABEL if row == len(spaces) - 1 else "", fontsize=7)
            panel.tick_params(labelbottom=True)
        first = panels[row * len(shown)]
        first.set_ylabel(f"{space_name(space.embedding_model, space.modality)}\nsequence number")
    remark = and_more(shown, len(networks), "networks")
    if remark:
        note(figure, remark)
    return figure


def _spaces(lake: Lake, experiment: str) -> list[Space]:
    """Spaces in which prompts have vectors, with the trajectories that have one."""
    corpus = corpus_of(lake, experiment)
    found = []
    for space in corpus.spaces if corpus else ():
        able = tuple(one for one in space.trajectories if one.prompt is not None and len(one))
        if able:
            found.append(Space(space.embedding_model, space.modality, able))
    return found


def _drift(trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Sequence numbers and cosine distances from the prompt."""
    vectors = trajectory.vectors / np.maximum(np.linalg.norm(trajectory.vectors, axis=1, keepdims=True), 1e-12)
    prompt = np.asarray(trajectory.prompt) / max(float(np.linalg.norm(np.asarray(trajectory.prompt))), 1e-12)
    return trajectory.sequence_numbers, np.maximum(1 - vectors @ prompt, 0)


def _mean(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs at each place; a run that ended (in a cycle, say) keeps its last value."""
    places = np.unique(np.concatenate([places for places, _ in curves]))
    return places, np.mean([np.interp(places, own, values) for own, values in curves], axis=0)


def _ridges(
    panel: Axes, drifts: list[tuple[np.ndarray, np.ndarray]], places: np.ndarray, reach: float, tint: str
) -> None:
    """Times go down, as one reads."""
    x = np.linspace(0, reach, 120)
    for row, place in enumerate(places):
        values = np.array([np.interp(place, own, distances) for own, distances in drifts])
        if len(values):
            density = _density(values, x)
            base = np.full(len(x), -row, float)
            panel.fill_between(x, base, base + 1.25 * density, color=tint, alpha=0.45, linewidth=0, zorder=row)
            panel.plot(x, base + 1.25 * density, color=tint, linewidth=0.8, zorder=row)
    panel.set_yticks([-row for row in range(len(places))], [str(int(place)) for place in places])
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.set(xlim=(0, reach), ylim=(-len(places) + 0.8, 1.6))


def _density(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Normal kernels about the values, scaled to a height of 1."""
    width = 0.03 * float(x[-1])
    raised = np.exp(-0.5 * ((x[:, None] - values) / width) ** 2).sum(axis=1)
    return np.asarray(raised / max(raised.max(), 1e-300))
