"""Quantisation as a system: coefficients to integers, and back.

Here belongs the way between components and :mod:`panic_assets.codec.quantising`, and what a quality means for steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from panic_assets.codec import quantising
from panic_assets.codec.components import Component, QuantParams, Symbols, WaveletPyramid
from panic_assets.codec.core.system import Mode, System
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue

LOSSLESS = QuantParams(steps=(1.0,))
"""Rounding to whole numbers, which leaves int32 coefficients as they are."""

QUALITIES = range(1, 17)

_QUALITIES_PER_HALF = 3.0
_ON_LADDER = 6  # the step of theory, searched at about 2**6, has finer and coarser ones on the ladder


class Quantise(System):
    """:class:`WaveletPyramid` to :class:`Symbols`; in the other mode back, by what the symbols bring along.

    Each band has a step of its own, the one with the least of error and bits together.

    Args:
        quality: 1 to 16; three more halve the steps. Of no meaning where ``params`` are given, and on the way back.
        params: steps, one for each band or one for all, dead zone and offset, in the place of a quality.
        coarsest: the step in the planes that quality 1 is worth: 2 suits latents of variance 1 (16 is then worth
            1/16), 64 suits pixels.
        mode: encode or decode.

    Raises: :class:`UnfitValue` for another quality, or a coarsest step that is not above 0.
    """

    def __init__(
        self,
        quality: int = 8,
        params: QuantParams | None = None,
        *,
        coarsest: float = 2.0,
        mode: Mode = "encode",
    ) -> None:
        super().__init__(mode)
        if quality not in QUALITIES:
            raise UnfitValue(f"quality {quality}: give {QUALITIES[0]} to {QUALITIES[-1]}")
        if not 0 < coarsest < math.inf:
            raise UnfitValue(f"coarsest {coarsest}: give a step above 0, in the unit of the planes")
        self.quality = quality
        self.params = params
        self.coarsest = float(coarsest)

    @property
    def accepts(self) -> tuple[type[Component], ...]:
        """A pyramid; symbols on the way back."""
        return (WaveletPyramid,) if self.mode == "encode" else (Symbols,)

    @property
    def produced(self) -> tuple[type[Component], ...]:
        """Symbols; a pyramid on the way back."""
        return (Symbols,) if self.mode == "encode" else (WaveletPyramid,)

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Quantise each entity's coefficients, or undo it.

        Raises: :class:`UnfitValue` where steps and bands are not as many, or coefficients are not finite or have too
        many steps for 24 bits.
        """
        for eid in eids:
            if self.mode == "encode":
                world.add_component(eid, self._encode(world, world.get_component(eid, WaveletPyramid)))
            else:
                world.add_component(eid, _decode(world, world.get_component(eid, Symbols)))

    def _encode(self, world: World, pyramid: WaveletPyramid) -> Symbols:
        coefficients = world.arena.view(pyramid.coefficients)
        params = self.params or self._best(coefficients, pyramid)
        if len(params.steps) == 1:
            params = params.model_copy(update={"steps": params.steps * len(pyramid.bands)})
        return Symbols(
            data=world.arena.put(quantising.quantise(coefficients, pyramid.bands, params)),
            params=params,
            bands=pyramid.bands,
            wavelet=pyramid.wavelet,
            coefficients="int32" if coefficients.dtype == np.int32 else "float32",
        )

    def _best(self, coefficients: np.ndarray, pyramid: WaveletPyramid) -> QuantParams:
        step = self.coarsest * 2.0 ** ((1 - self.quality) / _QUALITIES_PER_HALF)
        # A power of two changes no digit: steps are found where the ladder is long, and brought back exactly.
        scale = 2.0 ** (_ON_LADDER - math.floor(math.log2(step)))
        if not np.isfinite(coefficients).all():
            raise UnfitValue(f"coefficients {coefficients.shape} with values that are no numbers")
        found = quantising.best_params(
            coefficients * np.float32(scale), pyramid.bands, quantising.slope_of(step * scale), pyramid.wavelet
        )
        steps = tuple(one / scale for one in found.steps)
        return found.model_copy(update={"steps": steps, "quality": self.quality})


def _decode(world: World, symbols: Symbols) -> WaveletPyramid:
    data = world.arena.view(symbols.data)
    dtype = np.int32 if symbols.coefficients == "int32" else np.float32
    found = quantising.dequantise(data, symbols.bands, symbols.params, dtype)
    return WaveletPyramid(coefficients=world.arena.put(found), bands=symbols.bands, wavelet=symbols.wavelet)
