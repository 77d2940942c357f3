"""A tiny writer of Erlang's external term format, to have something to read. No tests here."""

from __future__ import annotations

import struct
import zlib
from typing import Any


class Atom(str):
    """A name of Erlang, such as inf."""


def encode(value: Any) -> bytes:
    """A term without its leading version byte. Floats, integers, bytes (binaries), atoms, lists, tuples and maps."""
    if value is None or isinstance(value, bool):
        return encode(Atom("nil" if value is None else str(value).lower()))
    if isinstance(value, Atom):
        name = value.encode()
        return bytes([119, len(name)]) + name
    if isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            return encode(Atom("inf" if value > 0 else "neg_inf"))
        return b"\x46" + struct.pack(">d", value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, bytes):
        return b"\x6d" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, tuple):
        return bytes([104, len(value)]) + b"".join(map(encode, value))
    return b"\x74" + struct.pack(">I", len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())


def _integer(value: int) -> bytes:
    if 0 <= value < 256:
        return bytes([97, value])
    if -(2**31) <= value < 2**31:
        return b"\x62" + struct.pack(">i", value)
    size = (abs(value).bit_length() + 7) // 8
    return bytes([110, size, value < 0]) + abs(value).to_bytes(size, "little")


def _list(value: list[Any]) -> bytes:
    if not value:
        return b"\x6a"
    if len(value) < 65536 and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 256 for v in value):
        return b"\x6b" + struct.pack(">H", len(value)) + bytes(value)
    return b"\x6c" + struct.pack(">I", len(value)) + b"".join(map(encode, value)) + b"\x6a"


def stored(value: Any, compress: bool = True) -> bytes:
    """A whole term; compressed where that makes it shorter, as Erlang does."""
    plain = encode(value)
    packed = b"P" + struct.pack(">I", len(plain)) + zlib.compress(plain)
    return b"\x83" + (packed if compress and len(packed) < len(plain) else plain)
