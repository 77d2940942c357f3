"""Wavelets by lifting: CDF 5/3 and Haar, forward and back, on planes of any height and width.

Here belong the transforms, the geometry of their bands and how much each band weighs in the picture. Arithmetic on
integers is exactly invertible, whatever the values and even where sums wrap; on floats it is so but for rounding.
Nothing is padded: there are as many coefficients as values. What becomes of coefficients belongs to quantising.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from panic_assets.codec.components import Band, BandKind, Wavelet
from panic_assets.codec.errors import UnfitValue

MOST_LEVELS = 16
"""A plane of 65,535 values across is a single one after as many halvings."""

_TYPES = ("int16", "int32", "int64", "float32", "float64")
_SMALLEST_SIDE = 8  # below it, one more level has cost more in tables than it has saved
_AT_ONCE = 1 << 18  # values that are transformed together: few enough for a processor's cache


@dataclass(frozen=True)
class _Steps:
    """Predict odd values from even ones, then update even ones from what is left of the odd.

    A step adds ``neighbours`` values of the other half and divides by 2**shift; integers are first rounded by ``half``.
    """

    neighbours: int
    predict_shift: int
    update_shift: int
    update_half: int


_STEPS: dict[Wavelet, _Steps] = {"cdf53": _Steps(2, 1, 2, 2), "haar": _Steps(1, 0, 1, 0)}


def forward(planes: np.ndarray, levels: int, wavelet: Wavelet = "cdf53") -> np.ndarray:
    """Coefficients of ``planes`` (..., h, w), same shape and type, in the layout that :func:`bands` describes.

    Low frequencies lie at the top left, so that each level works on a smaller corner. ``planes`` stay as they are. A
    level that finds a side of one value leaves that side alone.

    Args:
        planes: int16, int32, int64, float32 or float64. Integers of n bits need about n + 3.
        levels: 0 to 16.
        wavelet: ``cdf53`` or ``haar``, both with a low band at the scale of the values (a mean, not a sum).

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` for another type, fewer than two axes or other levels.
    """
    return _each_level(planes, levels, wavelet, is_forward=True)


def inverse(coefficients: np.ndarray, levels: int, wavelet: Wavelet = "cdf53") -> np.ndarray:
    """The planes whose :func:`forward` transform ``coefficients`` are. Raises: as there."""
    return _each_level(coefficients, levels, wavelet, is_forward=False)


def forward53(planes: np.ndarray, levels: int) -> np.ndarray:
    """:func:`forward` by CDF 5/3."""
    return forward(planes, levels, "cdf53")


def inverse53(coefficients: np.ndarray, levels: int) -> np.ndarray:
    """:func:`inverse` by CDF 5/3."""
    return inverse(coefficients, levels, "cdf53")


def forward_haar(planes: np.ndarray, levels: int) -> np.ndarray:
    """:func:`forward` by Haar; integers make the S transform."""
    return forward(planes, levels, "haar")


def inverse_haar(coefficients: np.ndarray, levels: int) -> np.ndarray:
    """:func:`inverse` by Haar."""
    return inverse(coefficients, levels, "haar")


def useful_levels(height: int, width: int) -> int:
    """How many levels are worth their while: until the longer side of the low band has at most 8 values."""
    longer, levels = max(height, width), 0
    while longer > _SMALLEST_SIDE:
        longer, levels = (longer + 1) // 2, levels + 1
    return min(levels, MOST_LEVELS)


def bands(channels: int, height: int, width: int, levels: int) -> tuple[Band, ...]:
    """Where the coefficients of each kind are, from the coarsest to the finest; within a level, channel by channel.

    Empty bands are left out; together they cover every coefficient once.
    """
    sizes = _corners(height, width, levels)
    found = [Band(channel, levels, "LL", 0, 0, *sizes[-1]) for channel in range(channels)]
    for level in range(levels, 0, -1):
        (high, wide), (low, narrow) = sizes[level - 1], sizes[level]
        places = {
            "LH": (0, narrow, low, wide - narrow),
            "HL": (low, 0, high - low, narrow),
            "HH": (low, narrow, high - low, wide - narrow),
        }
        kinds: tuple[BandKind, ...] = get_args(BandKind)[1:]
        found += [Band(channel, level, kind, *places[kind]) for channel in range(channels) for kind in kinds]
    return tuple(band for band in found if band.height and band.width)


@lru_cache(maxsize=256)
def norm(level: int, kind: BandKind, wavelet: Wavelet = "cdf53") -> float:
    """Square root of the energy that one coefficient of 1.0 has in the picture.

    An error of variance v in a band adds v * norm**2 for each of its coefficients to the picture's squared error.
    """
    down, along = (_line_norm(level, letter, wavelet) for letter in kind)
    return down * along


def _line_norm(level: int, letter: str, wavelet: Wavelet) -> float:
    # Past a few levels each low band has a fixed multiple of the one before; the multiple is sqrt(2) in the limit.
    measured = min(level, 8)
    side = 16 << measured
    line = np.zeros((1, side))
    line[0, (8 if letter == "L" else 24) if measured else 0] = 1.0
    energy = float(np.square(inverse(line, measured, wavelet)).sum())
    return float(np.sqrt(energy * 2.0 ** (level - measured)))


def _corners(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """Sides of what level 0, 1, ... leaves to work on."""
    sizes = [(height, width)]
    for _ in range(levels):
        high, wide = sizes[-1]
        sizes.append(((high + 1) // 2, (wide + 1) // 2))
    return sizes


def _each_level(values: np.ndarray, levels: int, wavelet: Wavelet, is_forward: bool) -> np.ndarray:
    if values.ndim < 2 or values.dtype.name not in _TYPES:
        raise UnfitValue(f"{values.shape} {values.dtype}: give planes (..., h, w) of {', '.join(_TYPES)}")
    if not 0 <= levels <= MOST_LEVELS:
        raise UnfitValue(f"levels {levels}: give 0 to {MOST_LEVELS}")
    made = values.copy(order="C")
    height, width = made.shape[-2:]
    planes = made.reshape(-1, height, width) if made.size else made[:0]
    steps, corners = _STEPS[wavelet], _corners(height, width, levels)[:levels]
    at_once = max(1, _AT_ONCE // max(1, height * width))
    for start in range(0, len(planes), at_once):
        some = planes[start : start + at_once]
        for high, wide in corners if is_forward else reversed(corners):
            corner = some[:, :high, :wide]
            if is_forward:
                _analyse(corner, steps)
                _analyse(corner.swapaxes(1, 2), steps)
            else:
                _synthesise(corner.swapaxes(1, 2), steps)
                _synthesise(corner, steps)
    return made


def _analyse(x: np.ndarray, steps: _Steps) -> None:
    """Along the middle axis, in place: values to low, then high."""
    low_count = (x.shape[1] + 1) // 2
    if x.shape[1] < 2:
        return
    low, high = x[:, ::2].copy(order="K"), x[:, 1::2].copy(order="K")
    high -= _predicted(low, high.shape[1], steps)
    x[:, low_count:] = high
    np.add(low, _update(high, low_count, steps), out=x[:, :low_count])


def _synthesise(x: np.ndarray, steps: _Steps) -> None:
    """Along the middle axis, in place: low, then high, to values."""
    low_count = (x.shape[1] + 1) // 2
    if x.shape[1] < 2:
        return
    low, high = x[:, :low_count].copy(order="K"), x[:, low_count:].copy(order="K")
    low -= _update(high, low_count, steps)
    high += _predicted(low, high.shape[1], steps)
    x[:, ::2] = low
    x[:, 1::2] = high


def _predicted(low: np.ndarray, count: int, steps: _Steps) -> np.ndarray:
    """What the ``count`` odd values are expected to be: the even one before, or the mean with the one after."""
    if steps.neighbours == 1:
        return low[:, :count]
    sums = np.empty_like(low[:, :count])
    inner = low.shape[1] - 1
    np.add(low[:, :-1], low[:, 1:], out=sums[:, :inner])
    if count > inner:  # an even side: the last odd value mirrors its only neighbour
        np.add(low[:, -1], low[:, -1], out=sums[:, -1])
    return _divided(sums, steps.predict_shift, 0)


def _update(high: np.ndarray, count: int, steps: _Steps) -> np.ndarray:
    """What is added to the ``count`` even values, so that they become means."""
    sums = np.zeros_like(high, shape=(high.shape[0], count, high.shape[2])) if count > high.shape[1] else None
    if steps.neighbours == 1:
        if sums is None:
            return _divided(high.copy(order="K"), steps.update_shift, steps.update_half)
        sums[:, :-1] = high  # of an odd side, the last even value has no partner and stays
        return _divided(sums, steps.update_shift, steps.update_half)
    if sums is None:
        sums = np.empty_like(high)
    else:
        np.add(high[:, -1], high[:, -1], out=sums[:, -1])
    np.add(high[:, 0], high[:, 0], out=sums[:, 0])
    np.add(high[:, :-1], high[:, 1:], out=sums[:, 1 : high.shape[1]])
    return _divided(sums, steps.update_shift, steps.update_half)


def _divided(sums: np.ndarray, shift: int, half: int) -> np.ndarray:
    """In place: divided by 2**shift; integers rounded down after ``half`` was added."""
    if sums.dtype.kind == "f":
        sums *= 0.5**shift
    else:
        if half:
            sums += half
        sums >>= shift
    return sums
