"""How many more or fewer bytes one codec needs than another at equal quality: Bjontegaard's delta rate.

Here belongs what sums up two rate-distortion curves: that number, and where which of them is the cheaper. Drawing and
measuring belong elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.errors import PanicError


class NoCommonQuality(PanicError):
    """Two rate-distortion curves that can't be compared."""


_STEPS = 1000


@dataclass(frozen=True)
class Difference:
    """How one curve lies against another, over the qualities that both reach.

    Args:
        change: mean relative difference in rate, as :func:`bd_rate` gives it.
        low: where the common qualities begin.
        high: where they end.
        lost: intervals of quality, rising, in which the first curve needs more than the other.
    """

    change: float
    low: float
    high: float
    lost: tuple[tuple[float, float], ...]

    @property
    def lost_share(self) -> float:
        """Share of the common qualities that is in ``lost``."""
        return min(sum(end - start for start, end in self.lost) / (self.high - self.low), 1.0)


def bd_rate(
    rates: Sequence[float], qualities: Sequence[float], other_rates: Sequence[float], other_qualities: Sequence[float]
) -> float:
    """Mean relative difference in rate of the first curve against the other, at equal quality: -0.3 is 30 % less.

    Each logarithm of a rate is interpolated over quality by a monotone piecewise cubic (PCHIP) and averaged over the
    qualities that both curves reach (Bjontegaard, VCEG-M33 and VCEG-AI11). Points off the staircase, which cost more
    than another of at least their quality, are left out: a codec's user would not choose them. Quality grows with
    likeness: give 1 - distance or -distance for a distance.

    Raises: :class:`NoCommonQuality` if the curves share no interval of quality, or one has fewer than two points.
    """
    return difference(rates, qualities, other_rates, other_qualities).change


def difference(
    rates: Sequence[float], qualities: Sequence[float], other_rates: Sequence[float], other_qualities: Sequence[float]
) -> Difference:
    """The same with the range that it holds for, and where in it the first curve loses.

    Raises: :class:`NoCommonQuality`.
    """
    from scipy.interpolate import PchipInterpolator

    quality, rate = _staircase(rates, qualities)
    other_quality, other_rate = _staircase(other_rates, other_qualities)
    low, high = max(quality[0], other_quality[0]), min(quality[-1], other_quality[-1])
    if not low < high:
        raise NoCommonQuality(
            f"qualities {quality[0]:.4g} to {quality[-1]:.4g} and {other_quality[0]:.4g} to {other_quality[-1]:.4g} "
            "share no interval; add points to either curve"
        )
    ours, theirs = PchipInterpolator(quality, np.log(rate)), PchipInterpolator(other_quality, np.log(other_rate))
    change = float(np.expm1((ours.integrate(low, high) - theirs.integrate(low, high)) / (high - low)))
    places = np.linspace(low, high, _STEPS + 1)
    return Difference(change, float(low), float(high), _above_zero(places, ours(places) - theirs(places)))


def _above_zero(places: np.ndarray, values: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Intervals in which a curve through points is above 0."""
    found, start = [], float(places[0]) if values[0] > 0 else None
    for one in np.flatnonzero((values[1:] > 0) != (values[:-1] > 0)):
        before, after = values[one], values[one + 1]
        crossing = float(places[one] + (places[one + 1] - places[one]) * before / (before - after))
        if start is None:
            start = crossing
        else:
            found.append((start, crossing))
            start = None
    return (*found, (start, float(places[-1]))) if start is not None else tuple(found)


def _staircase(rates: Sequence[float], qualities: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Points that no cheaper or equally cheap one reaches, by rising quality: qualities and rates."""
    kept: list[tuple[float, float]] = []
    if len(rates) != len(qualities) or not np.isfinite([*rates, *qualities]).all() or min(rates, default=1) <= 0:
        raise NoCommonQuality(
            f"rates {list(rates)} and qualities {list(qualities)}: give as many of each, rates above 0"
        )
    for rate, quality in sorted(zip(rates, qualities, strict=True), key=lambda point: (point[0], -point[1])):
        if not kept or quality > kept[-1][0]:
            kept.append((quality, rate))
    if len(kept) < 2:
        raise NoCommonQuality(f"{len(kept)} of {len(rates)} points make no curve; measure more levels of quality")
    return np.array([q for q, _ in kept]), np.array([r for _, r in kept])
