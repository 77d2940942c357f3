"""How sure a number is: bootstrap over runs, permutation p-values, and their adjustment for many tests.

Here belongs what every analysis uses to state uncertainty. Resampled are always runs, never steps: the steps of a run
depend on one another, so that resampling them would make intervals far too narrow.

The intervals are bias-corrected and accelerated (BCa; B. Efron, J. Am. Stat. Assoc. 82 (1987) 171-185) at levels
widened for few runs (T. C. Hesterberg, Am. Stat. 69 (2015) 371-386, section 5): the normal quantile z is replaced by
sqrt(n / (n - 1)) times the t quantile. Plain percentile and BCa intervals hold far less than they promise at the 5 to
30 runs of an experiment. Studentised intervals would hold more under strong skew, but need a standard error within
every resample, can leave the range of the statistic (a share above 1), and are two to three times as wide at 5 runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

import numpy as np

from panic_assets.dynamics.findings import Interval

_FEWEST = 3  # runs: two say nothing about spread that a third could not overturn
_SMALLEST_TAIL = 1e-12


@overload
def bootstrap(
    statistic: Callable[[np.ndarray], float],
    runs: int,
    *,
    strata: np.ndarray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval: ...
@overload
def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    runs: int,
    *,
    strata: np.ndarray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def bootstrap(
    statistic: Callable[[np.ndarray], float] | Callable[[np.ndarray], np.ndarray],
    runs: int,
    *,
    strata: np.ndarray | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval | tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A statistic with its interval by resampling runs.

    Args:
        statistic: takes positions of runs, int (m,), some of them repeatedly, and gives a number or an array of one
            shape. NaN says that a resample tells nothing; it is left out. Infinity is a value like any other.
        runs: number of runs.
        strata: (runs,), such as prompts: every resample holds as many runs of each stratum as there are.
        resamples: number of resamples.
        confidence: nominal coverage.
        seed: of the resampling; equal seeds give equal intervals.

    Returns:
        An `Interval` for a number; ``(value, low, high)`` of the statistic's shape for an array. The ends are NaN with
        fewer than three runs, without a value, and where fewer than half of the resamples tell anything.
    """
    everyone = np.arange(runs)
    estimate = np.asarray(statistic(everyone), dtype=float)
    low, high = np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan)
    labels = np.zeros(runs, int) if strata is None else np.unique(strata, return_inverse=True)[1]
    freedom = runs - len(np.unique(labels))
    if runs >= _FEWEST and freedom > 0:
        rng = np.random.default_rng(seed)
        drawn = _resamples(labels, resamples, rng)
        copies = np.stack([np.asarray(statistic(rows), dtype=float).reshape(-1) for rows in drawn])
        without = np.stack(
            [np.asarray(statistic(np.delete(everyone, one)), dtype=float).reshape(-1) for one in everyone]
        )
        low, high = (
            ends.reshape(estimate.shape)
            for ends in _ends(estimate.reshape(-1), copies, without, runs, freedom, confidence)
        )
    if estimate.ndim == 0:
        return Interval(float(estimate), float(low), float(high), confidence)
    return estimate, low, high


def _resamples(labels: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    drawn = np.empty((resamples, len(labels)), int)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn[:, members] = rng.choice(members, size=(resamples, len(members)))
    return drawn


def _ends(
    estimate: np.ndarray, copies: np.ndarray, without: np.ndarray, runs: int, freedom: int, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the widened BCa intervals of every column; ``copies`` (resamples, k), ``without`` (runs, k)."""
    from scipy.special import ndtr, ndtri, stdtrit

    told = ~np.isnan(copies)
    count = told.sum(axis=0)
    known = np.maximum(count, 1)
    below = ((copies < estimate) & told).sum(axis=0) + 0.5 * ((copies == estimate) & told).sum(axis=0)
    bias = ndtri(np.clip(below / known, 0.5 / known, 1 - 0.5 / known))
    skew = _acceleration(without)
    widened = np.sqrt(runs / freedom) * stdtrit(freedom, (1 + confidence) / 2)
    ordered = np.sort(copies, axis=0)  # NaN comes last
    columns = np.arange(len(estimate))
    ends = []
    for side, rounded in ((-1.0, np.floor), (1.0, np.ceil)):
        shifted = bias + side * widened
        # Beyond its pole the formula turns around; the outermost resample is all that can be said there.
        level = ndtr(bias + shifted / np.maximum(1 - skew * shifted, _SMALLEST_TAIL))
        place = np.clip(rounded(level * (count - 1)), 0, np.maximum(count - 1, 0)).astype(int)
        enough = (2 * count >= len(copies)) & ~np.isnan(estimate)
        ends.append(np.where(enough, ordered[place, columns], np.nan))
    return ends[0], ends[1]


def _acceleration(without: np.ndarray) -> np.ndarray:
    """From the values without each run: their skewness over six; 0 where it can't be told."""
    usable = np.isfinite(without)
    number = np.maximum(usable.sum(axis=0), 1)
    mean = np.where(usable, without, 0.0).sum(axis=0) / number
    away = np.where(usable, mean - np.where(usable, without, 0.0), 0.0)
    largest = np.abs(away).max(axis=0)
    # Rounding alone is no skewness.
    flat = largest <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    away /= np.where(flat, 1.0, largest)
    spread = (away**2).sum(axis=0) ** 1.5
    return np.where(flat, 0.0, (away**3).sum(axis=0) / (6 * np.where(flat, 1.0, spread)))


def adjust(p_values: np.ndarray) -> np.ndarray:
    """P-values adjusted so that the false discovery rate is controlled; NaN stays NaN and counts as no test.

    Y. Benjamini, Y. Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300, by scipy. Any shape, which is kept.
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p_values, dtype=float)
    adjusted = values.copy()
    tests = ~np.isnan(values)
    if tests.any():
        adjusted[tests] = false_discovery_control(values[tests])
    return adjusted


def permutation_p(
    observed: float, null_values: np.ndarray, side: Literal["greater", "less", "two"] = "greater"
) -> float:
    """Share of values as extreme as the observed one, itself counted: (1 + count) / (1 + n), never zero.

    B. Phipson, G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39. NaN among the null values is left out; NaN
    observed, or no null values, give NaN. ``two`` is twice the smaller side, at most 1.
    """
    null = np.asarray(null_values, dtype=float).reshape(-1)
    null = null[~np.isnan(null)]
    if np.isnan(observed) or not len(null):
        return float("nan")
    # Sums in another order differ by rounding; such ties count as ties.
    slack = 1e-12 * max(abs(observed), float(np.abs(null).max())) if np.isfinite(null).all() else 0.0
    above = (1 + int((null >= observed - slack).sum())) / (1 + len(null))
    below = (1 + int((null <= observed + slack).sum())) / (1 + len(null))
    if side == "two":
        return min(1.0, 2 * min(above, below))
    return above if side == "greater" else below
