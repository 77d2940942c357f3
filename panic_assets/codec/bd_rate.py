"""How many more or fewer bytes one codec needs than another at equal quality: Bjontegaard's delta rate.

Here belongs the one number that sums up two rate-distortion curves. Drawing and measuring belong elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panic_assets.errors import PanicError


class NoCommonQuality(PanicError):
    """Two rate-distortion curves that can't be compared."""


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
    from scipy.interpolate import PchipInterpolator

    quality, rate = _staircase(rates, qualities)
    other_quality, other_rate = _staircase(other_rates, other_qualities)
    low, high = max(quality[0], other_quality[0]), min(quality[-1], other_quality[-1])
    if not low < high:
        raise NoCommonQuality(
            f"qualities {quality[0]:.4g} to {quality[-1]:.4g} and {other_quality[0]:.4g} to {other_quality[-1]:.4g} "
            "share no interval; add points to either curve"
        )
    ours = PchipInterpolator(quality, np.log(rate)).integrate(low, high)
    theirs = PchipInterpolator(other_quality, np.log(other_rate)).integrate(low, high)
    return float(np.expm1((ours - theirs) / (high - low)))


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
