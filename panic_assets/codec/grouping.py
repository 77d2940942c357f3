"""Values by the class of each, and back to their places.

Here belongs sorting by small numbers, fast and the same everywhere: what an entropy coder needs so that it can take
all values of one table at once. What values and classes mean belongs elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FEW = 1 << 13
"""Up to so many values numpy's stable sort is faster than what has to be prepared for counting."""

_BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class Grouping:
    """How values are sorted by class, those of one class in the order of their places.

    Args:
        size: how many values there are.
        groups: each class that occurs, rising, and where its values lie once they are sorted.
        classes: that of each value, uint8; None if all are sorted already.
        count: classes are below it.
    """

    size: int
    groups: tuple[tuple[int, slice], ...]
    classes: np.ndarray | None = None
    count: int = 1

    @classmethod
    def alike(cls, size: int) -> Grouping:
        """So many values, all of class 0."""
        return cls(size, ((0, slice(0, size)),) if size else ())

    @classmethod
    def by(cls, classes: np.ndarray, count: int) -> Grouping:
        """Values of ``classes``, uint8 (n,), each below ``count``."""
        lengths = np.bincount(classes, minlength=count) if classes.size <= _FEW else _lengths(classes, count)
        ends = np.cumsum(lengths).tolist()
        pairs = enumerate(zip(ends, lengths.tolist(), strict=True))
        groups = tuple((number, slice(end - length, end)) for number, (end, length) in pairs if length)
        is_sorted = len(groups) < 2 or not (classes[1:] < classes[:-1]).any()
        return cls(classes.size, groups, None if is_sorted else classes, count)

    def sorted(self, values: np.ndarray) -> np.ndarray:
        """A copy of ``values`` (size,), sorted by class."""
        if self.classes is None:
            return values.copy()
        if self.size <= _FEW:
            return values[np.argsort(self.classes, kind="stable")]
        return _by_column(values, self.classes, self.count)[1]

    def unsorted(self, values: np.ndarray) -> np.ndarray:
        """What :meth:`sorted` made ``values`` from; the same array if the order is the same."""
        if self.classes is None:
            return values
        made = np.empty_like(values)
        if self.size <= _FEW:
            made[np.argsort(self.classes, kind="stable")] = values
            return made
        starts = np.zeros(self.count, np.int64)
        for number, group in self.groups:
            starts[number] = group.start
        # Block by block, as values that go to places all over a large array come too late for a processor's cache.
        for start in range(0, self.size, _BLOCK):
            classes = self.classes[start : start + _BLOCK]
            ends, places = _by_column(np.arange(classes.size, dtype=np.int32), classes, self.count)
            runs = zip(starts.tolist(), np.diff(ends).tolist(), strict=True)
            own = np.concatenate([values[first : first + length] for first, length in runs if length])
            made[start : start + _BLOCK][places.astype(np.intp)] = own
            starts += np.diff(ends)
        return made


def _lengths(classes: np.ndarray, count: int) -> np.ndarray:
    # bincount widens what it counts: pairs of classes are half as many numbers.
    pairs = np.bincount(classes[: classes.size // 2 * 2].view(np.uint16), minlength=1 << 16)
    table = pairs.reshape(256, 256)
    lengths = (table.sum(0) + table.sum(1))[:count]
    if classes.size % 2:
        lengths[classes[-1]] += 1
    return lengths


def _by_column(values: np.ndarray, classes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the values of each class end and begin, and values sorted stably by class.

    A matrix of one row, its values in these columns, is stored column by column.
    """
    from scipy.sparse import csr_array

    index = np.int32 if values.size < 1 << 31 else np.int64
    row = csr_array((values, classes.astype(index), np.array([0, values.size], index)), shape=(1, count))
    columns = row.tocsc()
    return columns.indptr, columns.data
