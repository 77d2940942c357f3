"""One block of memory for all tensors of a world, handed out from front to back and given back at once.

Here belong the block and the references into it. Who owns a tensor, and what it means, is the world's business.

>>> import numpy as np
>>> arena = Arena(1 << 20)
>>> ref = arena.put(np.arange(12, dtype=np.float32).reshape(3, 4))
>>> arena.view(arena.sub(ref, (-1, slice(1, 3))))
array([ 9., 10.], dtype=float32)
>>> arena.reset()
>>> arena.view(ref)
Traceback (most recent call last):
...
panic_assets.codec.errors.StaleReference: the tensor (3, 4) float32 is of generation 0 of its arena, which is at 1; \
nothing of before a reset() is kept, so make it again
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from panic_assets.codec.errors import ArenaFull, OutOfBounds, StaleReference, UnfitValue

Part = int | slice
"""One axis of a part of a tensor: an index, or a slice without a step."""

_LEAST_ALIGNMENT = 8
_arenas = itertools.count()


@dataclass(frozen=True, slots=True)
class TensorRef:
    """Where a tensor lies in an arena: bytes from its start, shape, type, bytes between neighbours along each axis.

    ``arena`` and ``generation`` tell whether the tensor is still there.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    strides: tuple[int, ...]
    arena: int
    generation: int

    @property
    def nbytes(self) -> int:
        """Bytes of the values, without gaps."""
        return math.prod(self.shape) * self.dtype.itemsize


