"""Pictures by the learned transform, with a layer in whole numbers for what it left and for transparency.

Here belongs method 2. The transform is :mod:`panic_assets.codec.latent`'s, the form of the body
:mod:`panic_assets.codec.bitstream.layered`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from panic_assets.codec.bitstream import layered
from panic_assets.codec.bitstream.fields import Fields
from panic_assets.codec.bitstream.head import Head
from panic_assets.codec.bitstream.layered import LEVELS, OtherArithmetic
from panic_assets.codec.bitstream.methods import LEARNED
from panic_assets.codec.latent import LearnedModel, model_for

__all__ = ["LEVELS", "OtherArithmetic", "decode", "describe", "encode"]

describe = layered.describe


def encode(picture: np.ndarray, channels: int, model: LearnedModel, level: int, step: int) -> bytes:
    """A file of a picture.

    Args:
        picture: uint8 (h, w) or (h, w, 3 or 4).
        channels: 1, 3 or 4.
        model: the transform.
        level: of the transform, 0 to 15.
        step: of the layer that codes what the transform left: 1 for exactly, 0 for none. Where it would not come
            nearer to the picture at this step, the file is the one without.
    """
    latents, drawn = model.encode(layered.colours_of(picture), level)
    return layered.write(LEARNED, picture, channels, model.identity, level, step, latents, lambda: drawn)


def decode(head: Head, fields: Fields, model: Any, exact: bool) -> np.ndarray:
    """The picture.

    Raises:
        WrongBytes: of a body that no encoder wrote.
        WrongModel: for a file of another model.
        MissingModel: where the model that is named is none.
        OtherArithmetic: where a file promises exact pixels, ``exact`` is set, and others come out.
    """

    def draw(identity: bytes, latents: bytes, level: int) -> np.ndarray:
        return model_for(identity, model).decode(latents, head.height, head.width, level)

    return layered.read(head, fields, draw, exact)
