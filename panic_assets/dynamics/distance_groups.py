"""Statistics of distance matrices: separation of groups, PERMANOVA, the Mantel test.

Here belong functions of matrices and labels. Where the matrices come from, and which labels are asked about, belongs to
``diagram_contrasts``.

A matrix here is float64 (runs, runs), symmetric, NaN where a pair was not computed. Its diagonal is never used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panic_assets.dynamics.findings import Interval
from panic_assets.dynamics.uncertainty import bootstrap, permutation_p

PERMUTATIONS = 999
_UNTOLD = float("nan")

Matrix = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Contrast:
    """How runs of one label compare with others.

    ``separation`` is (mean distance between labels - mean distance within) / mean of all: 0 for none. ``r_squared`` is
    the share of the sum of squared distances that lies between labels. NaN where it can't be told; see ``why``.
    """

    separation: Interval
    r_squared: Interval
    p_value: float
    why: str | None = None


def contrast(
    matrix: Matrix,
    labels: Labels,
    blocks: Labels,
    permutations: int = PERMUTATIONS,
    resamples: int = 1000,
    seed: int = 0,
) -> Contrast:
    """Compare distances within labels to those between.

    PERMANOVA (M. J. Anderson, Austral Ecology 26, 2001): SS_T = sum over pairs of d^2 / N, SS_W = the same within each
    label with its own N, R^2 = 1 - SS_W / SS_T. With pairs missing, sums are the mean of those there times the number
    of pairs. The p-value is the share of permutations of the labels *within blocks* with an R^2 as large (for fixed
    group sizes R^2 orders permutations as the pseudo-F does). Intervals: bootstrap over runs within labels, without the
    pairs of a run with itself.

    Args:
        matrix: (n, n) distances.
        labels: (n,) integers: what is compared.
        blocks: (n,) integers: runs of one block are exchangeable if the labels mean nothing.
        permutations: how many.
        resamples: of the bootstrap.
        seed: of both.
    """
    untold = Interval(_UNTOLD)
    labels = np.unique(labels, return_inverse=True)[1]
    blocks = np.unique(blocks, return_inverse=True)[1]
    sizes = np.bincount(labels)
    if len(sizes) < 2 or sizes.max() < 2:
        return Contrast(untold, untold, _UNTOLD, "needs two labels, and one of two runs or more")
    weights = _known_pairs(matrix)
    distances = np.where(weights > 0, matrix, 0.0)
    squares = distances**2
    same = (labels[:, None] == labels).astype(float)

    def statistics(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        # How often each run was drawn turns sums over pairs into quadratic forms.
        times = np.bincount(drawn, minlength=len(labels)).astype(float)
        return np.array([_separation(distances, weights, same, times), _r_squared(squares, weights, labels, times)])

    value, low, high = bootstrap(statistics, len(labels), strata=labels, resamples=resamples, seed=seed)
    separation, r_squared = (Interval(float(value[k]), float(low[k]), float(high[k])) for k in (0, 1))
    if not np.isfinite(value).all():
        return Contrast(separation, r_squared, _UNTOLD, "too few pairs of runs, or all diagrams equal")
    if not _exchangeable(labels, blocks):
        return Contrast(separation, r_squared, _UNTOLD, "no two runs that differ in nothing but this")
    rng = np.random.default_rng(seed)
    once = np.ones(len(labels))
    null = [_r_squared(squares, weights, shuffled, once) for shuffled in _shuffles(labels, blocks, permutations, rng)]
    observed = _r_squared(squares, weights, labels, once)
    p_value = permutation_p(observed, np.array(null), "greater")
    return Contrast(separation, r_squared, p_value)


def mantel(
    one: Matrix, other: Matrix, blocks: Labels, permutations: int = PERMUTATIONS, resamples: int = 1000, seed: int = 0
) -> tuple[Interval, float]:
    """Correlate two distance matrices of the same runs (N. Mantel, Cancer Research 27, 1967), by ranks of pairs.

    Args:
        one: (n, n) distances.
        other: (n, n) distances of the same runs in another space.
        blocks: (n,) integers: the runs of the second matrix are permuted within blocks.
        permutations: how many.
        resamples: of the bootstrap over runs.
        seed: of both.

    Returns:
        Spearman's correlation over pairs with its interval, and the p-value of a correlation as large (one-sided). NaN
        with fewer than four runs or when one matrix holds a single value.
    """
    from scipy.stats import rankdata

    blocks = np.unique(blocks, return_inverse=True)[1]
    weights = _known_pairs(one) * _known_pairs(other)
    pairs = np.triu(weights, 1) > 0
    if len(one) < 4 or pairs.sum() < 3 or any(np.ptp(matrix[pairs]) == 0 for matrix in (one, other)):
        return Interval(_UNTOLD), _UNTOLD
    ranks = []
    for matrix in (one, other):
        ranked = np.zeros_like(weights)
        ranked[pairs] = rankdata(matrix[pairs])
        ranked[pairs] -= ranked[pairs].mean()
        ranks.append(ranked + ranked.T)
    first, second = ranks

    def correlation(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        times = np.bincount(drawn, minlength=len(one)).astype(float)
        return np.array([_correlation(first, second, weights, times)])

    value, low, high = bootstrap(correlation, len(one), resamples=resamples, seed=seed)
    interval = Interval(float(value[0]), float(low[0]), float(high[0]))
    if len(np.unique(blocks)) == len(blocks):
        return interval, _UNTOLD
    rng = np.random.default_rng(seed)
    positions = np.arange(len(one))
    once = np.ones(len(one))
    null = []
    for moved in _shuffles(positions, blocks, permutations, rng):
        shuffled, held = second[np.ix_(moved, moved)], weights[np.ix_(moved, moved)] * weights
        null.append(_correlation(first, shuffled, held, once))
    return interval, permutation_p(float(value[0]), np.array(null), "greater")


def _known_pairs(matrix: Matrix) -> Matrix:
    """Return 1 for pairs of different runs whose distance is finite, 0 elsewhere."""
    known = np.isfinite(matrix).astype(float)
    np.fill_diagonal(known, 0.0)
    return known


def _separation(distances: Matrix, weights: Matrix, same: Matrix, times: Matrix) -> float:
    within, pairs_within = times @ (distances * same) @ times, times @ (weights * same) @ times
    everything, pairs = times @ distances @ times, times @ weights @ times
    if pairs_within == 0 or pairs == pairs_within or everything <= 0:
        return _UNTOLD
    between = (everything - within) / (pairs - pairs_within)
    return float((between - within / pairs_within) / (everything / pairs))


def _r_squared(squares: Matrix, weights: Matrix, labels: Labels, times: Matrix) -> float:
    """Return PERMANOVA's R^2; a sum over N runs is (N - 1) / 2 times the mean square of their pairs."""
    member = np.zeros((len(labels), int(labels.max()) + 1))
    member[np.arange(len(labels)), labels] = times
    total, pairs = times @ squares @ times, times @ weights @ times
    if pairs == 0 or total <= 0:
        return _UNTOLD
    runs = member.sum(axis=0)
    sums, counts = ((member * (of @ member)).sum(axis=0) for of in (squares, weights))
    if counts.sum() == 0:
        return _UNTOLD
    # Of a label without a pair (not sampled, or one run drawn twice) the mean over all labels is the best guess.
    means = np.divide(sums, counts, out=np.full(len(counts), sums.sum() / counts.sum()), where=counts > 0)
    within = (np.maximum(runs - 1, 0) * means).sum()
    return float(1 - within / ((times.sum() - 1) * total / pairs))


