"""Accuracy of predicted vectors: whether the right target is the nearest one.

Here belongs the one definition that training and measures share. Nothing here trains or attacks.
"""

from __future__ import annotations

import numpy as np

_TIE = 1e-9
_MOST_DISTANCES = 4_000_000  # in memory at once


def distinct_targets(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ``y`` float (n, d) without repeats, in order of appearance: (targets (m, d), own int64 (n,)).

    ``own`` says which target each row is. Rows are equal when all their numbers are.
    """
    places: dict[bytes, int] = {}
    rows = np.ascontiguousarray(y) + np.float32(0)  # -0.0 becomes 0.0
    own = np.array([places.setdefault(row.tobytes(), len(places)) for row in rows], np.int64)
    first = np.unique(own, return_index=True)[1]
    return rows[first], own


def retrieval_credit(predicted: np.ndarray, targets: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Credit of each prediction, float64 (n,): 1 where the own target alone is nearest, 1/k for one of k, else 0.

    Args:
        predicted: float (n, d). A row that is not finite has no credit.
        targets: float (m, d), all different.
        own: int (n,), the target of each row.
    """
    credit = np.zeros(len(predicted))
    exact = targets.astype(np.float64)
    norms = np.einsum("md,md->m", exact, exact)
    step = max(1, _MOST_DISTANCES // max(1, len(targets)))
    for start in range(0, len(predicted), step):
        rows = slice(start, start + step)
        # The squared distance but for the length of the prediction, which is the same to all targets.
        distance = norms - 2 * predicted[rows].astype(np.float64) @ exact.T
        nearest = distance <= distance.min(axis=1, keepdims=True) + _TIE
        right = nearest[np.arange(len(distance)), own[rows]]
        credit[rows] = np.divide(right, nearest.sum(axis=1), out=np.zeros(len(distance)), where=right)
    return credit
