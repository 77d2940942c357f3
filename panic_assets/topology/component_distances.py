"""1-Wasserstein distances between diagrams whose bars are all born at one scale, many pairs at once, exactly.

Here belongs that one case: components (H0) of a Rips filtration, all born at 0. Any other diagrams belong to
``diagram_distances``.

With equal births a diagram is a set of numbers on a line, its deaths, and the matching problem has the dual
(Kantorovich with the diagonal as a reservoir; A. Figalli and N. Gigli, J. Math. Pures Appl. 2010, for such a boundary)

    maximise  sum of f over one diagram's deaths - sum of f over the other's,
    such that |f(s) - f(t)| <= |s - t|  and  |f(t)| <= (t - birth) / 2.

On a line the first constraint is needed between neighbours only. So go through the deaths of both from the largest down
and keep V(u), the best sum so far of those functions whose latest value is u: concave, and linear but for kinks. Adding
the next term tilts V by one unit of slope, and the maximum moves over one kink; the Lipschitz constraint pushes the
kinks left of the maximum apart from those right of it; the other constraint cuts both ends. (Slope trick.) So the kinks
form two stacks, a death costs one pop and one push, and a pair costs a sort. Since every pair does the same at each
death, numpy does thousands of pairs at a time. Rank by rank matching of the deaths, in contrast, is not exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ENTRIES = 1 << 20  # numbers in the working arrays: more fall out of the processor's cache, fewer are mostly overhead


def equal_birth_distances(
    deaths: Sequence[NDArray[np.float64]], pairs: NDArray[np.intp], birth: float = 0.0
) -> NDArray[np.float64]:
    """Compute 1-Wasserstein distances, ground metric L-infinity, between diagrams of bars ``(birth, death)``.

    Args:
        deaths: one float64 array for each diagram, finite, not below ``birth``; may be empty.
        pairs: (pairs, 2) positions in ``deaths``.
        birth: the birth of every bar of every diagram.

    Returns:
        (pairs,) float64, exact up to rounding.
    """
    sizes = np.array([len(of_diagram) for of_diagram in deaths], dtype=np.intp)
    longest = int(sizes.max(initial=0))
    # A bar of length zero costs nothing, so it pads the shorter diagrams.
    padded = np.zeros((len(sizes), longest))
    for row, of_diagram in zip(padded, deaths, strict=True):
        row[: len(of_diagram)] = np.sort(of_diagram - birth)[::-1]
    found = np.zeros(len(pairs))
    order = np.argsort(sizes[pairs].max(axis=1, initial=0), kind="stable")  # little padding within a batch
    start = 0
    while start < len(order):
        # The batch is bounded by its largest diagrams, which are at its end.
        batch = order[start : start + max(1, _ENTRIES // max(1, 4 * longest))]
        columns = int(sizes[pairs[batch]].max())
        first, second = (padded[pairs[batch, side], :columns] for side in (0, 1))
        found[batch] = _descend(np.concatenate([first, second], axis=1))
        start += len(batch)
    return found


def _descend(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances between the first and the second half of each row of ``values`` (pairs, 2 n), births 0."""
    pairs, steps = values.shape
    if not steps:
        return np.zeros(pairs)
    order = np.argsort(-values, axis=1)
    values = np.ascontiguousarray(np.take_along_axis(values, order, axis=1).T)
    second = np.ascontiguousarray((order >= steps // 2).T)
    pushed_apart = values[0] - values
    bounds = values / 2
    # Stack 0 holds the kinks right of the maximum, stack 1 the mirror images of those left of it, both as they would be
    # had nothing been pushed apart. The bottom is beyond every bound, so what is read there is the bound.
    kinks = np.empty((2 * (steps + 1), pairs))
    kinks[[0, steps + 1]] = np.inf
    flat = kinks.reshape(-1)
    popped, pushed = _places(second)
    total = np.zeros(pairs)
    for bound, apart, source, target in zip(bounds, pushed_apart, popped, pushed, strict=True):
        kink = flat[source]
        kink += apart
        np.minimum(kink, bound, out=kink)
        total += kink
        kink += apart
        flat[target] = np.negative(kink, out=kink)
    return np.maximum(total, 0.0)


def _places(second: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Tell for each step (row) and pair (column) where in the flat stacks a kink is popped, and where it is pushed.

    A death of the first diagram pops stack 0 and pushes on stack 1, one of the second does the opposite; the bottoms
    stay. So depths are walks reflected at zero, known beforehand.
    """
    steps, pairs = second.shape
    walk = np.cumsum(np.where(second, 1, -1), axis=0, dtype=np.intp)
    depths = []
    for path in (walk, -walk):
        depth = np.zeros_like(path)
        depth[1:] = path[:-1] - np.minimum(np.minimum.accumulate(path[:-1], axis=0), 0)
        depths.append(depth)
    depths[1] += steps + 1
    column = np.arange(pairs)
    popped = np.where(second, depths[1], depths[0]) * pairs + column
    pushed = (np.where(second, depths[0], depths[1]) + 1) * pairs + column
    return popped, pushed
