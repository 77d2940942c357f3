"""Distances between two persistence diagrams: p-Wasserstein and bottleneck, exact, ground metric L-infinity.

Here belongs one pair of diagrams of any dimension. Many pairs at once belong to ``pairwise``, the fast way for
components to ``component_distances``, what distances say about groups of runs to ``dynamics``.

A matching pairs bars of the two diagrams and sends the rest to the diagonal, at the cost of half their lengths. So a
matching is a set of pairs, each of which saves its two half lengths and costs its distance. An assignment problem of
the n x m savings is all there is to solve, instead of the usual one of (n + m) x (n + m) costs.

Infinite bars are matched among themselves, in the order of their births; diagrams that differ in their number are
infinitely far apart. Bars of length zero lie on the diagonal and count for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from panic_assets.errors import PanicError


class DiagramError(PanicError):
    """An array that is no persistence diagram, or a distance that is none."""


@dataclass(frozen=True, eq=False)
class Bars:
    """The bars of one diagram, sorted: ``finite`` float64 (n, 2) of births and deaths, ``infinite`` float64 births."""

    finite: NDArray[np.float64]
    infinite: NDArray[np.float64]

    @property
    def content(self) -> bytes:
        """Equal exactly for diagrams of equal bars."""
        return len(self.infinite).to_bytes(8, "little") + self.infinite.tobytes() + self.finite.tobytes()


def bars_of(diagram: ArrayLike) -> Bars:
    """Check and sort the bars of a diagram, and drop those of length zero.

    Args:
        diagram: (n, 2) births and deaths, n may be 0; deaths may be infinite.

    Raises:
        DiagramError: another shape, NaN, a birth that is infinite, or a death before its birth; names the first bar.
    """
    given = np.asarray(diagram, dtype=np.float64)
    if given.size == 0:
        given = given.reshape(0, 2)
    if given.ndim != 2 or given.shape[1] != 2:
        raise DiagramError(f"a diagram has shape {given.shape}; it must be (bars, 2): births and deaths")
    wrong = np.flatnonzero(~(np.isfinite(given[:, 0]) & (given[:, 1] >= given[:, 0])))
    if wrong.size:
        birth, death = given[wrong[0]]
        raise DiagramError(
            f"bar {wrong[0]} of a diagram is born at {birth} and dies at {death}; births must be finite and deaths not "
            "before them"
        )
    # Adding positive zero turns -0.0 into 0.0, so that equal bars have equal bytes.
    given = given[given[:, 1] > given[:, 0]] + 0.0
    given = given[np.lexsort((given[:, 1], given[:, 0]))]
    endless = np.isinf(given[:, 1])
    return Bars(np.ascontiguousarray(given[~endless]), np.ascontiguousarray(given[endless, 0]))


def wasserstein(one: ArrayLike | Bars, other: ArrayLike | Bars, p: float = 1.0) -> float:
    """Compute the p-Wasserstein distance: the p-th root of the least sum of p-th powers of L-infinity distances.

    Args:
        one: (n, 2) births and deaths, see :func:`bars_of`.
        other: (m, 2), likewise.
        p: at least 1, finite; for infinity there is :func:`bottleneck`.

    Returns:
        The distance, exact up to rounding; infinite when the numbers of infinite bars differ.

    Raises:
        DiagramError: not diagrams, or p out of range.
    """
    if not 1 <= p < np.inf:
        raise DiagramError(f"p is {p}; it must be 1 or more and finite (the bottleneck distance is that of infinity)")
    first, second = _prepared(one), _prepared(other)
    if len(first.infinite) != len(second.infinite):
        return float("inf")
    endless = np.abs(first.infinite - second.infinite)
    costs = np.concatenate([endless, _matched_costs(first.finite, second.finite, p)])
    largest = float(costs.max(initial=0.0))
    if p == 1 or largest == 0:
        return float(costs.sum())
    return largest * float(((costs / largest) ** p).sum() ** (1 / p))


def bottleneck(one: ArrayLike | Bars, other: ArrayLike | Bars) -> float:
    """Compute the bottleneck distance: the least possible largest L-infinity distance of a matching, exactly.

    Binary search over the distances that occur. At scale r the bars whose half lengths exceed r must be matched to bars
    within r. That is possible exactly if it is possible for those of each diagram alone (Mendelsohn and Dulmage 1958),
    which Hopcroft and Karp's algorithm tells.

    Args:
        one: (n, 2) births and deaths, see :func:`bars_of`.
        other: (m, 2), likewise.

    Returns:
        The distance, one of the numbers that occur; infinite when the numbers of infinite bars differ.

    Raises:
        DiagramError: not diagrams.
    """
    first, second = _prepared(one), _prepared(other)
    if len(first.infinite) != len(second.infinite):
        return float("inf")
    endless = float(np.abs(first.infinite - second.infinite).max(initial=0.0))
    apart = _distances(first.finite, second.finite)
    halves, others = _half_lengths(first.finite), _half_lengths(second.finite)
    # No bar can do better than the nearer of the diagonal and the nearest bar.
    least = max(
        endless,
        float(np.minimum(halves, apart.min(axis=1, initial=np.inf)).max(initial=0.0)),
        float(np.minimum(others, apart.min(axis=0, initial=np.inf)).max(initial=0.0)),
    )
    long, long_others = halves > least, others > least
    if not long.any() and not long_others.any():
        return least

    def possible(scale: float) -> bool:
        near = apart <= scale
        return _covers(near[halves > scale]) and _covers(near[:, others > scale].T)

    if possible(least):
        return least
    occurring = np.concatenate([apart[long].ravel(), apart[:, long_others].ravel(), halves[long], others[long_others]])
    candidates = np.unique(occurring[occurring > least])
    low, high = 0, len(candidates) - 1  # the largest half length is always possible
    while low < high:
        middle = (low + high) // 2
        if possible(float(candidates[middle])):
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


def _prepared(diagram: ArrayLike | Bars) -> Bars:
    return diagram if isinstance(diagram, Bars) else bars_of(diagram)


def _half_lengths(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances from the diagonal."""
    return (bars[:, 1] - bars[:, 0]) / 2


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return L-infinity distances between bars, (n, m)."""
    apart = np.abs(one[:, :1] - other[:, 0])
    deaths = one[:, 1:] - other[:, 1]
    np.abs(deaths, out=deaths)
    return np.maximum(apart, deaths, out=apart)


def _matched_costs(one: NDArray[np.float64], other: NDArray[np.float64], p: float) -> NDArray[np.float64]:
    """Return the distances, one for each pair and each bar that goes to the diagonal, of the best matching."""
    from scipy.optimize import linear_sum_assignment

    halves, others = _half_lengths(one), _half_lengths(other)
    if not len(halves) or not len(others):
        return np.concatenate([halves, others])
    apart = _distances(one, other)
    if p == 1:
        savings = apart - halves[:, None]
        savings -= others
    else:
        # Powers of numbers up to 1 do not overflow.
        scale = max(float(halves.max()), float(others.max()))
        savings = (apart / scale) ** p - ((halves / scale) ** p)[:, None] - (others / scale) ** p
    np.minimum(savings, 0.0, out=savings)
    rows, columns = linear_sum_assignment(savings)
    worth = savings[rows, columns] < 0
    rows, columns = rows[worth], columns[worth]
    # The costs are added up from distances, not from savings: near diagrams would lose their difference to rounding.
    alone, alone_others = np.ones(len(halves), dtype=bool), np.ones(len(others), dtype=bool)
    alone[rows] = alone_others[columns] = False
    return np.concatenate([apart[rows, columns], halves[alone], others[alone_others]])


def _covers(near: NDArray[np.bool_]) -> bool:
    """Tell whether every row can be matched to a column of its own."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not len(near):
        return True
    if not near.any(axis=1).all():
        return False
    return bool((maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).all())
