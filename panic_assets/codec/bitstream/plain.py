"""Pictures as they are, or deflated: for those that are too small or too simple for anything better.

Here belongs method 0.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from panic_assets.codec.bitstream.fields import Fields
from panic_assets.codec.bitstream.head import Head, seal
from panic_assets.codec.bitstream.methods import PLAIN
from panic_assets.codec.errors import WrongBytes

_FORMS = ("raw", "deflated", "deflated differences")
_MOST = 1033
"""Bytes that deflate can make of one, at the most."""

_AT_ONCE = 1 << 14
_LARGE = 1 << 16  # bytes of samples from which on a hasty look is worth its while before they are packed well
_SLACK = 1 << 14  # bytes by which haste may be worse, beside a factor of 2: runs of one colour take it more
_MOST_AROUND = 32  # bytes of a head and a checksum


def encode(picture: np.ndarray, channels: int) -> bytes:
    """The shortest plain file of a picture."""
    found = encode_within(picture, channels, picture.size + _MOST_AROUND)
    assert found is not None, "raw samples are never longer"
    return found


def encode_within(picture: np.ndarray, channels: int, most: int) -> bytes | None:
    """The shortest plain file of a picture; None if it has more than ``most`` bytes."""
    height, width = picture.shape[:2]
    samples = np.atleast_3d(picture)

    def sealed(form: int, body: bytes) -> bytes:
        return seal(Head(PLAIN, height, width, channels, form), body)

    around = len(sealed(0, b""))
    room = min(samples.size, most - around)
    chosen: tuple[int, bytes] | None = (0, samples.tobytes()) if samples.size <= room else None
    for form in (1, 2):
        # Differences wrap, and so does their sum.
        shown = samples if form == 1 else np.diff(samples, axis=1, prepend=samples[:, :1] * 0)
        body = _deflated(shown, room if chosen is None else len(chosen[1]) - 1)
        chosen = chosen if body is None else (form, body)
    return sealed(*chosen) if chosen else None


def decode(head: Head, fields: Fields, model: Any, exact: bool) -> np.ndarray:
    """The picture. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    form, size = _form(head), head.pixels * head.channels
    data = fields.rest()
    if form != "raw":
        if size > _MOST * len(data):
            raise WrongBytes(f"{len(data)} deflated bytes for {size} samples: no more than {_MOST} for each can be")
        data = _inflated(data, size)
    if len(data) != size:
        raise WrongBytes(f"{len(data)} bytes for {size} samples")
    samples = np.frombuffer(data, np.uint8).reshape(head.height, head.width, head.channels)
    return np.cumsum(samples, axis=1, dtype=np.uint8) if form == "deflated differences" else samples.copy()


def describe(head: Head, fields: Fields) -> dict[str, Any]:
    """How the samples are packed."""
    return {"form": _form(head), "lossless": True}


def _form(head: Head) -> str:
    if head.options >= len(_FORMS):
        raise WrongBytes(f"form {head.options} of a plain picture: 0 to {len(_FORMS) - 1} are known")
    return _FORMS[head.options]


def _deflated(samples: np.ndarray, most: int) -> bytes | None:
    """Given up as soon as there are more than ``most`` bytes: few pictures are simple enough."""
    data = memoryview(samples.tobytes())
    if len(data) > _LARGE and _packed(data, 1, 2 * most + _SLACK) is None:
        return None
    return _packed(data, 9, most)


def _packed(data: memoryview, effort: int, most: int) -> bytes | None:
    packer, made = zlib.compressobj(effort, zlib.DEFLATED, -zlib.MAX_WBITS), bytearray()
    for start in range(0, len(data), _AT_ONCE):
        made += packer.compress(data[start : start + _AT_ONCE])
        if len(made) > most:
            return None
    made += packer.flush()
    return bytes(made) if len(made) <= most else None


def _inflated(data: bytes, size: int) -> bytes:
    """At most ``size`` bytes and one."""
    opener = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = opener.decompress(data, size + 1)
    except zlib.error as problem:
        raise WrongBytes(f"samples that can't be inflated ({problem}): the bytes are damaged") from None
    if not opener.eof or opener.unused_data:
        raise WrongBytes(f"deflated bytes that do not end where {size} samples do: they are damaged")
    return found
