"""What a coarse picture lacks: taken before coding, added after decoding.

Here belongs the layer that lifts a transform's ceiling of quality, up to nothing lost at all.

>>> import numpy as np
>>> original, coarse = np.array([[10, 250]], np.uint8), np.array([[20, 240]], np.uint8)
>>> lacking(original, coarse, scale=4).tolist()
[[-2, 2]]
>>> completed(coarse, lacking(original, coarse, scale=4), scale=4).tolist()
[[12, 248]]
>>> completed(coarse, lacking(original, coarse), scale=1).tolist()
[[10, 250]]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panic_assets.codec.components import RGB, BlurRGB, ReconRGB, Residual
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.on_pictures import OnPictures


def lacking(original: np.ndarray, coarse: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Differences of two uint8 pictures in units of ``scale`` (at least 1), rounded, int16.

    Raises: :class:`UnfitValue` for pictures of different shapes or a smaller scale.
    """
    if original.shape != coarse.shape:
        raise UnfitValue(
            f"a picture of shape {original.shape} and a coarse one of {coarse.shape}; crop or pad one of them"
        )
    return np.rint((original.astype(np.int16) - coarse.astype(np.int16)) / _unit(scale)).astype(np.int16)


def completed(coarse: np.ndarray, differences: np.ndarray, scale: float) -> np.ndarray:
    """The coarse uint8 picture with its differences added and held in 0..255: within scale / 2 of the original.

    Raises: :class:`UnfitValue` for different shapes.
    """
    if coarse.shape != differences.shape:
        raise UnfitValue(f"a coarse picture of shape {coarse.shape} and differences of {differences.shape}")
    return np.rint(np.clip(coarse + differences * np.float64(scale), 0, 255)).astype(np.uint8)


class ResidualCompute(OnPictures):
    """:class:`RGB` less :class:`ReconRGB` (or :class:`BlurRGB`, if selected) to :class:`Residual`.

    Args:
        scale: unit of the differences; errors of half of it remain, none with 1. At least 1.
    """

    accepts = ReconRGB, BlurRGB
    also_reads = (RGB,)
    produced = (Residual,)

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = _unit(scale)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Subtract for each entity. Raises: :class:`UnfitValue` for unlike shapes or colour spaces."""
        for eid in eids:
            original, coarse = self.pair(world, eid)
            view = world.arena.view
            differences = lacking(view(original.pix), view(coarse.pix), self.scale)
            world.add_component(eid, Residual(tensor=world.arena.put(differences), scale=self.scale))


class ResidualAdd(OnPictures):
    """:class:`ReconRGB` (or :class:`BlurRGB`, if selected) and :class:`Residual` to a better :class:`ReconRGB`."""

    accepts = ReconRGB, BlurRGB
    also_reads = (Residual,)
    produced = (ReconRGB,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Add for each entity. Raises: :class:`UnfitValue` for unlike shapes."""
        for eid in eids:
            residual, coarse = world.get_component(eid, Residual), self.picture(world, eid)
            view = world.arena.view
            pixels = completed(view(coarse.pix), view(residual.tensor), residual.scale)
            world.add_component(eid, ReconRGB(pix=world.arena.put(pixels), colorspace=coarse.colorspace))


def _unit(scale: float) -> float:
    """Raises: :class:`UnfitValue`."""
    if not 1 <= scale < np.inf:
        raise UnfitValue(f"scale {scale}; give at least 1 (the unit of 8-bit values, at which nothing is lost)")
    return float(scale)
