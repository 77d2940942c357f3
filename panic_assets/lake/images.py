"""Pictures: hashing, encoding, decoding, and the cheapest doubts about them.

A picture is a ``numpy.ndarray`` of uint8, shape (height, width, 3), RGB, C-contiguous. Here belongs nothing that knows
where pictures are kept or which model made them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from panic_assets.image_formats import DEFAULT_FORMAT, FORMATS, IN_WORDS, ImageFormat, room_of
from panic_assets.lake.errors import CorruptImage, LakeError

Picture = np.ndarray[Any, np.dtype[np.uint8]]

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
#: Pixels above which nothing is decoded: as many as Pillow takes on.
LARGEST = 2 * (1024 * 1024 * 1024 // 4 // 3)
_LONGEST_WEBP = 16_383
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
    return _form(format).is_lossless


def kept_all(label: str) -> bool:
    """Whether a picture that the lake has under this label is pixel for pixel what its model gave.

    Beside the formats there are labels of pictures from elsewhere, such as ``webp``: kinds without a quality, and
    ``unknown``. Of these nobody knows what was lost.
    """
    return label in FORMATS and FORMATS[label].is_lossless


def identity(format: str) -> str:
    """The format, and of one that another room codes also what is read back depends on besides, such as its model.

    Raises:
        LakeError: no such format.
        PanicError: the room is not all there.
    """
    form = _form(format)
    return format if form.room is None else f"{format}@{form.room.code.identity(form.quality)}"


def encode(picture: Picture, format: str = DEFAULT_FORMAT, latents: np.ndarray | None = None) -> bytes:
    """The picture in one of the formats of :mod:`panic_assets.image_formats`.

    Equal pictures give equal bytes with equal versions of the libraries. Other Python threads run meanwhile.
    ``latents`` are what a VAE drew the picture from, float (channels, h, w), where that is known; few formats use them.

    Raises:
        LakeError: no such format.
        PanicError: what a format needs is not installed; see `panic_assets.image_formats.problem`.
        ValueError: not a picture as this module defines it.
    """
    from PIL import Image

    form = _form(format)
    _check(picture)
    if form.room is not None:
        content: bytes = form.room.code.encode(np.ascontiguousarray(picture), form.quality, latents)
        return content
    kind, options = _LOSSLESS[form.kind] if form.quality is None else _LOSSY[form.kind](form.quality)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def decode(content: bytes) -> Picture:
    """The picture in encoded bytes of any of the formats.

    Raises:
        CorruptImage: the bytes are not a whole picture.
        UnreadableImage: they may well be one, but what reads it is not installed here.
    """
    from PIL import Image

    room = room_of(content)
    if room is not None:
        picture: Picture = room.code.decode(content)
        return picture
    try:
        with Image.open(io.BytesIO(content), formats=("WEBP", "PNG", "AVIF", "JPEG")) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise CorruptImage(
            f"{len(content)} bytes starting {content[:8]!r} are not a whole WebP, PNG, AVIF, JPEG or latent picture "
            f"({error}); re-materialise the run that they belong to"
        ) from error


def portable(format: str, content: bytes) -> tuple[str, bytes]:
    """A stored picture as other programs can read it, and its format: as it is, or else written anew without loss.

    Raises: as `decode`.
    """
    if room_of(content) is None:
        return format, content
    picture = decode(content)
    other = DEFAULT_FORMAT if max(picture.shape) <= _LONGEST_WEBP else "png"
    return other, encode(picture, other)


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


def _form(format: str) -> ImageFormat:
    form = FORMATS.get(format)
    if form is None:
        raise LakeError(f"there is no image format {format!r}; use {IN_WORDS}")
    return form


def _check(picture: Picture) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"a picture is uint8 of shape (height, width, 3), not {picture.dtype} of {picture.shape}")
