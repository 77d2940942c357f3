"""How finely that is coded which a transform left of a picture: the encoder's choice, by each picture's own errors.

Here belongs finding the layer that comes so much nearer to the picture. A fixed step would add nothing to a picture
that the transform knows well, and too much at once to another; so a part of the way from what was left to nearly
nothing is asked for. What a layer is belongs to :mod:`panic_assets.codec.lossless`; a decoder needs its step alone.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

import numpy as np

from panic_assets.codec import lossless
from panic_assets.codec.lossless import Push

_FORTIETHS = {
    10: (12,), 9: (11, 12), 8: (10, 11, 12), 7: (10, 11, 12), 6: range(8, 13), 5: range(8, 13), 4: range(6, 13),
    3: range(4, 15), 2: range(2, 17),
}  # fmt: skip

LADDER: tuple[tuple[int, Push], ...] = (
    *((step, lossless.PUSH) for step in (255, 220, 190, 165, 143, 124, 107, 93, 80, 69, 60, 52, 45, 39, 34, 30, 26)),
    *((step, lossless.PUSH) for step in (23, 20, 18, 16, 15, 14, 13, 12, 11)),
    *((step, (share, 40)) for step, shares in _FORTIETHS.items() for share in shares),
)
"""Steps, and the share of a step that is added before magnitudes are rounded down, from coarse to fine.

Each has more bytes and less error than the one before, as measured on pictures that the transform was trained on.
Between small whole steps the share makes the difference."""


_TINY = 1e-9
_BLOCK, _SAMPLE = 32, 1 << 15


@dataclass(frozen=True)
class Way:
    """``part`` (1 to ``parts``) of so many equal parts, in decibels, of the way to a picture."""

    part: int
    parts: int


@dataclass(frozen=True, eq=False)
class Layer:
    """What is added to a drawn picture: quantised ``coefficients`` of a transform over ``levels``, with a step."""

    coefficients: np.ndarray
    levels: int
    step: int


def with_step(missing: np.ndarray, step: int) -> Layer | None:
    """The layer with this step for int32 (channels, h, w); None where it would come no nearer, of a step above 1."""
    levels = lossless.levels_for(*missing.shape[1:])
    found = lossless.transform(missing, levels, step)
    is_nearer = step == 1 or _error(missing - lossless.restore(found, levels, step)) < _error(missing)
    return Layer(found, levels, step) if is_nearer else None


def part_of_the_way(missing: np.ndarray, way: Way) -> Layer | None:
    """The coarsest layer that comes so far from what is missing to what the finest layer leaves.

    Each part of a way has another layer than the ones before, as long as the ladder has one: so quality rises from part
    to part on every picture. Returns None where no layer comes nearer.
    """
    sample = _sampled(missing)
    levels = lossless.levels_for(*sample.shape[1:])
    lifted = lossless.lifted(sample, levels, LADDER[0][0])

    @cache
    def error(place: int) -> float:
        step, push = LADDER[place]
        return _error(sample - lossless.restore(lossless.quantised(lifted, levels, step, push), levels, step))

    last = len(LADDER) - 1
    most, least = _error(sample), error(last)
    if least >= most:
        return None
    places: list[int] = []
    # A part may have no layer of its own, and then takes the next one, which may push others on.
    for part in range(way.part, 0, -1):
        target = most * (max(least, _TINY) / most) ** (part / way.parts)
        end = places[-1] if places else last
        places.append(bisect_left(range(end), -target, key=lambda place: -error(place)))
        if places[0] - places[-1] >= way.part - 1:
            break
    step, push = LADDER[min(last, max(place + further for further, place in enumerate(places)))]
    levels = lossless.levels_for(*missing.shape[1:])
    return Layer(lossless.quantised(lossless.lifted(missing, levels, step), levels, step, push), levels, step)


def _sampled(missing: np.ndarray) -> np.ndarray:
    """Blocks at equal distances, one below the other, of planes that have more values than a sample needs."""
    channels, height, width = missing.shape
    down, along = height // _BLOCK, width // _BLOCK
    every = -(-down * along * _BLOCK**2 // _SAMPLE)
    if every < 2:
        return missing
    rows = missing[:, : down * _BLOCK, : along * _BLOCK].reshape(channels, down, _BLOCK, along, _BLOCK)
    chosen = rows.transpose(0, 1, 3, 2, 4).reshape(channels, down * along, _BLOCK, _BLOCK)[:, ::every]
    return np.ascontiguousarray(chosen).reshape(channels, -1, _BLOCK)


def _error(left: np.ndarray) -> float:
    flat = left.ravel()
    # Sums of squares pass 32 bits.
    return float(np.dot(flat, flat)) if flat.size * 512**2 < 1 << 31 else float(np.square(flat, dtype=np.float64).sum())
