"""Softening of pictures by a Gaussian, in whole numbers.

Here belongs the filter with its system. A coarse layer that a residual completes must come out the same everywhere,
so nothing here is summed in floating point.

>>> import numpy as np
>>> blurred(np.array([[0, 0, 255, 0, 0]], np.uint8), sigma=1.0).tolist()
[[15, 62, 102, 62, 15]]
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from panic_assets.codec.components import RGB, BlurRGB, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.on_pictures import OnPictures

_BITS = 20
_LARGEST_SIGMA = 64.0
_REACH = 3
"""The taps reach that many sigmas to each side."""


def taps(sigma: float) -> np.ndarray:
    """Weights of a Gaussian in units of 2**-20, int64, of odd number, symmetric, with a sum of exactly 2**20.

    Raises: :class:`UnfitValue` for a sigma (in pixels) that is not in (0, 64].
    """
    if not 0 < sigma <= _LARGEST_SIGMA:
        raise UnfitValue(f"sigma {sigma}; give more than 0 and at most {_LARGEST_SIGMA:g} pixels")
    radius = math.ceil(_REACH * sigma)
    weights = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    whole = np.rint(weights / weights.sum() * (1 << _BITS)).astype(np.int64)
    whole[radius] += (1 << _BITS) - whole.sum()
    return whole


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """A picture (uint8, two axes or three) softened along its first two axes and rounded; edges are mirrored.

    Raises: as :func:`taps`.
    """
    weights = taps(sigma)
    radius = len(weights) // 2
    total = pixels
    # Values reach 8 + 20 bits after the rows, and 8 + 40 after the columns.
    for axis, kind in ((0, np.int32), (1, np.int64)):
        side = total.shape[axis]
        border = [(radius, radius) if other == axis else (0, 0) for other in range(total.ndim)]
        padded = np.moveaxis(np.pad(total.astype(kind), border, mode="symmetric"), axis, 0)
        # The taps are symmetric: two neighbours at a time.
        total = weights[radius].astype(kind) * padded[radius : radius + side]
        for distance in range(1, radius + 1):
            before, after = radius - distance, radius + distance
            pair = padded[before : before + side] + padded[after : after + side]
            pair *= weights[after].astype(kind)
            total += pair
        total = np.moveaxis(total, 0, axis)
    return ((total + (1 << (2 * _BITS - 1))) >> (2 * _BITS)).astype(np.uint8)


class GaussianBlur(OnPictures):
    """:class:`RGB` (or :class:`ReconRGB`, if selected) to :class:`BlurRGB`. Raises: as :func:`taps`."""

    accepts = RGB, ReconRGB
    produced = (BlurRGB,)

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        taps(sigma)
        self.sigma = float(sigma)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Soften each entity's picture, opacity included."""
        for eid in eids:
            picture = self.picture(world, eid)
            pix = world.arena.put(blurred(world.arena.view(picture.pix), self.sigma))
            world.add_component(eid, BlurRGB(pix=pix, colorspace=picture.colorspace, sigma=self.sigma))