class Arena:
    """A block of ``size`` bytes that never grows.

    The operating system gives pages when they are first touched, so a large arena costs what is used of it. New
    tensors hold whatever was there before. Not safe for several threads.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise UnfitValue(f"an arena of {size} bytes; give at least 1")
        # Not zeros and not a bytearray: neither may touch the pages now.
        self._block = np.empty(size, np.uint8)
        self._number = next(_arenas)
        self._generation = 0
        self._used = 0

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self._block.nbytes

    @property
    def used(self) -> int:
        """Bytes given away since the last reset, gaps of alignment included."""
        return self._used

    @property
    def available(self) -> int:
        """Bytes left."""
        return self.size - self._used

    def alloc(self, shape: int | Sequence[int], dtype: DTypeLike) -> TensorRef:
        """A new tensor with undefined values, aligned to its item size and at least to 8 bytes.

        Raises: :class:`ArenaFull` (a ``MemoryError``) where it does not fit, :class:`UnfitValue` for a type that is
        no plain number or a negative side.
        """
        kind = np.dtype(dtype)
        # An object in raw memory would be a pointer to anywhere.
        if kind.kind not in "biufc":
            raise UnfitValue(f"type {kind} can't lie in an arena; give booleans, integers, floats or complex numbers")
        sides = tuple(map(operator.index, (shape,) if isinstance(shape, int | np.integer) else shape))
        if any(side < 0 for side in sides):
            raise UnfitValue(f"shape {sides} has a negative side")
        nbytes = math.prod(sides) * kind.itemsize
        start = 0
        if nbytes:
            alignment = max(kind.itemsize, _LEAST_ALIGNMENT)
            start = -(-self._used // alignment) * alignment
            if start + nbytes > self.size:
                raise ArenaFull(
                    f"{nbytes} bytes for {sides} {kind} do not fit: {max(self.size - start, 0)} of {self.size} are "
                    "left; make the world with more arena_bytes, or clear() it between pictures"
                )
            self._used = start + nbytes
        strides = tuple(math.prod(sides[axis + 1 :]) * kind.itemsize for axis in range(len(sides)))
        return TensorRef(start, sides, kind, strides, self._number, self._generation)

    def put(self, array: np.ndarray) -> TensorRef:
        """A new tensor with a copy of an array. Raises: as :meth:`alloc`."""
        ref = self.alloc(array.shape, array.dtype)
        self.view(ref)[...] = array
        return ref

    def view(self, ref: TensorRef) -> np.ndarray:
        """The tensor as a writable array over the arena's memory, without a copy.

        The array must not be kept beyond a reset: it would show what came after. Raises: :class:`StaleReference`.
        """
        self.check(ref)
        return np.ndarray(ref.shape, ref.dtype, self._block, ref.offset, ref.strides)

    def check(self, ref: TensorRef) -> None:
        """Nothing, if the tensor is in this arena now. Raises: :class:`StaleReference`."""
        if ref.arena != self._number:
            raise StaleReference(
                f"the tensor {ref.shape} {ref.dtype} lies in the arena of another world; copy its values"
            )
        if ref.generation != self._generation:
            raise StaleReference(
                f"the tensor {ref.shape} {ref.dtype} is of generation {ref.generation} of its arena, which is at "
                f"{self._generation}; nothing of before a reset() is kept, so make it again"
            )

    def sub(self, ref: TensorRef, parts: Part | tuple[Part, ...]) -> TensorRef:
        """A part of a tensor, sharing its memory: one index or slice for each leading axis.

        An index takes its axis away; negative ones count from the end. Unlike numpy's, a slice never reaches over the
        edge and never runs backwards. Raises: :class:`OutOfBounds` (an ``IndexError``), :class:`StaleReference`,
        :class:`UnfitValue` for a slice with a step.
        """
        self.check(ref)
        parts = parts if isinstance(parts, tuple) else (parts,)
        if len(parts) > len(ref.shape):
            raise OutOfBounds(f"{len(parts)} parts of a tensor of {len(ref.shape)} axes")
        offset, shape, strides = ref.offset, [], []
        for axis, (side, stride) in enumerate(zip(ref.shape, ref.strides, strict=True)):
            start, stop, is_kept = _extent(parts[axis], side, axis) if axis < len(parts) else (0, side, True)
            offset += start * stride
            if is_kept:
                shape.append(stop - start)
                strides.append(stride)
        # A part without values lies nowhere; its start may be the first byte after the block.
        return replace(ref, offset=offset if math.prod(shape) else 0, shape=tuple(shape), strides=tuple(strides))

    def batch(self, refs: Sequence[TensorRef]) -> np.ndarray:
        """All tensors as one array (n, *shape): a view where they lie at equal distances, a copy otherwise.

        Raises: :class:`UnfitValue` for none, or for different shapes or types; :class:`StaleReference`.
        """
        kinds = {(ref.shape, ref.dtype, ref.strides) for ref in refs}
        if len(kinds) != 1:
            raise UnfitValue(f"{len(refs)} tensors of {len(kinds)} forms make no batch; give at least one, all alike")
        for ref in refs:
            self.check(ref)
        first = refs[0]
        steps = {after.offset - before.offset for before, after in itertools.pairwise(refs)}
        if len(steps) > 1 or min(steps, default=1) < 1:
            return np.stack([self.view(ref) for ref in refs])
        strides = (max(steps, default=first.nbytes), *first.strides)
        return np.ndarray((len(refs), *first.shape), first.dtype, self._block, first.offset, strides)

    def reset(self) -> None:
        """Give all memory back to the arena; every reference into it becomes stale."""
        self._used = 0
        self._generation += 1


def _extent(part: Part, side: int, axis: int) -> tuple[int, int, bool]:
    """First and last + 1 along an axis, and whether the axis stays."""
    if isinstance(part, slice):
        if part.step not in (None, 1):
            raise UnfitValue(f"axis {axis}: a slice with step {part.step}; only neighbours make a part")
        start = _place(0 if part.start is None else part.start, side)
        stop = _place(side if part.stop is None else part.stop, side)
        if not 0 <= start <= stop <= side:
            raise OutOfBounds(f"axis {axis}: {start} to {stop} of a side of {side}")
        return start, stop, True
    start = _place(part, side)
    if not 0 <= start < side:
        raise OutOfBounds(f"axis {axis}: index {part} of a side of {side}")
    return start, start + 1, False


def _place(index: int, side: int) -> int:
    number = operator.index(index)
    return number + side if number < 0 else number
