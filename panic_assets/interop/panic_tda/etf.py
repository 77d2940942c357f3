"""Erlang's external term format, read safely: no term can cost more than its bytes allow.

Here belongs the format alone (https://www.erlang.org/doc/apps/erts/erl_ext_dist). Maps become dicts, lists and tuples
lists, strings lists of integers, binaries bytes. Atoms become texts, but ``nil`` None, ``true`` and ``false``
themselves, and the names of infinities and of no number become floats.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

from panic_assets.errors import PanicError

LARGEST = 64 * 2**20
DEEPEST = 64
_LARGEST_INTEGER = 1024
_ATOMS: dict[str, Any] = {"nil": None, "undefined": None, "true": True, "false": False, "nan": math.nan}
_ATOMS |= dict.fromkeys(("inf", "infinity", "pos_inf", "positive_infinity"), math.inf)
_ATOMS |= dict.fromkeys(("-inf", "neg_inf", "neg_infinity", "negative_infinity", "-infinity"), -math.inf)


class BadTerm(PanicError):
    """Bytes that are no term, or one that is too large."""


def decode(data: bytes) -> Any:
    """The term, compressed or plain.

    Raises:
        BadTerm: it is not one, holds an unknown tag, is larger than LARGEST bytes or deeper than DEEPEST.
    """
    if data[:1] != b"\x83":
        raise BadTerm(f"starts with {data[:4].hex() or 'nothing'}, a term with 83")
    if len(data) > LARGEST:
        raise BadTerm(f"{len(data)} bytes; at most {LARGEST} are read")
    reader = _Reader(_expanded(data[2:]) if data[1:2] == b"P" else data[1:])
    term = reader.term(0)
    if reader.place != len(reader.data):
        raise BadTerm(f"{len(reader.data) - reader.place} bytes follow the term")
    return term


def _expanded(data: bytes) -> bytes:
    if len(data) < 4:
        raise BadTerm("ends within its size")
    size = int.from_bytes(data[:4], "big")
    if size > LARGEST:
        raise BadTerm(f"says that it expands to {size} bytes; at most {LARGEST} are read")
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data[4:], size + 1)
    except zlib.error as error:
        raise BadTerm(f"its compressed part is broken: {error}") from None
    if len(found) != size or not inflater.eof or inflater.unused_data:
        raise BadTerm(f"says that it expands to {size} bytes, but does not")
    return found


class _Reader:
    """Bytes and how far they are read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.place:
            raise BadTerm(f"ends after {len(self.data)} bytes, {size} more were wanted at byte {self.place}")
        self.place += size
        return self.data[self.place - size : self.place]

    def unsigned(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def count(self, size: int, least: int = 1) -> int:
        """How many elements follow, each of which takes at least ``least`` bytes."""
        found = self.unsigned(size)
        if found * least > len(self.data) - self.place:
            raise BadTerm(f"says that {found} elements follow, but ends before")
        return found

    def term(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise BadTerm(f"is nested deeper than {DEEPEST} levels")
        tag = self.unsigned(1)
        if tag in _SCALARS:
            return _SCALARS[tag](self)
        if tag in (104, 105):
            return [self.term(depth + 1) for _ in range(self.count(1 if tag == 104 else 4))]
        if tag == 108:
            return self._list(depth)
        if tag == 116:
            return self._map(depth)
        raise BadTerm(f"holds tag {tag} at byte {self.place - 1}, which no reader of these tables needs")

    def _list(self, depth: int) -> list[Any]:
        found = [self.term(depth + 1) for _ in range(self.count(4))]
        if self.unsigned(1) != 106:
            raise BadTerm("holds a list without a proper end")
        return found

    def _map(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in range(self.count(4, least=2)):
            key = self._key(depth)
            found[key] = self.term(depth + 1)
        return found

    def _key(self, depth: int) -> Any:
        if self.data[self.place : self.place + 1] in (b"\x64", b"\x73", b"\x76", b"\x77"):
            return self.atom(self.unsigned(1))
        key = self.term(depth + 1)
        if isinstance(key, list | dict):
            raise BadTerm("holds a map with a list, tuple or map as a key")
        return key

    def atom(self, tag: int) -> str:
        name = self.take(self.unsigned(2 if tag in (100, 118) else 1))
        try:
            return name.decode("latin-1" if tag in (100, 115) else "utf-8")
        except UnicodeDecodeError:
            raise BadTerm("holds an atom that is not UTF-8") from None

    def named(self, tag: int) -> Any:
        name = self.atom(tag)
        return _ATOMS.get(name, name)

    def large(self, size: int) -> int:
        count = self.unsigned(size)
        if count > _LARGEST_INTEGER:
            raise BadTerm(f"holds an integer of {count} bytes; at most {_LARGEST_INTEGER} are read")
        negative = self.unsigned(1)
        found = int.from_bytes(self.take(count), "little")
        return -found if negative else found

    def printed_float(self) -> float:
        try:
            return float(self.take(31).rstrip(b"\0"))
        except ValueError:
            raise BadTerm("holds a printed float that is none") from None


_SCALARS: dict[int, Callable[[_Reader], Any]] = {
    70: lambda r: struct.unpack(">d", r.take(8))[0],
    97: lambda r: r.unsigned(1),
    98: lambda r: int.from_bytes(r.take(4), "big", signed=True),
    99: lambda r: r.printed_float(),
    100: lambda r: r.named(100),
    106: lambda r: [],
    107: lambda r: list(r.take(r.unsigned(2))),
    109: lambda r: r.take(r.unsigned(4)),
    110: lambda r: r.large(1),
    111: lambda r: r.large(4),
    115: lambda r: r.named(115),
    118: lambda r: r.named(118),
    119: lambda r: r.named(119),
}
