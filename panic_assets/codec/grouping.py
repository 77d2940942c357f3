"""Values by the class of each, and back to their places.

Here belongs sorting by small numbers, fast and the same everywhere: what an entropy coder needs so that it can take
all values of one table at once. What values and classes mean belongs elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_BLOCK_BITS = 16  # a block of values and its keys stay in a processor's second cache


@dataclass(frozen=True)
class Grouping:
    """How values are sorted by class, those of one class in the order of their places.

    Args:
        size: how many values there are.
        groups: each class that occurs, rising, and where its values lie once they are sorted.
        orders: for each block of values, the places in it (uint16) sorted by class; None if all are sorted already.
        runs: for each block, the runs of one class in it: where they go, and how long they are.
    """

    size: int
    groups: tuple[tuple[int, slice], ...]
    orders: tuple[np.ndarray, ...] | None = None
    runs: tuple[tuple[tuple[int, int], ...], ...] = ()

    @classmethod
    def alike(cls, size: int) -> Grouping:
        """So many values, all of class 0."""
        return cls(size, ((0, slice(0, size)),) if size else ())

    @classmethod
    def by(cls, classes: np.ndarray, count: int) -> Grouping:
        """Values of ``classes``, uint8 (n,), each below ``count``."""
        numbers = np.arange(count, dtype=np.uint32)
        if not (classes[1:] < classes[:-1]).any():
            starts = np.searchsorted(classes, numbers.astype(np.uint8))
            return cls(classes.size, _groups(np.diff(starts, append=classes.size)))
        places = np.arange(1 << _BLOCK_BITS, dtype=np.uint32)
        orders, counts = [], []
        for block in _blocks(classes.size):
            # Keys that are all different sort faster than a stable argsort, and alike by every way of sorting.
            keys = classes[block].astype(np.uint32)
            keys <<= _BLOCK_BITS
            keys |= places[: keys.size]
            keys.sort()
            starts = np.searchsorted(keys, numbers << _BLOCK_BITS)
            counts.append(np.diff(starts, append=keys.size))
            orders.append(keys.astype(np.uint16))  # which leaves the places
        lengths = np.stack(counts)
        total = lengths.sum(0)
        goals = np.cumsum(total) - total + np.cumsum(lengths, 0) - lengths
        runs = (zip(*pair, strict=True) for pair in zip(goals.tolist(), lengths.tolist(), strict=True))
        return cls(classes.size, _groups(total), tuple(orders), tuple(tuple(r for r in run if r[1]) for run in runs))

    def sorted(self, values: np.ndarray) -> np.ndarray:
        """A copy of ``values`` (size,), sorted by class."""
        if self.orders is None:
            return values.copy()
        made = np.empty_like(values)
        for block, order, runs in zip(_blocks(self.size), self.orders, self.runs, strict=True):
            taken, start = values[block].take(order.astype(np.intp)), 0
            for goal, length in runs:
                made[goal : goal + length] = taken[start : start + length]
                start += length
        return made

    def unsorted(self, values: np.ndarray) -> np.ndarray:
        """What :meth:`sorted` made ``values`` from; the same array if the order is the same."""
        if self.orders is None:
            return values
        made = np.empty_like(values)
        for block, order, runs in zip(_blocks(self.size), self.orders, self.runs, strict=True):
            parts = [values[goal : goal + length] for goal, length in runs]
            made[block][order.astype(np.intp)] = np.concatenate(parts)
        return made


def _groups(counts: np.ndarray) -> tuple[tuple[int, slice], ...]:
    ends = np.cumsum(counts).tolist()
    lengths = enumerate(zip(ends, counts.tolist(), strict=True))
    return tuple((number, slice(end - count, end)) for number, (end, count) in lengths if count)


def _blocks(size: int) -> Iterator[slice]:
    for start in range(0, size, 1 << _BLOCK_BITS):
        yield slice(start, start + (1 << _BLOCK_BITS))
