"""Which coefficients are coded together, and what their known neighbours say about their size.

Here belongs the walk over the bands of a wavelet transform, in integers alone: an encoder and a decoder must find the
same classes. A band is coded in four passes, so that all coefficients of a pass can be treated at once and three
quarters of them still see neighbours in their own band. Tables and words belong to
:mod:`panic_assets.codec.bitstream.coefficients`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from panic_assets.codec.components import Band
from panic_assets.codec.lifting import bands

THRESHOLDS = (1, 3, 5, 8, 11, 15, 20, 27, 37, 52, 75, 110, 170, 300, 600)
"""Expected magnitudes, in eighths, at which the next class begins."""

CLASSES_OF_CHANNEL = 2 + len(THRESHOLDS)
"""The first class is that of coefficients about which nothing is known."""

_WHOLE = 64  # a band of so many coefficients is coded at once: four passes would cost more time than they save bytes
_CORNERS = ((0, 0), (1, 1), (0, 1), (1, 0))
_DIAGONALS = {(-1, -1): 1, (-1, 1): 1, (1, -1): 1, (1, 1): 1}
_SIDES = {(-1, 0): 2, (0, -1): 2, (0, 1): 2, (1, 0): 2}
_SEEN: tuple[dict[tuple[int, int], int], ...] = ({}, _DIAGONALS, _SIDES, _SIDES | _DIAGONALS)
"""Of each pass: the neighbours in the band that are known by then, and their weights."""

_FINER = {"LL": (), "LH": (), "HL": ("LH",), "HH": ("LH", "HL")}
_OTHER_CHANNEL, _SIBLING, _PARENT = 2, 2, 1

ValuesOf = Callable[[Band, tuple[int, int], int, np.ndarray], np.ndarray]
"""Given a band, the first row and column of a pass, the distance to the next, and the classes (h, w) of the pass's
coefficients: the coefficients, integers (h, w)."""


def most_classes(channels: int) -> int:
    """How many classes there are."""
    return min(channels, 2) * CLASSES_OF_CHANNEL


def walk(channels: int, height: int, width: int, levels: int, values_of: ValuesOf) -> np.ndarray:
    """Go through all coefficients; ``values_of`` finds those of a pass: by looking, or from words.

    Returns: int32 (channels, height, width), in the layout of :func:`panic_assets.codec.lifting.bands`.
    """
    found = np.zeros((channels, height, width), np.int32)
    sizes: dict[tuple[int, int, str], np.ndarray] = {}
    for band in bands(channels, height, width, levels):
        values = found[band.channel, band.top : band.top + band.height, band.left : band.left + band.width]
        around = np.zeros((band.height + 2, band.width + 2), np.int64)
        sizes[band.channel, band.level, band.kind] = around[1:-1, 1:-1]
        outside, weight = _outside(band, sizes)
        stride = 2 if values.size > _WHOLE else 1
        for corner, seen in zip(_CORNERS[: stride**2], _SEEN, strict=False):
            part = (slice(corner[0], None, stride), slice(corner[1], None, stride))
            if not values[part].size:
                continue
            classes = _classes(band, around, corner, seen, outside[part], weight)
            values[part] = values_of(band, corner, stride, classes)
            around[1:-1, 1:-1][part] = np.abs(values[part].astype(np.int64))
    return found


def _outside(band: Band, sizes: dict[tuple[int, int, str], np.ndarray]) -> tuple[np.ndarray, int]:
    """Magnitudes at the same place in other bands, weighted and summed, (h, w), and the sum of the weights."""
    total, weights = np.zeros((band.height, band.width), np.int64), 0
    rows, columns = np.arange(band.height), np.arange(band.width)
    places: list[tuple[tuple[int, int, str], int, int]] = [
        ((band.channel - 1, band.level, band.kind), 0, _OTHER_CHANNEL),
        *(((band.channel, band.level, kind), 0, _SIBLING) for kind in _FINER[band.kind]),
        ((band.channel, band.level + 1, band.kind), 1, _PARENT),
    ]
    for key, halvings, weight in places:
        if (other := sizes.get(key)) is None:
            continue
        if halvings or other.shape != total.shape:
            down = np.minimum(rows >> halvings, other.shape[0] - 1)
            along = np.minimum(columns >> halvings, other.shape[1] - 1)
            other = other.take(down, 0).take(along, 1)
        total += weight * other
        weights += weight
    return total, weights


def _classes(
    band: Band,
    around: np.ndarray,
    corner: tuple[int, int],
    seen: dict[tuple[int, int], int],
    outside: np.ndarray,
    weight: int,
) -> np.ndarray:
    """Classes of the coefficients of a pass, int64 (h, w)."""
    first = min(band.channel, 1) * CLASSES_OF_CHANNEL
    weight += sum(seen.values())
    if not weight:
        return np.full(outside.shape, first, np.int64)
    total = 8 * outside
    for (down, along), times in seen.items():
        top, left = corner[0] + 1 + down, corner[1] + 1 + along
        total += 8 * times * around[top::2, left::2][: outside.shape[0], : outside.shape[1]]
    return first + 1 + np.searchsorted(THRESHOLDS, total // weight, side="right")
