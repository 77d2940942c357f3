"""Likeness of a decoded picture to its original, written into the entity's metadata.

Here belong the systems alone; the measures themselves, and what they refuse, are in ``panic_assets.codec.metrics``.

>>> import numpy as np
>>> from panic_assets.codec.core.world import World
>>> from panic_assets.codec.systems.blur import GaussianBlur
>>> world = World(arena_bytes=1 << 20)
>>> eid = world.spawn_image(np.full((32, 32, 3), 100, np.uint8))
>>> world.pipe(eid).to(GaussianBlur()).select(BlurRGB).to(MetricSSIM()).execute()
>>> round(world.metadata[eid]["ssim"], 6)
1.0
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from panic_assets.codec import metrics
from panic_assets.codec.components import RGB, BlurRGB, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.systems.on_pictures import OnPictures


class Metric(OnPictures):
    """A measure of :class:`ReconRGB` (or :class:`BlurRGB`, if selected) against :class:`RGB`; adds no component.

    The value is kept as ``world.metadata[eid][key]``; an earlier one under that key is replaced.
    """

    accepts = ReconRGB, BlurRGB
    also_reads = (RGB,)
    produced = ()
    key: str

    def run(self, world: World, eids: Sequence[int]) -> None:
        """Measure each entity. Raises: :class:`UnlikePictures`, :class:`UnfitValue` for two colour spaces."""
        for eid in eids:
            original, decoded = self.pair(world, eid)
            view = world.arena.view
            world.metadata[eid][self.key] = self.measure(view(original.pix), view(decoded.pix))

    @abstractmethod
    def measure(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """The value for two uint8 pictures of one shape."""


class MetricMSE(Metric):
    """Mean squared error, key ``mse``."""

    key = "mse"

    def measure(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """In units of 8-bit values; 0 for equal pictures."""
        return metrics.mse(original, decoded)


class MetricPSNR(Metric):
    """Peak signal-to-noise ratio, key ``psnr``."""

    key = "psnr"

    def measure(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """In dB; infinite for equal pictures."""
        return metrics.psnr(original, decoded)


class MetricSSIM(Metric):
    """Structural similarity, key ``ssim``."""

    key = "ssim"

    def measure(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """At most 1, which equal pictures have."""
        return metrics.ssim(original, decoded)


class MetricMSSSIM(Metric):
    """Multi-scale structural similarity, key ``ms_ssim``."""

    key = "ms_ssim"

    def measure(self, original: np.ndarray, decoded: np.ndarray) -> float:
        """At most 1, which equal pictures have; see :func:`panic_assets.codec.metrics.ms_ssim` for small pictures."""
        return metrics.ms_ssim(original, decoded)
