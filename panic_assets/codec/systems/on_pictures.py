"""What systems over pictures have in common: finding the picture that was selected, and its original.

Here belongs nothing that changes a pixel.
"""

from __future__ import annotations

from panic_assets.codec.components import RGB, Picture
from panic_assets.codec.core.system import System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue

SHAPE = "picture_shape"
"""Where an entity's metadata keep the shape of the picture that its latents are of: a decoder cuts to it."""


class OnPictures(System):
    """A system whose ``accepts`` are pictures."""

    def picture(self, world: World, eid: int) -> Picture:
        """The entity's picture of the type that is read."""
        component = world.get_component(eid, self.source)
        assert isinstance(component, Picture)
        return component

    def pair(self, world: World, eid: int) -> tuple[Picture, Picture]:
        """The original (:class:`RGB`) and the one that is read. Raises: :class:`UnfitValue` for two colour spaces."""
        original, other = world.get_component(eid, RGB), self.picture(world, eid)
        if original.colorspace != other.colorspace:
            raise UnfitValue(
                f"entity {eid}: RGB is {original.colorspace}, {type(other).__name__} {other.colorspace}; convert one"
            )
        return original, other
