"""The Hadamard transform across four channels: sums and differences, no multiplication but by a half.

Here belongs the fixed transform; one that is fitted to latents is in ``klt``.

>>> import numpy as np
>>> from panic_assets.codec.components import Channels, Latent
>>> from panic_assets.codec.core.world import World
>>> world = World(arena_bytes=1 << 20)
>>> eid = world.new_entity()
>>> world.add_component(eid, Latent(z=world.arena.put(np.full((4, 2, 2), 3, np.float32))))
>>> forth = world.pipe(eid).to(Hadamard4())
>>> world.arena.view(forth.out(Channels).t)[:, 0, 0].tolist()
[6.0, 0.0, 0.0, 0.0]
>>> world.arena.view(forth.to(Hadamard4(mode="inverse")).out(Latent).z)[:, 0, 0].tolist()
[3.0, 3.0, 3.0, 3.0]
"""

from __future__ import annotations

import numpy as np

from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.across_channels import AcrossChannels


def hadamard4(planes: np.ndarray) -> np.ndarray:
    """Transform floats (4, h, w) by the orthonormal Hadamard matrix in order of sequency, which is its own inverse.

    Errors keep their size in both directions. The order of the sums is fixed: the same bits on every platform.
    Raises: :class:`UnfitValue`.
    """
    if planes.ndim != 3 or planes.shape[0] != 4 or planes.dtype.kind != "f":
        raise UnfitValue(
            f"planes {planes.shape} {planes.dtype}; Hadamard4 takes floats (4, h, w), KLT any number of them"
        )
    a, b, c, d = planes.astype(np.result_type(planes, np.float32), copy=False)
    half = planes.dtype.type(0.5)
    sums = np.stack([(a + b) + (c + d), (a + b) - (c + d), (a - b) - (c - d), (a - b) + (c - d)])
    return (sums * half).astype(planes.dtype, copy=False)


class Hadamard4(AcrossChannels):
    """:class:`Latent` to :class:`Channels` by :func:`hadamard4`, or back."""

    def transformed(self, planes: np.ndarray) -> np.ndarray:
        """The same in both directions."""
        return hadamard4(planes)
