"""How likely each symbol is, in integers: tables of frequencies, and their short forms as bytes.

Here belong a table, the ways to find one for given symbols, and to write and read it. A decoder gets its frequencies
from the bytes by arithmetic on whole numbers alone, so that they are the same everywhere. Tables that belong to a
learned model come from :mod:`panic_assets.codec.probability`, in the same unit. Coding belongs to entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from panic_assets.codec.bits import BitReader, BitWriter
from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.probability import LARGEST_SYMBOL, TABLE_TOTAL

GEOMETRIC_TABLES = 128
"""First bytes below this are two-sided geometric tables, the whole of them in this byte."""

WIDEST = 2047
"""Symbols in the longest table that can be written."""

_ONE_SYMBOL, _COUNTED = 128, 129  # first bytes; the second is followed by those of more bits
_PRECISIONS = (12, 13, 14, 15, 16)  # logarithms of what frequencies sum to before they are brought to TABLE_TOTAL
_WEIGHT = 1 << 40
_PER_OCTAVE, _MEAN_ONE = 8, 512  # the mean magnitude of table n is (8 + n % 8) * 2**(n // 8) / 512
_SELDOM = 1024  # what fewer than one in so many symbols are is left to the escape


@dataclass(frozen=True, eq=False)
class Table:
    """Frequencies of the symbols ``lowest``, ``lowest`` + 1, ..., and of the escape to all others.

    Args:
        lowest: the smallest symbol with a frequency.
        frequencies: int64 (n,), each at least 1; with ``escape`` they sum to TABLE_TOTAL.
        escape: 0 where other symbols can't be coded.
        written: the bytes that :func:`read_table` makes this table from; empty for one that belongs to a model.

    Raises: :class:`~panic_assets.codec.errors.UnfitValue` where the frequencies break these rules.
    """

    lowest: int
    frequencies: np.ndarray
    escape: int = 0
    written: bytes = b""

    def __post_init__(self) -> None:
        total = int(self.frequencies.sum()) + self.escape
        if not self.frequencies.size or self.frequencies.min() < 1 or self.escape < 0 or total != TABLE_TOTAL:
            raise UnfitValue(
                f"{self.frequencies.size} frequencies and an escape of {self.escape}, {total} in all: there must be "
                f"at least one, each at least 1, {TABLE_TOTAL} in all"
            )

    @property
    def highest(self) -> int:
        """The largest symbol with a frequency."""
        return self.lowest + self.frequencies.size - 1

    @property
    def is_certain(self) -> bool:
        """Whether there is one symbol alone, which needs no bits."""
        return self.frequencies.size == 1 and not self.escape

    @cached_property
    def least_bits(self) -> float:
        """What the likeliest symbol costs."""
        return float(np.log2(TABLE_TOTAL / max(int(self.frequencies.max()), self.escape)))

    def bits(self, symbols: np.ndarray, counts: np.ndarray) -> float:
        """About what distinct ``symbols``, so many of each, cost; infinite where one can't be coded."""
        index = symbols.astype(np.int64) - self.lowest
        is_inside = (index >= 0) & (index < self.frequencies.size)
        cost = float(counts[is_inside] @ np.log2(TABLE_TOTAL / self.frequencies[index[is_inside]]))
        if is_inside.all():
            return cost
        if not self.escape:
            return float("inf")
        digits = np.floor(np.log2(self.far(index[~is_inside])))
        return cost + float(counts[~is_inside] @ (2 * digits + 1 + np.log2(TABLE_TOTAL / self.escape)))

    def far(self, index: np.ndarray) -> np.ndarray:
        """Numbers from 1 for symbols outside, by their distance from ``lowest``: 1 is the next above, 2 below."""
        return np.where(index < 0, -2 * index, 2 * (index - self.frequencies.size) + 1)

    def symbols_of(self, far: np.ndarray) -> np.ndarray:
        """The symbols outside that :meth:`far` gave these numbers."""
        return np.where(far % 2, self.highest + 1 + far // 2, self.lowest - far // 2)


def of_model(frequencies: np.ndarray) -> list[Table]:
    """The tables of a learned model's classes, without escapes, from the rows of ``Probabilities.frequencies``."""
    return [Table(-LARGEST_SYMBOL, row) for row in frequencies]


@lru_cache(maxsize=GEOMETRIC_TABLES)
def geometric(number: int) -> Table:
    """The two-sided geometric table ``number``, 0 to 127: nearly that of a Laplace variable behind a dead zone of 0.6.

    Magnitude k + 1 is mean / (mean + 1) times as likely as k, for means of 1/64 at 0 to 960 at 127, 8 in a doubling.
    """
    if not 0 <= number < GEOMETRIC_TABLES:
        raise UnfitValue(f"geometric table {number}: give 0 to {GEOMETRIC_TABLES - 1}")
    mean = (_PER_OCTAVE + number % _PER_OCTAVE) << (number // _PER_OCTAVE)
    weights = [_WEIGHT]
    everything = _WEIGHT + 2 * (_WEIGHT * mean // _MEAN_ONE)
    # Behind magnitude k lies mean times as much as at it, on each side.
    while 2 * (weights[-1] * mean // _MEAN_ONE) * _SELDOM > everything and 2 * len(weights) < WIDEST:
        weights.append(weights[-1] * mean // (mean + _MEAN_ONE))
    side = np.array([max(1, weight * TABLE_TOTAL // everything) for weight in weights], np.int64)
    row = np.concatenate([side[:0:-1], side])
    escape = max(1, 2 * (weights[-1] * mean // _MEAN_ONE) * TABLE_TOTAL // everything)
    row[len(weights) - 1] += TABLE_TOTAL - escape - int(row.sum())
    return Table(1 - len(weights), row, escape, bytes([number]))


def one_symbol(symbol: int) -> Table:
    """The table of symbols that are all the same."""
    return Table(symbol, np.array([TABLE_TOTAL]), 0, bytes([_ONE_SYMBOL]) + BitWriter().signed(symbol).bytes())


def counted(counts: np.ndarray, lowest: int, beyond: int, precision: int) -> Table:
    """The table of symbols that were counted.

    Args:
        counts: how many there are of ``lowest``, ``lowest`` + 1, ...; at most WIDEST.
        lowest: the first symbol.
        beyond: how many others there are; with 0, others can't be coded.
        precision: 12 to 16: frequencies are written as parts of 2**precision.
    """
    if precision not in _PRECISIONS or not 0 < counts.size <= WIDEST:
        raise UnfitValue(f"{counts.size} counts with precision {precision}: give 1 to {WIDEST}, and 12 to 16")
    parts = _shared(np.append(counts, beyond), 1 << precision)
    return Table(lowest, *_whole(parts, precision), _written(lowest, parts, precision))


def fitted(symbols: np.ndarray) -> Table:
    """A table with few bits for ``symbols`` (n,) of integers and itself.

    The better of two: the geometric one by their mean magnitude, and their own counts, of all but the rarest symbols
    at both ends, in a precision by their number. Another end, precision or ratio may now and then be a little better.
    """
    if not symbols.size:
        return geometric(0)
    low, high = int(symbols.min()), int(symbols.max())
    if low == high:
        return one_symbol(low)
    first, last = max(low, -WIDEST), min(high, WIDEST)
    held = symbols if (first, last) == (low, high) else symbols[(symbols >= first) & (symbols <= last)]
    counts = np.bincount(np.subtract(held, first, dtype=np.int64)) if held.size else np.zeros(1, np.int64)
    distinct = np.flatnonzero(counts)
    values, many = distinct + first, counts[distinct]
    if held.size < symbols.size:
        outliers = symbols[(symbols < first) | (symbols > last)].astype(np.int64)
        values, many = np.append(values, outliers), np.append(many, np.ones(outliers.size, np.int64))
    mean = float(many @ np.abs(values)) / symbols.size
    # Of magnitudes with this mean, the likeliest ratio of one to the next.
    ratio = (np.sqrt(1 + mean**2) - 1) / mean
    shaped = geometric(_nearest_geometric(ratio / (1 - ratio)))
    cost = shaped.bits(values, many) + 8
    start, stop = _window(counts, symbols.size)
    inside = counts[start:stop]
    beyond = symbols.size - int(inside.sum())
    # Coarse frequencies are shorter to write, and of few symbols hardly worse.
    precision = min(max(_PRECISIONS[0], symbols.size.bit_length() - 2), _PRECISIONS[-1])
    parts = _shared(np.append(inside, beyond), 1 << precision)
    table = Table(first + start, *_whole(parts, precision))
    least = table.bits(values, many)
    if least + _least_bits_of(parts) >= cost:
        return shaped  # what is not taken need not be written
    table = replace(table, written=_written(first + start, parts, precision))
    return table if least + 8 * len(table.written) < cost else shaped


def read_table(data: bytes, start: int = 0) -> tuple[Table, int]:
    """The table whose bytes begin at ``start``, and where they end.

    Raises: :class:`~panic_assets.codec.errors.WrongBytes`.
    """
    if not start < len(data):
        raise WrongBytes(f"{len(data)} bytes end before a table at {start}")
    kind = data[start]
    if kind < GEOMETRIC_TABLES:
        return geometric(kind), start + 1
    reader = BitReader(data, start + 1)
    if kind >= _COUNTED + len(_PRECISIONS):
        raise WrongBytes(f"a table of unknown form {kind} at byte {start}")
    lowest, size = reader.signed(), 1 if kind == _ONE_SYMBOL else reader.number() + 1
    if size > WIDEST or not -(1 << 31) <= lowest <= (1 << 31) - size:
        raise WrongBytes(
            f"a table of {size} symbols from {lowest} on, at byte {start}; {WIDEST} of 32 bits are the most"
        )
    if kind == _ONE_SYMBOL:
        return one_symbol(lowest), reader.end
    precision = _PRECISIONS[kind - _COUNTED]
    parts, place = np.zeros(size + 1, np.int64), 0
    parts[-1] = reader.number()
    while place < size - 1:
        parts[place] = reader.number()
        place += 1 if parts[place] else 1 + reader.number()
    parts[size - 1] = (1 << precision) - parts.sum()
    if place != size - 1 or parts.min() < 0:
        raise WrongBytes(f"a table at byte {start} whose frequencies do not sum to 2**{precision}")
    return Table(lowest, *_whole(parts, precision), data[start : reader.end]), reader.end


def write_tables(tables: Sequence[Table]) -> bytes:
    """The bytes of several tables, one after another; :func:`read_tables` must know how many."""
    return b"".join(table.written for table in tables)


def read_tables(data: bytes, count: int, start: int = 0) -> tuple[list[Table], int]:
    """So many tables, and where they end. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    found = []
    for _ in range(count):
        table, start = read_table(data, start)
        found.append(table)
    return found, start


def _nearest_geometric(mean: float) -> int:
    octave = min(
        max(0, int(np.floor(np.log2(max(mean, 1e-9) * _MEAN_ONE / _PER_OCTAVE)))), GEOMETRIC_TABLES // _PER_OCTAVE - 1
    )
    part = round(mean * _MEAN_ONE / 2.0**octave) - _PER_OCTAVE
    return min(max(0, octave * _PER_OCTAVE + part), GEOMETRIC_TABLES - 1)


def _window(counts: np.ndarray, total: int) -> tuple[int, int]:
    """The part of the counts outside of which fewer than one in _SELDOM symbols lie, at most WIDEST long."""
    summed, aside = np.cumsum(counts), total // (2 * _SELDOM)
    start = int(np.searchsorted(summed, aside, side="right"))
    stop = int(np.searchsorted(summed, summed[-1] - aside)) + 1
    start, stop = min(start, counts.size - 1), max(stop, start + 1)
    if stop - start > WIDEST:
        middle = int(np.searchsorted(summed, summed[-1] // 2))
        start = min(max(start, middle - WIDEST // 2), stop - WIDEST)
        stop = start + WIDEST
    return start, min(stop, counts.size)


def _shared(counts: np.ndarray, total: int) -> np.ndarray:
    """Whole shares of ``total`` in about the ratio of ``counts``; none where nothing was counted, else at least 1."""
    if not counts.any():
        counts = (np.arange(counts.size) == 0).astype(np.int64)
    is_some = counts > 0
    wanted = counts / counts.sum() * (total - int(is_some.sum()))
    shares = np.floor(wanted).astype(np.int64) + is_some
    missing = total - int(shares.sum())
    shares[np.argsort(-(wanted - np.floor(wanted)) - is_some, kind="stable")[:missing]] += 1
    return shares


def _least_bits_of(parts: np.ndarray) -> int:
    """Fewer than writing the shares takes: the numbers of those that are some, without ends and gaps."""
    return int(2 * np.frexp(parts[parts > 0][:-2] + 1)[1].sum()) - parts.size


def _written(lowest: int, parts: np.ndarray, precision: int) -> bytes:
    *some, _, escape = parts.tolist()  # the last frequency is what is missing to the sum
    writer = BitWriter().signed(lowest).number(len(some)).number(escape)
    place = 0
    while place < len(some):
        writer.number(some[place])
        run = 1
        if not some[place]:
            while place + run < len(some) and not some[place + run]:
                run += 1
            writer.number(run - 1)
        place += run
    return bytes([_COUNTED + _PRECISIONS.index(precision)]) + writer.bytes()


def _whole(parts: np.ndarray, precision: int) -> tuple[np.ndarray, int]:
    """Frequencies and escape in parts of TABLE_TOTAL. Those of 0 become 1, at the expense of the first largest."""
    row = parts[:-1] * (TABLE_TOTAL >> precision)
    escape = int(parts[-1]) * (TABLE_TOTAL >> precision)
    is_none = row == 0
    row[is_none] = 1
    if escape > row.max():
        return row, escape - int(is_none.sum())
    row[int(row.argmax())] -= int(is_none.sum())
    return row, escape
