"""The order in which latents are coded, coarse to fine, and which coded neighbours each one sees.

Here belongs geometry in integers alone: no values, no weights. A grid of latents is refined like an interlaced
picture: first every 32nd position, then the centres of the squares so far known, then the middles of their edges, and
so on at half the distance. All positions of one pass are coded at once, which a raster order could not do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_CENTRE = [(-1, -1), (-1, 1), (1, -1), (1, 1), (-3, -1), (-3, 1), (-1, -3), (-1, 3), (1, -3), (1, 3), (3, -1), (3, 1)]
_EDGE = [(-1, 0), (0, -1), (0, 1), (1, 0), (-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1)]
_SQUARE = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]

COARSEST = 32
"""Distance, in latents, between the positions of the first pass."""

BASE_NETS = ("coarse_centre", "coarse_edge", "middle_centre", "middle_edge", "fine_centre", "fine_edge")
DETAIL_NETS = ("detail_first", "detail_centre", "detail_edge")
NEIGHBOURS = {name: 12 for name in BASE_NETS} | {"detail_first": 0, "detail_centre": 4, "detail_edge": 4}
"""How many positions of the same group of channels each network sees."""

SURROUNDINGS = len(_SQUARE)
"""How many positions of the base group the networks of the detail group see: the 3x3 around the target."""


@dataclass(frozen=True)
class Pass:
    """Positions that are coded together, by the network ``net``.

    ``targets``: int64 (t,), raster indices into the h x w grid. ``neighbours``: int64 (t, k), raster indices of the
    seen positions, h * w for one that is outside the grid.
    """

    net: str
    targets: np.ndarray
    neighbours: np.ndarray


@lru_cache(maxsize=64)
def base_passes(height: int, width: int) -> tuple[Pass, ...]:
    """The passes over the base channels of a grid; the first has net ``top`` and no neighbours. None is empty."""
    grid = _Grid(height, width)
    passes = [grid.make("top", grid.where(0, 0, COARSEST), [], 1)]
    distance = COARSEST // 2
    while distance:
        size = {2: "middle", 1: "fine"}.get(distance, "coarse")
        period = 2 * distance
        passes.append(grid.make(f"{size}_centre", grid.where(distance, distance, period), _CENTRE, distance))
        edges = np.concatenate([grid.where(0, distance, period), grid.where(distance, 0, period)])
        passes.append(grid.make(f"{size}_edge", edges, _EDGE, distance))
        distance //= 2
    return tuple(p for p in passes if p.targets.size)


@lru_cache(maxsize=64)
def detail_passes(height: int, width: int) -> tuple[Pass, ...]:
    """The three passes over the detail channels, coded after the whole base. None is empty."""
    grid = _Grid(height, width)
    edges = np.concatenate([grid.where(0, 1, 2), grid.where(1, 0, 2)])
    passes = [
        grid.make("detail_first", grid.where(0, 0, 2), [], 1),
        grid.make("detail_centre", grid.where(1, 1, 2), _CENTRE[:4], 1),
        grid.make("detail_edge", edges, _EDGE[:4], 1),
    ]
    return tuple(p for p in passes if p.targets.size)


@lru_cache(maxsize=64)
def surroundings(height: int, width: int) -> np.ndarray:
    """Raster indices of the 3x3 positions around every position, int64 (h * w, 9); h * w for one outside."""
    grid = _Grid(height, width)
    return grid.around(np.arange(height * width), _SQUARE, 1)


@dataclass(frozen=True)
class _Grid:
    height: int
    width: int

    def where(self, top: int, left: int, period: int) -> np.ndarray:
        rows, columns = np.arange(top, self.height, period), np.arange(left, self.width, period)
        return (rows[:, None] * self.width + columns[None]).ravel()

    def around(self, targets: np.ndarray, offsets: list[tuple[int, int]], distance: int) -> np.ndarray:
        moves = np.array(offsets, np.int64).reshape(-1, 2) * distance
        rows = targets[:, None] // self.width + moves[None, :, 0]
        columns = targets[:, None] % self.width + moves[None, :, 1]
        inside = (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        return np.where(inside, rows * self.width + columns, self.height * self.width)

    def make(self, net: str, targets: np.ndarray, offsets: list[tuple[int, int]], distance: int) -> Pass:
        return Pass(net, targets, self.around(targets, offsets, distance))
