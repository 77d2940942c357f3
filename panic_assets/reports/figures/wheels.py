"""Cycle wheels: what runs that ended in a cycle repeat for ever, as circles.

Here belong exact cycles; what runs went through before is in ``strips``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panic_assets.dynamics.absorption import attractor
from panic_assets.dynamics.corpus import Run
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, broken, short_networks, wrapped
from panic_assets.reports.figures.pick import corpus_of, pictures
from panic_assets.reports.style import FAINT, INK, PALE, grid, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_OUTPUTS = 12  # of one wheel
_BLANK = {"facecolor": "white", "linewidth": 0, "pad": 1}


@styled
def cycle_wheels(lake: Lake, experiment: str, most: int = 6) -> Figure | None:
    """The longest cycles that runs ended in, each once, clockwise from the top; those of most runs first."""
    corpus = corpus_of(lake, experiment)
    basins: dict[tuple[str, str], list[Run]] = {}
    for run in corpus.runs if corpus else ():
        name = attractor(run)
        if name is not None:
            basins.setdefault((run.network, name), []).append(run)
    if not basins:
        return None
    order = sorted(basins.values(), key=lambda runs: (-(runs[0].cycle_length or 0), -len(runs), runs[0].number))
    shown = order[:most]
    turns = [_cycle(runs[0]) for runs in shown]
    tiles = pictures(lake, experiment, [one for turn in turns for one in turn if isinstance(one, bytes)], 72)
    names = short_networks(runs[0].network for runs in order)
    figure, panels = grid(len(shown), width=3.1, height=3.2, title="Cycles that runs ended in")
    for panel, runs, turn in zip(panels, shown, turns, strict=True):
        _wheel(panel, turn, tiles)
        panel.set_title(broken(names[runs[0].network], 36), fontsize=7)
        what = "fixed point" if len(turn) <= len(runs[0].models) else f"{len(turn) // len(runs[0].models)} turns"
        count = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
        panel.text(0, 0, f"{what}\n{count}", ha="center", va="center", fontsize=7.5, color=INK)
    note(figure, " ".join(["Clockwise from the top.", and_more(shown, len(order), "cycles")]).strip())
    return figure


def _cycle(run: Run) -> tuple[str | bytes, ...]:
    start = run.transient_length or 0
    return run.outputs[start : start + (run.cycle_length or 0)]


def _wheel(panel: Axes, turn: tuple[str | bytes, ...], tiles: dict[bytes, np.ndarray]) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    shown = turn[:_MOST_OUTPUTS]
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(shown)) / len(shown)
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    side = float(np.clip(2.2 / len(shown), 0.26, 0.42))
    room = 1.3 * side  # about an output, in radians of a circle of radius 1
    if len(shown) > 4:  # no room for arrows
        panel.add_patch(Circle((0, 0), 1, fill=False, edgecolor=PALE, linewidth=2, zorder=0))
    for number, angle in enumerate(angles):
        if len(shown) == 1:
            break
        end = angles[(number + 1) % len(angles)] - (2 * np.pi if number + 1 == len(angles) else 0)
        first, last = angle - room, end + room
        if first - last > 0.12:
            panel.add_patch(
                FancyArrowPatch(
                    (np.cos(first), np.sin(first)),
                    (np.cos(last), np.sin(last)),
                    connectionstyle=f"arc3,rad={np.tan((first - last) / 4):.4f}",
                    arrowstyle="-|>",
                    mutation_scale=8,
                    linewidth=1,
                    color=FAINT,
                )
            )
    width = 16 if len(shown) <= 4 else 12
    for (x, y), output in zip(places, shown, strict=True):
        if isinstance(output, bytes):
            if output in tiles:
                panel.imshow(tiles[output], extent=(x - side, x + side, y - side, y + side), zorder=3)
        else:
            text = wrapped(output, width, 4) or "(empty)"
            panel.text(x, y, text, ha="center", va="center", fontsize=6, color=INK, zorder=3, bbox=_BLANK)
    if len(turn) > len(shown):
        panel.text(0, -0.3, f"first {len(shown)} of {len(turn)} outputs", ha="center", fontsize=6)
    panel.set(xlim=(-1.55, 1.55), ylim=(-1.5, 1.5), aspect="equal")
    panel.set_axis_off()
