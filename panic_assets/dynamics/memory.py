"""The memory of a series, told from distances alone, and shuffles of the series that keep it.

Here belongs a stationary series of two numbers' memory: how to fit them, and how to draw series like it. Where its
mean may change, and what that means for the fit, belongs to ``change_points``. The shuffles are a sieve in the sense of
P. Buehlmann, Bernoulli 3 (1997) 123-148: the memory is taken out, what remains is shuffled, and the memory put back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LAGS = 4
_SLOWEST = 4.0  # times in which correlation fades that a part must hold
_PHI = np.linspace(0, 0.99, 100)


@dataclass(frozen=True)
class Memory:
    """Correlation ``share`` * ``phi`` ** lag at every lag above 0: a slow process and noise that is forgotten at once.

    ``share`` 1 is a first-order autoregression, ``share`` 0 independent points.
    """

    share: float
    phi: float

    @property
    def inflation(self) -> float:
        """Points that tell as much of a mean as one independent point: 1 + 2 share phi / (1 - phi)."""
        return 1 + 2 * self.share * self.phi / (1 - self.phi)


NO_MEMORY = Memory(0.0, 0.0)


def lag_ratios(distances: np.ndarray, parts: Sequence[slice]) -> NDArray[np.float64]:
    """Mean squared distance of points 1 to 4 apart over that of all pairs, both within parts; ones where nothing moves.

    Twice the variance times 1 - correlation, over twice the variance times 1 - mean correlation.
    """
    squares = [distances[part, part] ** 2 for part in parts]
    pairs = sum(len(one) * (len(one) - 1) for one in squares)
    spread = sum(float(one.sum()) for one in squares) / max(pairs, 1)
    if spread <= 0:
        return np.ones(_LAGS)
    apart = [np.concatenate([np.diagonal(one, lag) for one in squares]) for lag in range(1, _LAGS + 1)]
    return np.array([float(one.mean()) / spread if len(one) else 1.0 for one in apart])


def fit_memory(ratios: np.ndarray, sizes: Sequence[int]) -> Memory:
    """The memory whose `lag_ratios` are nearest to these, by least squares, for parts of these sizes.

    (1 - share phi^lag) / (1 - share m) = ratio, with m the mean of phi^|i-j| over the pairs within parts, is linear in
    the share once phi is set; phi is searched on a grid.
    """
    means = _mean_power(sizes)
    left = _PHI[:, None] ** np.arange(1, _LAGS + 1) - ratios * means[:, None]
    right = 1 - ratios
    squares = np.sum(left**2, axis=1)
    shares = np.divide(left @ right, squares, out=np.zeros_like(squares), where=squares > 0).clip(0, 1)
    misses = (shares[:, None] * left - right) / (1 - shares * means)[:, None]
    # What is slower than a part can tell looks like its mean.
    told = np.flatnonzero(max(1 - _SLOWEST / float(np.mean(sizes)), 0.0) >= _PHI)
    best = int(told[np.argmin(np.sum(misses[told] ** 2, axis=1))])
    return Memory(float(shares[best]), float(_PHI[best])) if shares[best] > 0 else NO_MEMORY


def _mean_power(sizes: Sequence[int]) -> NDArray[np.float64]:
    """Mean of phi^|i-j| over the pairs of different points of one part, for every phi of the grid."""
    total = np.asarray(sizes, dtype=float)
    # The sum over the pairs of n points, by the geometric series.
    sums = 2 * _PHI[:, None] * (total * (1 - _PHI[:, None]) - (1 - _PHI[:, None] ** total)) / (1 - _PHI[:, None]) ** 2
    return np.asarray(sums.sum(axis=1) / max(float(np.sum(total * (total - 1))), 1.0))


def expected_ratios(fitted: Memory, sizes: Sequence[int]) -> NDArray[np.float64]:
    """`lag_ratios` of a memory, for parts of these sizes."""
    mean = float(np.interp(fitted.phi, _PHI, _mean_power(sizes)))
    powers = fitted.phi ** np.arange(1, _LAGS + 1)
    return np.asarray((1 - fitted.share * powers) / (1 - fitted.share * mean))


class Shuffled:
    """Distances of series like a given one, but for its order: its innovations are shuffled, its memory is kept.

    With C the correlation matrix of the memory, C = L L' (Cholesky), and K the Gram matrix of the centred points, the
    innovations inv(L) x have Gram matrix inv(L) K inv(L)'; shuffling permutes its rows and columns; colouring
    again multiplies from both sides with L. Without memory this shuffles the points themselves.
    """

    def __init__(self, distances: np.ndarray, kept: Memory) -> None:
        self.distances, self.plain = distances, kept.inflation <= 1
        if not self.plain:
            squares = distances**2
            centred = squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean()
            place = np.arange(len(distances))
            correlation = kept.share * kept.phi ** np.abs(np.subtract.outer(place, place))
            np.fill_diagonal(correlation, 1.0)
            self.colour = np.linalg.cholesky(correlation)
            whiten = np.linalg.inv(self.colour)
            self.innovations = whiten @ (-centred / 2) @ whiten.T

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Distance matrices, float (count, n, n)."""
        orders = generator.permuted(np.tile(np.arange(len(self.distances)), (count, 1)), axis=1)
        rows, columns = orders[:, :, None], orders[:, None, :]
        if self.plain:
            return np.asarray(self.distances[rows, columns])
        gram = self.colour @ self.innovations[rows, columns] @ self.colour.T
        norms = np.diagonal(gram, axis1=1, axis2=2)
        squares = norms[:, :, None] + norms[:, None, :] - 2 * gram
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
