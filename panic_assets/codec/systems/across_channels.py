"""What transforms across channels have in common: latents to channels and back.

Here belongs the reading and writing of components. The transforms are in ``hadamard`` and ``klt``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from panic_assets.codec.components import Channels, Component, Latent
from panic_assets.codec.core.system import System
from panic_assets.codec.core.world import World


class AcrossChannels(System):
    """:class:`Latent` to :class:`Channels` of the same shape and type; back in the other mode."""

    @property
    def accepts(self) -> tuple[type[Component], ...]:
        """Latents, or channels on the way back."""
        return (Latent,) if self.mode == "encode" else (Channels,)

    @property
    def produced(self) -> tuple[type[Component], ...]:
        """Channels, or latents on the way back."""
        return (Channels,) if self.mode == "encode" else (Latent,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Transform each entity. Raises: :class:`UnfitValue` for planes that the transform can't take."""
        for eid in eids:
            if self.mode == "encode":
                planes = world.arena.view(world.get_component(eid, Latent).z)
                world.add_component(eid, Channels(t=world.arena.put(self.transformed(planes))))
            else:
                planes = world.arena.view(world.get_component(eid, Channels).t)
                world.add_component(eid, Latent(z=world.arena.put(self.transformed(planes))))

    @abstractmethod
    def transformed(self, planes: np.ndarray) -> np.ndarray:
        """Planes (channels, h, w) in the direction of ``mode``."""
