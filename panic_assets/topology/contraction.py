"""The scale beyond which a Rips complex has nothing left to say.

Here belongs the search for a scale from which on the complex is contractible, so that longer edges can be left out of
any computation of persistent homology without changing it. The computation belongs to ``rips``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CANDIDATES_PER_POINT = 0.1
_STEPS = 4


def enclosing_radius(matrix: NDArray[np.float64]) -> float:
    """Return the least scale at which some point has an edge to all others: from there on the complex is a cone."""
    return float(matrix.max(axis=1).min())


def contraction_radius(matrix: NDArray[np.float64]) -> float:
    """Return a scale, at most the enclosing radius, from which on the complex is contractible.

    At scale s let w dominate v when their distance is at most s and every neighbour of v is a neighbour of w; then v
    can be removed without changing the homotopy type (strong collapse: Barmak and Minian 2012, arXiv 0907.2954). When
    ``max(d(w, x), r) <= max(d(v, x), r)`` for all x, and ``d(v, w) <= r``, that holds at every scale s >= r at once. So
    if removing such points, again and again, leaves a cone at r, then the complex is contractible at every scale from r
    on: no bar is born there, and none but the infinite one of H0 is alive.

    Found by bisection between half the enclosing radius and the whole; not always the least such scale, since only the
    most central points are tried as w. On trajectories of 1000 points it is 0.6 to 0.8 of the enclosing radius and
    leaves out a third to a half of the edges, for a twentieth of the time that they would cost.

    Args:
        matrix: (m, m) float64 distances, m >= 1.
    """
    high = enclosing_radius(matrix)
    low = high / 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _contracts(matrix, middle):
            high = middle
        else:
            low = middle
    return high


def _contracts(matrix: NDArray[np.float64], radius: float) -> bool:
    """Tell whether removing points that are dominated at every scale from ``radius`` on is seen to leave a cone."""
    clipped = np.maximum(matrix, radius)
    while enclosing_radius(clipped) > radius:
        removed = np.zeros(len(clipped), dtype=bool)
        central = np.argsort(clipped.sum(axis=1), kind="stable")[: int(np.ceil(_CANDIDATES_PER_POINT * len(clipped)))]
        for candidate in central:
            # Points go one after the other, so one that is gone removes no more: two that dominate each other don't
            # both vanish.
            if not removed[candidate]:
                row = clipped[candidate]
                dominated = (clipped >= row).all(axis=1) & (row <= radius)
                dominated[candidate] = False
                removed |= dominated
        if not removed.any():
            return False
        clipped = clipped[np.ix_(~removed, ~removed)]
    return True
