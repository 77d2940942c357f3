"""Symbols to bytes and back by asymmetric numeral systems, each symbol by the table of its class.

Here belongs the whole entropy stage: grouping by class, values outside of the tables, the coder, and the check of
its end. How likely symbols are is the business of the tables, what they mean that of the transform. A stream says
neither how many symbols it holds nor of which classes: its reader must know.

The order: parts one after another, as later classes may depend on earlier symbols; in a part the classes by rising
number, in a class its symbols in place order; then what the escapes of the part stand for, in that same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.grouping import Grouping
from panic_assets.codec.probability import CLASSES, TABLE_TOTAL
from panic_assets.codec.tables import Table

_START = 0xC0DE
"""The coder's state before the first symbol: a decoder that does not come back to it had other bytes or tables. Of 16
bits, it costs nothing, as a state needs about as many anyway."""

_LONGEST_ESCAPE = 34  # digits of what an escaped symbol of 32 bits lies beyond its table
_BYPASS_BITS = 16

Part = tuple[np.ndarray | None, np.ndarray]
"""Classes and symbols, arrays of one size; classes None for all in class 0."""


class Coder:
    """Encodes and decodes by up to 64 tables, one for each class. May be used by many threads at once."""

    def __init__(self, tables: Sequence[Table]) -> None:
        """Raises: :class:`~panic_assets.codec.errors.UnfitValue` for no tables or more than 64."""
        if not 0 < len(tables) <= CLASSES:
            raise UnfitValue(f"{len(tables)} tables; give 1 to {CLASSES}")
        self._tables = tuple(tables)
        self._models: dict[int, Any] = {}

    def encode(self, symbols: np.ndarray, classes: np.ndarray | None = None) -> bytes:
        """The bytes of ``symbols``, integers of 32 bits; ``classes`` as many numbers of tables, None for all in 0.

        Raises: :class:`~panic_assets.codec.errors.UnfitValue` where a symbol can't be coded by its table, or a class
            has none.
        """
        return self.encode_parts([(classes, symbols)])

    def encode_parts(self, parts: Sequence[Part]) -> bytes:
        """The same for several parts in the order in which a :class:`Reader` will read them."""
        from constriction import stream

        coder = stream.stack.AnsCoder(np.array([_START], np.uint32))
        # The coder is a stack: what is decoded first is encoded last.
        for classes, symbols in reversed(parts):
            flat = _in_32_bits(symbols.ravel())
            grouping = self._grouped(classes, flat.size)
            indices, far = self._indices(grouping.sorted(flat), grouping)
            if far.size:
                _push_far(coder, far)
            for number, group in reversed(grouping.groups):
                if not self._tables[number].is_certain:
                    coder.encode_reverse(indices[group], self._model(number))
        words = coder.get_compressed()
        if words.size == 1 and words[0] == _START:
            return b""
        stored: bytes = words.astype("<u4").tobytes()
        return stored.rstrip(b"\0")

    def decode(self, data: bytes, count: int, classes: np.ndarray | None = None) -> np.ndarray:
        """The ``count`` symbols of ``data``, int32.

        Raises: :class:`~panic_assets.codec.errors.WrongBytes` where the coder does not end as it began: nearly always
            when bytes are missing, or when tables or counts are others. Changed digits of an escaped symbol, and
            classes in another order, change symbols and no more: a checksum must tell of them.
        """
        reader = self.reader(data)
        if classes is not None and classes.size != count:
            raise UnfitValue(f"{classes.size} classes for {count} symbols")
        symbols = reader.read(count if classes is None else classes)
        reader.finish()
        return symbols

    def reader(self, data: bytes) -> Reader:
        """Reads ``data`` part by part. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
        return Reader(self, data)

    def _grouped(self, classes: np.ndarray | None, count: int) -> Grouping:
        if classes is None:
            return Grouping.alike(count)
        if classes.size != count:
            raise UnfitValue(f"{classes.size} classes for {count} symbols")
        if count and not 0 <= classes.min() <= classes.max() < len(self._tables):
            raise UnfitValue(f"classes {classes.min()} to {classes.max()} with {len(self._tables)} tables")
        return Grouping.by(classes.ravel().astype(np.uint8, copy=False), len(self._tables))

    def _indices(self, symbols: np.ndarray, grouping: Grouping) -> tuple[np.ndarray, np.ndarray]:
        """Of symbols sorted by class, in place: where they are in their tables; how far beyond them some lie."""
        far = [np.empty(0, np.int64)]
        for number, group in grouping.groups:
            table, found = self._tables[number], symbols[group]
            size = table.frequencies.size
            found -= table.lowest
            # A difference below 0, or one that has wrapped, is a large number without a sign.
            apart = found.view(np.uint32)
            if apart.max() >= size:
                beyond = np.flatnonzero(apart >= size)
                true = (found[beyond] + np.int32(table.lowest)).astype(np.int64) - table.lowest
                if not table.escape:
                    raise UnfitValue(
                        f"symbol {true[0] + table.lowest} in class {number}, whose table goes from {table.lowest} to "
                        f"{table.highest} and has no escape to others"
                    )
                far.append(table.far(true))
                found[beyond] = size
        return symbols, np.concatenate(far)

    def _symbols(self, coder: Any, grouping: Grouping) -> np.ndarray:
        """The next part, sorted by class."""
        symbols, escaped = np.empty(grouping.size, np.int32), []
        for number, group in grouping.groups:
            table = self._tables[number]
            if table.is_certain:
                symbols[group] = table.lowest
                continue
            found = coder.decode(self._model(number), group.stop - group.start)
            np.add(found, table.lowest, out=symbols[group], dtype=np.int32)
            if table.escape and found.max() == table.frequencies.size:
                escaped.append((table, np.flatnonzero(found == table.frequencies.size) + group.start))
        if escaped:
            far = _pop_far(coder, sum(places.size for _, places in escaped))
            for table, places in escaped:
                own, far = far[: places.size], far[places.size :]
                symbols[places] = _in_32_bits(table.symbols_of(own), WrongBytes)
        return symbols

    def _model(self, number: int) -> Any:
        if number not in self._models:
            table = self._tables[number]
            self._models[number] = _categorical(
                np.append(table.frequencies, table.escape) if table.escape else table.frequencies
            )
        return self._models[number]


