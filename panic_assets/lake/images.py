"""Pictures: hashing, encoding, decoding, and the cheapest doubts about them.

A picture is a ``numpy.ndarray`` of uint8, shape (height, width, 3), RGB, C-contiguous. Here belongs nothing that knows
where pictures are kept or which model made them.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from panic_assets.lake.errors import CorruptImage, LakeError

Picture = np.ndarray[Any, np.dtype[np.uint8]]

DEFAULT_FORMAT = "webp-lossless"
_LOSSLESS: dict[str, tuple[str, dict[str, Any]]] = {
    # method 0 and compression 1: higher ones cost 4 times the processor for a tenth of the size
    "webp-lossless": ("WEBP", {"lossless": True, "quality": 0, "method": 0, "exact": True}),
    "png": ("PNG", {"compress_level": 1}),
}
_LOSSY: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
    "webp": lambda quality: ("WEBP", {"quality": quality, "method": 2}),
    "avif": lambda quality: ("AVIF", {"quality": quality, "speed": 10, "max_threads": 1}),
    "jpeg": lambda quality: ("JPEG", {"quality": quality, "subsampling": "4:4:4"}),
}
_QUALITY = re.compile(r"(webp|avif|jpeg)-(100|[1-9]?[0-9])")
#: Largest channel value of a picture called black, and largest spread within a channel of one called uniform.
BLACK_LEVEL, UNIFORM_SPREAD = 3, 3


def pixel_hash(picture: Picture) -> bytes:
    """16 bytes that name the picture: blake2b-128 over shape and pixels. Independent of any encoding.

    Raises:
        ValueError: not a picture as this module defines it.
    """
    _check(picture)
    digest = hashlib.blake2b(np.array(picture.shape, "<u4").tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


def is_lossless(format: str) -> bool:
    """Whether `decode` gives back exactly what `encode` got in this format.

    Raises:
        LakeError: no such format.
    """
    _settings(format)
    return format in _LOSSLESS


def encode(picture: Picture, format: str = DEFAULT_FORMAT) -> bytes:
    """The picture in ``webp-lossless``, ``png``, or ``webp-Q``, ``avif-Q``, ``jpeg-Q`` with a quality Q of 0 to 100.

    Equal pictures give equal bytes with equal versions of the libraries. Other Python threads run meanwhile.

    Raises:
        LakeError: no such format.
        ValueError: not a picture as this module defines it.
    """
    from PIL import Image

    kind, options = _settings(format)
    _check(picture)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def decode(content: bytes) -> Picture:
    """The picture in encoded bytes of any of the formats.

    Raises:
        CorruptImage: the bytes are not a whole picture.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("WEBP", "PNG", "AVIF", "JPEG")) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise CorruptImage(
            f"{len(content)} bytes starting {content[:8]!r} are not a whole WebP, PNG, AVIF or JPEG picture ({error}); "
            "re-materialise the run that they belong to"
        ) from error


def uniform_or_black(picture: Picture) -> str | None:
    """``black_image`` if no channel of any pixel is above 3, ``uniform_image`` if no channel spreads over more than 3.

    None otherwise. Most pictures are cleared by a few hundred pixels.
    """
    sample = picture[:: max(1, picture.shape[0] // 16), :: max(1, picture.shape[1] // 16)]
    if _spread(sample) > UNIFORM_SPREAD:
        return None
    if _spread(picture) > UNIFORM_SPREAD:
        return None
    return "black_image" if int(picture.max()) <= BLACK_LEVEL else "uniform_image"


def _spread(picture: Picture) -> int:
    return int(np.ptp(picture, axis=(0, 1)).max())


def _settings(format: str) -> tuple[str, dict[str, Any]]:
    if format in _LOSSLESS:
        return _LOSSLESS[format]
    match = _QUALITY.fullmatch(format)
    if match is None:
        raise LakeError(
            f"there is no image format {format!r}; use webp-lossless, png, or webp-Q, avif-Q, jpeg-Q with Q of 0 to 100"
        )
    return _LOSSY[match[1]](int(match[2]))


def _check(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"a picture is uint8 of shape (height, width, 3), not {picture.dtype} of {picture.shape}")
