"""Pictures by lifting in whole numbers.

Here belongs method 1; the transform and its coefficients have modules of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from panic_assets.codec import lossless
from panic_assets.codec.bitstream.fields import Fields, part
from panic_assets.codec.bitstream.head import Head, seal
from panic_assets.codec.bitstream.methods import EXACT
from panic_assets.codec.errors import WrongBytes


def encode(picture: np.ndarray, channels: int) -> bytes:
    """A file that gives back exactly this picture."""
    height, width = picture.shape[:2]
    colours, alpha = np.atleast_3d(picture)[:, :, :3], np.atleast_3d(picture)[:, :, 3:]
    body = lossless.encode_picture(colours)
    if alpha.size:
        body = part(body) + lossless.encode_picture(alpha)
    return seal(Head(EXACT, height, width, channels), body)


def decode(head: Head, fields: Fields, model: Any, exact: bool) -> np.ndarray:
    """The picture. Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    _check(head)
    size = head.height, head.width
    if head.channels < 4:
        return lossless.decode_picture(fields.rest(), *size, head.channels)
    colours = lossless.decode_picture(fields.part("colours"), *size, 3)
    return np.concatenate([colours, lossless.decode_picture(fields.rest(), *size, 1)], 2)


def describe(head: Head, fields: Fields) -> dict[str, Any]:
    """That nothing is lost."""
    _check(head)
    return {"lossless": True}


def _check(head: Head) -> None:
    if head.options:
        raise WrongBytes(f"options {head.options} of an exact picture: there are none")
