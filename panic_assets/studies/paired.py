"""What paired differences say: an interval, tests and the size of the effect, from one number for each pair.

Here belongs the statistics of one row of differences. Which trials make a pair is in ``comparison``.

Where an arm does nothing, the two trials of a pair can be exchanged, and every difference is as likely with one sign as
with the other. From this alone follow the exact test (all 2^n ways to deal the signs) and the interval that belongs to
it: the true difference lies with equal probability between any two neighbours of the ordered means of all 2^n - 1
subsets of pairs (J. A. Hartigan, J. Am. Stat. Assoc. 64 (1969) 1303-1317). Neither needs a normal distribution, and
both agree: the interval leaves out zero when the test's p-value is below 1 - confidence, but for ties. Bootstrap
intervals are not used here: for ten symmetric differences with long tails they held 90 where they promised 95 of 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor, lgamma

import numpy as np

_MOST_EXACT = 14
_DRAWN = 2**_MOST_EXACT


@dataclass(frozen=True)
class PairedEffect:
    """Of ``pairs`` differences: their mean, its interval, and how sure it is. NaN stands for what can't be told.

    ``effect_size``: mean over standard deviation of the differences (d_z), corrected for few pairs (L. V. Hedges, J.
    Educ. Stat. 6 (1981) 107). ``p_value`` of the paired t-test, ``permutation_p`` of the test by signs; both two-sided.
    """

    pairs: int
    difference: float
    low: float
    high: float
    effect_size: float
    p_value: float
    permutation_p: float


def paired_effect(differences: np.ndarray, confidence: float = 0.95) -> PairedEffect:
    """The effect that float (n,) ``differences`` without NaN tell of; equal differences give equal numbers, always.

    Up to 14 pairs all deals are counted. Beyond, 16,384 of them are drawn with a fixed seed.
    """
    pairs = len(differences)
    if not pairs:
        return PairedEffect(0, *[float("nan")] * 6)
    low, high = typical_interval(differences, confidence)
    return PairedEffect(
        pairs,
        _mean(differences),
        low,
        high,
        effect_size(differences),
        _t_test(differences),
        sign_flip_p(differences),
    )


def typical_interval(differences: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of symmetrically distributed differences, NaN where there are too few pairs for any.

    For 95 % at least six pairs are needed: with fewer, even the extremes hold the truth less often.
    """
    subsets = _subsets(len(differences))[1:]
    means = np.sort(subsets @ differences / subsets.sum(axis=1))
    rank = floor((1 - confidence) / 2 * (len(subsets) + 1))
    if rank < 1:
        return float("nan"), float("nan")
    return float(means[rank - 1]), float(means[-rank])


def sign_flip_p(differences: np.ndarray) -> float:
    """Share of all deals of signs whose mean is as far from zero as the one seen, which is one of them; never zero."""
    signs = 2 * _subsets(len(differences)) - 1
    sums = np.abs(signs @ differences)
    # Sums in another order differ by rounding; such ties count as ties.
    slack = 1e-12 * np.abs(differences).sum()
    return float((sums >= abs(differences.sum()) - slack).mean())


def effect_size(differences: np.ndarray) -> float:
    """Mean over standard deviation of differences, corrected for few; NaN for fewer than three or without spread."""
    freedom, spread = len(differences) - 1, _spread(differences)
    if freedom < 2 or spread == 0:
        return float("nan")
    correction = np.exp(lgamma(freedom / 2) - lgamma((freedom - 1) / 2)) / (freedom / 2) ** 0.5
    return float(correction * _mean(differences) / spread)


def _t_test(differences: np.ndarray) -> float:
    from scipy.special import stdtr

    freedom, spread = len(differences) - 1, _spread(differences)
    if freedom < 1:
        return float("nan")
    if spread == 0:
        return 1.0 if not differences.any() else float("nan")
    t = _mean(differences) / spread * len(differences) ** 0.5
    return float(2 * stdtr(freedom, -abs(t)))


def _mean(differences: np.ndarray) -> float:
    """Mean; 0 for what is left of opposite differences by rounding alone."""
    mean = float(differences.mean())
    return 0.0 if abs(mean) <= 1e-12 * float(np.abs(differences).max()) else mean


def _spread(differences: np.ndarray) -> float:
    """Standard deviation; 0 for what differs by rounding alone."""
    if len(differences) < 2:
        return 0.0
    spread = float(differences.std(ddof=1))
    return 0.0 if spread <= 1e-12 * float(np.abs(differences).max()) else spread


@lru_cache(maxsize=4)
def _subsets(pairs: int) -> np.ndarray:
    """Which pairs are in each subset, float (subsets, pairs) of 0 and 1; first the empty one, last that of all."""
    if pairs <= _MOST_EXACT:
        return ((np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1).astype(float)
    drawn = np.random.default_rng(pairs).integers(0, 2, (_DRAWN - 2, pairs)).astype(float)
    drawn[~drawn.any(axis=1)] = 1.0
    return np.concatenate([np.zeros((1, pairs)), drawn, np.ones((1, pairs))])
