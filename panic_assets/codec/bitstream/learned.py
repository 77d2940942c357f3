"""Pictures by the learned transform, with a layer in whole numbers for what it left and for transparency.

Here belongs method 2. The transform is :mod:`panic_assets.codec.latent`'s, the form of the body
:mod:`panic_assets.codec.bitstream.layered`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from panic_assets.codec.bitstream import layered
from panic_assets.codec.bitstream.fields import Fields
from panic_assets.codec.bitstream.head import Head
from panic_assets.codec.bitstream.layered import LEVELS, OtherArithmetic
from panic_assets.codec.bitstream.methods import LEARNED
from panic_assets.codec.latent import LearnedModel, model_for

__all__ = ["LEVELS", "OtherArithmetic", "decode", "decode_alike", "describe", "encode"]

describe = layered.describe


def encode(
    pictures: np.ndarray, channels: int, model: LearnedModel, level: int, addition: layered.Addition
) -> list[bytes]:
    """A file of each of some pictures.

    Args:
        pictures: uint8 (n, h, w) or (n, h, w, 3 or 4).
        channels: 1, 3 or 4.
        model: the transform.
        level: of the transform, 0 to 15.
        addition: as :func:`panic_assets.codec.bitstream.layered.write`'s.
    """
    colours = np.stack([layered.colours_of(picture) for picture in pictures])
    return [
        layered.write(LEARNED, picture, channels, model.identity, level, addition, latents, draw)
        for picture, (latents, draw) in zip(pictures, model.encode(colours, level), strict=True)
    ]


def decode(head: Head, fields: Fields, model: Any, exact: bool) -> np.ndarray:
    """The picture.

    Raises:
        WrongBytes: of a body that no encoder wrote.
        WrongModel: for a file of another model.
        MissingModel: where the model that is named is none.
        OtherArithmetic: where a file promises exact pixels, ``exact`` is set, and others come out.
    """
    return decode_alike([(head, fields)], model, exact)[0]


def decode_alike(files: Sequence[tuple[Head, Fields]], model: Any, exact: bool) -> list[np.ndarray]:
    """The pictures of files of one size, level and model, in one run of the networks. Raises: as :func:`decode`."""
    bodies = [layered.body_of(*file) for file in files]
    first = files[0][0]
    chosen = model_for(bodies[0].identity, model)
    drawn = chosen.decode([body.latents for body in bodies], first.height, first.width, first.options % LEVELS)
    together = zip(files, bodies, drawn, strict=True)
    return [layered.picture_of(head, body, seen, exact) for (head, _), body, seen in together]
