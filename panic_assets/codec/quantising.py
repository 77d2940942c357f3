"""Coefficients to integers and back, with a dead zone, and the choice of steps that costs least.

Here belong the quantiser, the ladder of steps that fit into one byte, and the search for the best step of each band.
What a decoder computes here is one multiplication and additions in float32, each rounded alike everywhere; steps of
the ladder are exact in binary. Which symbols are likely is the business of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panic_assets.codec.components import Band, QuantParams, Wavelet
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.lifting import norm

STEP_NUMBERS = 192
"""Steps on the ladder, 8 in each doubling."""

_FIRST_STEP, _PER_OCTAVE = 1 / 16, 8
_TOO_LARGE = 1 << 23  # from here on float32 has no halves, and rounding by them would change whole numbers
_FINENESS = 8  # places of the search's histogram in the smallest step it tries
_PLACES = 512
_SAMPLE = 4096
_SEARCHED = (-3, -1, 0, 1, 2, 4, 6, 9, 12, 16)  # numbers of the ladder, from that of the step of theory


def step_at(number: int) -> float:
    """Step ``number`` of the ladder, exact in float32: 1/16 at 0, twice as much 8 numbers on.

    >>> [step_at(number) for number in (0, 1, 8, 32)]
    [0.0625, 0.0703125, 0.125, 1.0]

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` outside 0 to 191.
    """
    if not 0 <= number < STEP_NUMBERS:
        raise UnfitValue(f"step number {number}: give 0 to {STEP_NUMBERS - 1}")
    octave, part = divmod(number, _PER_OCTAVE)
    return _FIRST_STEP * (1 + part / _PER_OCTAVE) * 2.0**octave


def step_number(step: float) -> int:
    """The number on the ladder whose step is nearest to ``step``."""
    octave = min(max(0, int(np.floor(np.log2(step / _FIRST_STEP)))), STEP_NUMBERS // _PER_OCTAVE - 1)
    part = round((step / _FIRST_STEP / 2.0**octave - 1) * _PER_OCTAVE)
    return min(max(0, octave * _PER_OCTAVE + part), STEP_NUMBERS - 1)


def quantise(coefficients: np.ndarray, bands: Sequence[Band], params: QuantParams) -> np.ndarray:
    """Symbols, int32, in the layout of ``coefficients`` (channels, h, w): magnitudes are rounded towards zero.

    A magnitude of m steps becomes floor(m + 1 - dead zone).

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` where steps and bands are not as many, or a coefficient is
        not finite or has more steps than fit into 24 bits.
    """
    made = np.empty(coefficients.shape, np.int32)
    push = np.float32(1 - params.dead_zone)
    for band, step in _paired(bands, params):
        part = _of(coefficients, band)
        scaled = np.multiply(part, np.float32(1 / step), dtype=np.float32, casting="same_kind")
        if push:
            scaled += np.copysign(push, scaled)
        largest = np.abs(scaled).max()
        if not largest < _TOO_LARGE:
            raise UnfitValue(
                f"coefficients up to {largest * step:.4g} with a step of {step:g}: symbols need more than 24 bits"
            )
        _of(made, band)[...] = scaled  # the cast cuts off what is behind the point
    return made


def dequantise(
    symbols: np.ndarray, bands: Sequence[Band], params: QuantParams, dtype: type[np.number] = np.float32
) -> np.ndarray:
    """Coefficients of ``symbols``: the middle of each bin, less ``offset`` steps towards zero; 0 for 0.

    Args:
        symbols: int32 (channels, h, w), as :func:`quantise` makes them.
        bands: as there.
        params: as there.
        dtype: float32, or int32: then each value is rounded to even halves, for a transform in integers.

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` where steps and bands are not as many.
    """
    made = np.empty(symbols.shape, dtype)
    shift = np.float32(params.dead_zone - 0.5 - params.offset)
    for band, step in _paired(bands, params):
        part = _of(symbols, band)
        values = part.astype(np.float32)
        if shift:
            values += np.sign(part) * shift
        values *= np.float32(step)
        _of(made, band)[...] = np.rint(values) if np.dtype(dtype).kind == "i" else values
    return made


def in_order(planes: np.ndarray, bands: Sequence[Band]) -> np.ndarray:
    """Values of ``planes`` (channels, h, w) one band after another, each row by row: (n,)."""
    return np.concatenate([_of(planes, band).ravel() for band in bands]) if bands else planes[:0, 0, 0]


def in_place(values: np.ndarray, bands: Sequence[Band], shape: tuple[int, int, int]) -> np.ndarray:
    """The planes that :func:`in_order` went through. Raises: UnfitValue where ``values`` are not as many."""
    made, start = np.empty(shape, values.dtype), 0
    if values.size != made.size:
        raise UnfitValue(f"{values.size} values for planes of {shape}")
    for band in bands:
        part = _of(made, band)
        part[...] = values[start : start + part.size].reshape(part.shape)
        start += part.size
    return made


def slope_of(step: float) -> float:
    """What a bit is worth in squared error of the picture, where a step of ``step`` in it is right at high rates.

    Uniform quantisation has an error of step**2 / 12, which falls by 6.02 dB with every bit.
    """
    return float(np.log(2)) * step**2 / 6


def best_params(
    coefficients: np.ndarray, bands: Sequence[Band], slope: float, wavelet: Wavelet = "cdf53", dead_zone: float = 0.625
) -> QuantParams:
    """Steps from the ladder, one for each band, with the least of squared error in the picture + ``slope`` * bits.

    Bits are those of an ideal coder with a table for each band; errors are weighed by :func:`lifting.norm`. Each band
    is sampled where it is large.

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` for a slope that is not above 0.
    """
    if not slope > 0:
        raise UnfitValue(f"slope {slope}: give the squared error that a bit is worth, above 0")
    in_picture = float(np.sqrt(6 * slope / np.log(2)))
    steps, shortfall, nonzero = [], 0.0, 0.0
    for band in bands:
        weight = norm(band.level, band.kind, wavelet) if band.level else 1.0
        expected = step_number(in_picture / weight)
        numbers = sorted({min(max(0, expected + more), STEP_NUMBERS - 1) for more in _SEARCHED})
        candidates = np.array([step_at(number) for number in numbers])
        sample = np.abs(_sampled(_of(coefficients, band)))
        costs, shortfalls, counts = _costs(sample, candidates, dead_zone, slope / weight**2)
        chosen = int(costs.argmin())
        steps.append(float(candidates[chosen]))
        share = band.height * band.width / sample.size
        shortfall += shortfalls[chosen] * share
        nonzero += counts[chosen] * share
    offset = float(np.clip(np.rint(shortfall / nonzero * 64) / 64, 0, 31 / 64)) if nonzero else 0.0
    return QuantParams(steps=tuple(steps), dead_zone=dead_zone, offset=offset)


def _costs(
    magnitudes: np.ndarray, steps: np.ndarray, dead_zone: float, slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of rising steps: what a sample costs, what it lacks in all, and how many of its values are not 0.

    What it lacks are the steps by which values lie under the middles of their bins.
    """
    place = max(steps[0] / _FINENESS, float(magnitudes.max()) / (_PLACES - 1))
    counted = np.bincount((magnitudes / place).astype(np.int64))
    occupied = np.flatnonzero(counted)
    weights, middles = counted[occupied].astype(np.float64), (occupied + 0.5) * place
    middles[occupied == 0] = place / 4  # what is nearly 0 is mostly 0
    scaled = middles / steps[:, None]
    symbols = np.floor(scaled + (1 - dead_zone))
    is_some = symbols > 0
    short = np.where(is_some, symbols + (dead_zone - 0.5) - scaled, 0.0)
    shortfalls, nonzero = short @ weights, is_some @ weights
    mean = shortfalls / np.maximum(nonzero, 1)
    error = np.where(is_some, short - mean[:, None], scaled) * steps[:, None]
    # Where a place is wider than a step it counts as one symbol, and what tells the steps in it apart is added.
    wider = np.maximum(place / steps, 1)
    bits = _ideal_bits(np.floor(symbols / wider[:, None]).astype(np.int64), weights) + nonzero * (1 + np.log2(wider))
    return np.square(error) @ weights + slope * bits, shortfalls, nonzero


def _ideal_bits(symbols: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of each row of symbols with these weights, by a table of its own."""
    rows, width = len(symbols), int(symbols.max()) + 1
    apart = symbols + np.arange(rows)[:, None] * width
    counts = np.bincount(apart.ravel(), np.tile(weights, rows), rows * width).reshape(rows, width)
    surprise = np.log2(weights.sum() / np.maximum(counts, 1))
    bits: np.ndarray = (counts * surprise).sum(1)
    return bits


def _sampled(values: np.ndarray) -> np.ndarray:
    """Rows at equal distances, so many that they hold about as many values as a sample may."""
    rows = max(1, -(-values.size // _SAMPLE))
    return values[::rows].ravel()


def _of(planes: np.ndarray, band: Band) -> np.ndarray:
    down, along = slice(band.top, band.top + band.height), slice(band.left, band.left + band.width)
    found: np.ndarray = planes[band.channel, down, along]
    return found


def _paired(bands: Sequence[Band], params: QuantParams) -> list[tuple[Band, float]]:
    if len(bands) != len(params.steps):
        raise UnfitValue(f"{len(params.steps)} steps for {len(bands)} bands; give one for each")
    return list(zip(bands, params.steps, strict=True))