class Reader:
    """Symbols of one stream, part by part. Memory stays in proportion to what is asked for.

    Raises: :class:`~panic_assets.codec.errors.WrongBytes`, as all methods, where no encoder wrote the bytes.
    """

    def __init__(self, coder: Coder, data: bytes) -> None:
        from constriction import stream

        words = np.frombuffer(data + b"\0" * (-len(data) % 4), "<u4").astype(np.uint32)
        if data[-1:] == b"\0":
            raise WrongBytes(f"{len(data)} bytes of symbols end with a 0, which no encoder writes")
        self._coder, self._ans = coder, stream.stack.AnsCoder(words if data else np.array([_START], np.uint32))
        self._bits_left = 8.0 * len(data) + 64

    def read(self, wanted: int | np.ndarray) -> np.ndarray:
        """The next part, int32: so many symbols of class 0, or one for each of an array of classes, in its shape."""
        count = wanted if isinstance(wanted, int) else wanted.size
        grouping = self._coder._grouped(None if isinstance(wanted, int) else wanted, count)
        # Half of what the likeliest symbols cost: no stream that an encoder wrote comes near.
        tables = self._coder._tables
        self._bits_left -= sum(tables[number].least_bits * (g.stop - g.start) for number, g in grouping.groups) / 2
        if self._bits_left < 0:
            raise WrongBytes(f"{count} symbols can't be in what is left of the bytes: they are truncated or others")
        symbols = grouping.unsorted(self._coder._symbols(self._ans, grouping))
        return symbols if isinstance(wanted, int) else symbols.reshape(wanted.shape)

    def finish(self) -> None:
        """Check that nothing is left and that the end is an encoder's beginning."""
        if self._ans.num_words() != 1 or self._ans.get_compressed()[0] != _START:
            raise WrongBytes(
                "the symbols do not end where their encoder began: the bytes were changed or cut, or another model's "
                "tables read them"
            )


def _in_32_bits(values: np.ndarray, problem: type[UnfitValue] | type[WrongBytes] = UnfitValue) -> np.ndarray:
    if values.dtype.kind not in "iu":
        raise problem(f"symbols of type {values.dtype}: give integers")
    if values.dtype.itemsize >= 4 and values.dtype != np.int32 and values.size:
        low, high = int(values.min()), int(values.max())
        if low < -(1 << 31) or high >= 1 << 31:
            raise problem(f"symbols {low} to {high}: 32 bits are the most")
    return values.astype(np.int32, copy=False)


def _categorical(frequencies: np.ndarray) -> Any:
    from constriction import stream

    # The library gives every symbol 1 of TABLE_TOTAL and shares out the rest: of these, exactly the frequencies.
    return stream.model.Categorical((frequencies - 1).astype(np.float64), perfect=False)


def _push_far(coder: Any, far: np.ndarray) -> None:
    """Numbers from 1 in an Exp-Golomb code: how many digits, then the digits behind the first."""
    digits = np.frexp(far.astype(np.float64))[1] - 1
    for count, places in reversed(list(_by_digits(digits))):
        behind = far[places] - (1 << count)
        for model, shift in reversed(_bypass(count)):
            coder.encode_reverse((behind >> shift & (1 << _BYPASS_BITS) - 1).astype(np.int32), model)
    coder.encode_reverse(digits.astype(np.int32), _digit_model())


def _pop_far(coder: Any, count: int) -> np.ndarray:
    digits = coder.decode(_digit_model(), count)
    far = np.left_shift(np.int64(1), digits.astype(np.int64))
    for number, places in _by_digits(digits):
        for model, shift in _bypass(number):
            far[places] |= coder.decode(model, places.size).astype(np.int64) << shift
    return far


def _by_digits(digits: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for count in np.unique(digits).tolist():
        yield count, np.flatnonzero(digits == count)


@lru_cache(maxsize=_LONGEST_ESCAPE + 1)
def _bypass(digits: int) -> list[tuple[Any, int]]:
    """Models of equal chances for so many digits, the lowest first, each with the place of its lowest digit."""
    from constriction import stream

    shifts = range(0, digits, _BYPASS_BITS)
    return [(stream.model.Uniform(1 << min(_BYPASS_BITS, digits - shift)), shift) for shift in shifts]


@lru_cache(maxsize=1)
def _digit_model() -> Any:
    """Half for no digit behind the first, and half as much for each one more; what is too seldom gets 1."""
    row = np.maximum(TABLE_TOTAL >> np.arange(1, _LONGEST_ESCAPE + 1), 1)
    row[0] += TABLE_TOTAL - row.sum()
    return _categorical(row)
