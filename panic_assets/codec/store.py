"""The codec as one of the formats that the lake stores pictures in.

Here belongs what :class:`panic_assets.image_formats.Room` asks of a room: coding by a number from 1 to 16 or without
loss, and the lake's errors in place of the codec's.
"""

from __future__ import annotations

import hashlib

import numpy as np

from panic_assets.codec.api import DEFAULT_MODEL, PLANS, compress, decompress
from panic_assets.codec.bitstream.layered import colours_of
from panic_assets.codec.errors import CodecError, MissingModel, WrongBytes
from panic_assets.codec.latent import open_model
from panic_assets.lake.errors import CorruptImage, UnreadableImage
from panic_assets.lake.images import LARGEST


def encode(picture: np.ndarray, quality: int | None, latents: np.ndarray | None = None) -> bytes:
    """A file of a picture, uint8 (h, w, 3), by the bundled model; None for one without loss.

    ``latents`` are another model's, and of no use here.

    Raises:
        CodecError: the codec is not all there; see :func:`problem`.
    """
    return compress(picture, lossless=True) if quality is None else compress(picture, quality=quality)


def decode(content: bytes) -> np.ndarray:
    """The picture of a file, uint8 (h, w, 3); grey as three equal colours, without alpha.

    Raises:
        CorruptImage: bytes are missing or were changed.
        UnreadableImage: it needs what is not there: the codec's packages, the model that wrote it, a newer version.
    """
    try:
        return colours_of(decompress(content, limit=LARGEST))
    except WrongBytes as error:
        raise CorruptImage(
            f"{len(content)} bytes are not a whole latent picture ({error}); re-materialise the run that they belong to"
        ) from error
    except CodecError as error:
        raise UnreadableImage(f"a latent picture of {len(content)} bytes can't be read here: {error}") from error


def identity(quality: int | None) -> str:
    """What decides, beside the picture, which one is read back: the bundled model, and what the quality asks of it."""
    if quality is None:
        return "exact"
    model = open_model(DEFAULT_MODEL)
    digest = hashlib.sha256(model.identity)
    digest.update((model.folder / "encoder.onnx").read_bytes())
    digest.update(repr(PLANS[quality - 1]).encode())
    return digest.hexdigest()[:16]


def problem(quality: int | None) -> str | None:
    """What is missing, with the remedy; None if nothing is."""
    if quality is None:
        return None
    try:
        model = open_model(DEFAULT_MODEL)
    except MissingModel as error:
        return f"can't be written: {error}"
    if not (model.folder / "encoder.onnx").is_file():
        return f"can't be written: {model.folder} has no encoder.onnx; put it back"
    return None
