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


def encode(picture: np.ndarray, channels: int) -> bytes:
    """The shortest plain file of a picture."""
    samples = np.atleast_3d(picture)
    across = np.diff(samples, axis=1, prepend=samples[:, :1] * 0)  # wraps, and so does the sum
    bodies = [samples.tobytes(), _deflated(samples), _deflated(across)]
    form = min(range(len(bodies)), key=lambda number: len(bodies[number]))
    height, width = picture.shape[:2]
    return seal(Head(PLAIN, height, width, channels, form), bodies[form])


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


def _deflated(samples: np.ndarray) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(np.ascontiguousarray(samples).tobytes()) + packer.flush()


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
