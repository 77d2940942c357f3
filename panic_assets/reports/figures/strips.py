"""Film strips: what runs looked like, picture by picture, with what was said of each.

Here belong pictures in their order in time. Cycles as circles are in ``wheels``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from panic_assets.dynamics.corpus import Run
from panic_assets.lake import Lake
from panic_assets.reports.figures.labels import and_more, plain, short_networks, wrapped
from panic_assets.reports.figures.pick import corpus_of, example, networks_of, pictures
from panic_assets.reports.style import INK, SMALL, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TILE, _GAP = 48, 2
_INCHES = 1.05  # of a picture's side, with the room about it
_CAPTION = (17, 4)  # characters in a line, lines


def film_strip(lake: Lake, experiment: str, run_number: int, count: int = 16) -> np.ndarray | None:
    """The first pictures of a run side by side, uint8 (48, width, 3); None if it has none."""
    rows = lake.read("invocations", experiment, ["sequence_number", "image_hash"], {"run_number": run_number})
    hashes = [value for value in rows.column("image_hash").to_pylist() if value is not None][:count]
    tiles = pictures(lake, experiment, hashes, _TILE)
    if not tiles:
        return None
    strip = np.full((_TILE, len(hashes) * (_TILE + _GAP) - _GAP, 3), 255, np.uint8)
    for place, image_hash in enumerate(hashes):
        strip[:, place * (_TILE + _GAP) :][:, :_TILE] = tiles[image_hash]
    return strip


@styled
def film_strips(lake: Lake, experiment: str, count: int = 8, most: int = 8) -> Figure | None:
    """One run of each network: up to ``count`` of its pictures from first to last, each above the text made of it."""
    corpus = corpus_of(lake, experiment)
    if corpus is None:
        return None
    networks = {
        name: example(seen)
        for name, runs in networks_of(corpus.runs).items()
        if (seen := [run for run in runs if any(isinstance(output, bytes) for output in run.outputs)])
    }
    if not networks:
        return None
    shown = list(networks.items())[:most]
    places = [_spread(run, count) for _, run in shown]
    hashes = {run.outputs[place] for (_, run), own in zip(shown, places, strict=True) for place in own}
    tiles = pictures(lake, experiment, [value for value in hashes if isinstance(value, bytes)], 96)
    across = max(map(len, places))
    labels = short_networks(networks, 60)
    # A single picture would make a figure too narrow for its title.
    width = max(_INCHES * across, 4.0) / across
    figure, _ = new_figure(1, 1, width * across, 1.7 * len(shown), title="What runs looked like")
    figure.clear()
    figure.suptitle("What runs looked like", x=0.01, ha="left")
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
    rows = np.ravel(figure.subfigures(len(shown), 1, squeeze=False))
    for part, (name, run), own in zip(rows, shown, places, strict=True):
        part.suptitle(
            f"{labels[name]}: run {run.number}, from “{plain(run.prompt, 70)}”",
            x=0.01,
            ha="left",
            fontsize=8,
            weight="normal",
        )
        panels = np.atleast_1d(part.subplots(1, across))
        for panel in panels:
            panel.set_axis_off()
        for panel, place in zip(panels, own, strict=False):
            _tile(panel, run, place, tiles)
    remark = and_more(shown, len(networks), "networks")
    if remark:
        note(figure, remark)
    return figure


def _spread(run: Run, count: int) -> list[int]:
    """Places of up to ``count`` pictures of a run, first and last among them, evenly between."""
    held = [place for place, output in enumerate(run.outputs) if isinstance(output, bytes)]
    chosen = np.unique(np.linspace(0, len(held) - 1, min(count, len(held))).round().astype(int))
    return [held[row] for row in chosen]


def _tile(panel: Axes, run: Run, place: int, tiles: dict[bytes, np.ndarray]) -> None:
    image_hash = run.outputs[place]
    if isinstance(image_hash, bytes) and image_hash in tiles:
        panel.imshow(tiles[image_hash], extent=(0, 1, 0, 1), interpolation="nearest")
    panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", anchor="N")
    panel.set_title(str(place), fontsize=SMALL, pad=2, color="#555555")
    following = run.outputs[place + 1] if place + 1 < len(run.outputs) else None
    if isinstance(following, str):
        panel.text(0, -0.06, wrapped(following, *_CAPTION), ha="left", va="top", fontsize=5.5, color=INK)
