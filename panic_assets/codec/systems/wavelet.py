"""Wavelets as systems: planes to coefficients in bands, and back.

Here belongs the way between components and :mod:`panic_assets.codec.lifting`, which has the transforms.

>>> import numpy as np
>>> from panic_assets.codec.core.world import World
>>> world = World(arena_bytes=1 << 20)
>>> eid = world.new_entity()
>>> planes = np.arange(3 * 5 * 7, dtype=np.int32).reshape(3, 5, 7)
>>> world.add_component(eid, Channels(t=world.arena.put(planes)))
>>> forth = world.pipe(eid).to(WaveletCDF53(levels=2))
>>> pyramid = forth.out(WaveletPyramid)
>>> pyramid.levels, len(pyramid.bands), pyramid.coefficients.shape
(2, 21, (3, 5, 7))
>>> back = forth.to(WaveletCDF53(mode="inverse")).out(Channels)
>>> bool((world.arena.view(back.t) == planes).all())
True
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from panic_assets.codec import components, lifting
from panic_assets.codec.components import Channels, Component, Latent, WaveletPyramid
from panic_assets.codec.core.arena import TensorRef
from panic_assets.codec.core.system import Mode, System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue


class _Wavelet(System):
    """:class:`Channels` (or :class:`Latent`) to a :class:`WaveletPyramid` of as many coefficients; back by the mode.

    Planes of int32 stay whole numbers and come back exactly; others are taken as float32. On the way back, levels are
    those of the pyramid.

    Args:
        levels: how often planes are halved, 0 to 16; None for as many as are worth their while at each size.
        planes: what is transformed and what the way back makes, :class:`Latent` where nothing is done across channels.
        mode: forward or inverse.

    Raises: :class:`UnfitValue` for other levels.
    """

    wavelet: components.Wavelet

    def __init__(
        self, levels: int | None = None, planes: type[Channels] | type[Latent] = Channels, mode: Mode = "encode"
    ) -> None:
        super().__init__(mode)
        if levels is not None and not 0 <= levels <= lifting.MOST_LEVELS:
            raise UnfitValue(f"levels {levels}: give 0 to {lifting.MOST_LEVELS}, or None for as many as are useful")
        self.levels = levels
        self.planes = planes

    @property
    def accepts(self) -> tuple[type[Component], ...]:
        """Channels and latents, ``planes`` first; a pyramid on the way back."""
        if self.mode == "decode":
            return (WaveletPyramid,)
        return (Channels, Latent) if self.planes is Channels else (Latent, Channels)

    @property
    def produced(self) -> tuple[type[Component], ...]:
        """A pyramid; ``planes`` on the way back."""
        return (WaveletPyramid,) if self.mode == "encode" else (self.planes,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Transform each entity's planes.

        Raises: :class:`UnfitValue` for planes without values, and for a pyramid of another wavelet or with bands that
        are not those of its size.
        """
        for eid in eids:
            if self.mode == "encode":
                world.add_component(eid, self._forward(world, eid))
            else:
                world.add_component(eid, self._inverse(world, eid))

    def _forward(self, world: World, eid: int) -> WaveletPyramid:
        source = world.get_component(eid, self.source)
        assert isinstance(source, Channels | Latent)
        planes = world.arena.view(_tensor(source))
        if not planes.size:
            raise UnfitValue(f"entity {eid}: planes {planes.shape} have no values; give at least one")
        channels, height, width = planes.shape
        levels = lifting.useful_levels(height, width) if self.levels is None else self.levels
        values = planes if planes.dtype == np.int32 else planes.astype(np.float32, copy=False)
        return WaveletPyramid(
            coefficients=world.arena.put(lifting.forward(values, levels, self.wavelet)),
            bands=lifting.bands(channels, height, width, levels),
            wavelet=self.wavelet,
        )

    def _inverse(self, world: World, eid: int) -> Channels | Latent:
        pyramid = world.get_component(eid, WaveletPyramid)
        if pyramid.wavelet != self.wavelet:
            raise UnfitValue(f"entity {eid}: a pyramid of {pyramid.wavelet}; {self.name} undoes {self.wavelet} alone")
        channels, height, width = pyramid.coefficients.shape
        if pyramid.bands != lifting.bands(channels, height, width, pyramid.levels):
            raise UnfitValue(f"entity {eid}: {len(pyramid.bands)} bands that are not those of {self.wavelet}")
        found = world.arena.put(lifting.inverse(world.arena.view(pyramid.coefficients), pyramid.levels, self.wavelet))
        return Channels(t=found) if self.planes is Channels else Latent(z=found)


class WaveletCDF53(_Wavelet):
    """:class:`Channels` to :class:`WaveletPyramid` by CDF 5/3, or back."""

    wavelet = "cdf53"


class WaveletHaar(_Wavelet):
    """:class:`Channels` to :class:`WaveletPyramid` by Haar, or back."""

    wavelet = "haar"


def _tensor(source: Channels | Latent) -> TensorRef:
    return source.t if isinstance(source, Channels) else source.z
