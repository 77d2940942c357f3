"""Planes for systems that work on them, and the way through wavelet, quantiser and coder."""

from __future__ import annotations

import numpy as np

from panic_assets.codec.components import Bitstream, Channels
from panic_assets.codec.core.pipe import Pipe
from panic_assets.codec.core.world import World
from panic_assets.codec.packing import packed, unpacked
from panic_assets.codec.systems.ans import ANSDecode, ANSEncode
from panic_assets.codec.systems.quantise import Quantise
from panic_assets.codec.systems.wavelet import WaveletCDF53


def smooth(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Float32 (channels, height, width) of variance about 1: waves, an edge and a little noise, as latents have."""
    rng = np.random.default_rng(seed)
    down, along = np.mgrid[:height, :width] / 5
    made = []
    for _ in range(channels):
        waves = np.sin(down * rng.uniform(0.2, 1) + along * rng.uniform(0.2, 1) + rng.uniform(0, 6))
        edge = (down + along * rng.uniform(-1, 1) > rng.uniform(1, 5)) * rng.uniform(-1, 1)
        made.append(waves + edge + rng.normal(0, 0.1, (height, width)))
    return np.stack(made).astype(np.float32)


def whole(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Int32 (channels, height, width)."""
    return np.rint(40 * smooth(channels, height, width, seed)).astype(np.int32)


def holding(planes: np.ndarray, arena_bytes: int = 1 << 24) -> tuple[World, int]:
    """A world with one entity that has these channels."""
    world = World(arena_bytes)
    eid = world.new_entity()
    world.add_component(eid, Channels(t=world.arena.put(planes)))
    return world, eid


def coded(planes: np.ndarray, quality: int) -> bytes:
    """By CDF 5/3, packed."""
    world, eid = holding(planes)
    pipe = world.pipe(eid).to(WaveletCDF53()).to(Quantise(quality)).to(ANSEncode())
    return packed(world, pipe.out(Bitstream))


def entered(data: bytes, arena_bytes: int = 1 << 24) -> tuple[World, Pipe]:
    """Another world in which nothing is but a bitstream, and a pipe over its entity."""
    world = World(arena_bytes)
    eid = world.new_entity()
    world.add_component(eid, unpacked(world, data))
    return world, world.pipe(eid)


def decoded(data: bytes) -> np.ndarray:
    """The planes, from bytes alone."""
    world, pipe = entered(data)
    made = pipe.to(ANSDecode()).to(Quantise(mode="decode")).to(WaveletCDF53(mode="inverse")).out(Channels)
    return world.arena.view(made.t).copy()