def _correlation(first: Matrix, second: Matrix, weights: Matrix, times: Matrix) -> float:
    count = times @ weights @ times
    if count == 0:
        return _UNTOLD
    means = [times @ (ranks * weights) @ times / count for ranks in (first, second)]
    joint, one, other = (
        times @ (a * b * weights) @ times / count - x * y
        for (a, x), (b, y) in (
            ((first, means[0]), (second, means[1])),
            ((first, means[0]), (first, means[0])),
            ((second, means[1]), (second, means[1])),
        )
    )
    return float(joint / np.sqrt(one * other)) if one > 0 and other > 0 else _UNTOLD


def _exchangeable(labels: Labels, blocks: Labels) -> bool:
    """Tell whether some block holds two labels."""
    return len(np.unique(np.stack([blocks, labels], axis=1), axis=0)) > len(np.unique(blocks))


def _shuffles(values: Labels, blocks: Labels, count: int, rng: np.random.Generator) -> Iterator[Labels]:
    """Yield permutations of the values within blocks."""
    in_blocks = np.argsort(blocks, kind="stable")
    for _ in range(count):
        shuffled = np.empty_like(values)
        # Sorting by block, then by random numbers, permutes each block.
        shuffled[in_blocks] = values[np.lexsort((rng.random(len(values)), blocks))]
        yield shuffled
