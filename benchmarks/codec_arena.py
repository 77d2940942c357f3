"""What a picture's memory costs: the arena of a world against a block of zeros made for each picture.

Run with ``python -m benchmarks.codec_arena [--quick]``. Every way does the same for each picture: make or clear the
block, put the picture in, and write the tensors that coding it needs. The result is written to
``benchmarks/results/codec_arena.md``; the exit status is 1 if the arena costs a millisecond or more per picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets.codec.core.arena import Arena
from panic_assets.codec.core.world import World

TARGET_MS = 1.0
ARENA_BYTES = 512 << 20
_SIDES = (64, 256, 512)


@dataclass(frozen=True)
class ArenaCost:
    """Processor milliseconds per picture: the least and the median of all pictures."""

    way: str
    side: int
    least_ms: float
    median_ms: float


def arena_costs(pictures: int, side: int, arena_bytes: int = ARENA_BYTES) -> list[ArenaCost]:
    """Measure all ways over so many colour pictures of ``side`` x ``side``, in turn, in processor time.

    The cost of writing the same tensors into memory that is there already is taken off each: it is the coding's own.
    """
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    tensors = [np.ones((4, side // 8, side // 8), np.float32)] * 4 + [np.ones(side * side * 3 // 16, np.uint8)]
    world, ready = World(arena_bytes), np.empty(image.nbytes + sum(tensor.nbytes for tensor in tensors), np.uint8)

    def reused() -> None:
        world.clear()
        world.spawn_image(image)
        for tensor in tensors:
            world.arena.put(tensor)

    def made_anew() -> None:
        arena = Arena(arena_bytes)
        for tensor in (image, *tensors):
            arena.put(tensor)

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "one world, cleared for each picture": (reused, pictures),
        "a new arena for each picture": (made_anew, pictures),
        # Each of these takes a third of a second: a few tell enough.
        "a new bytearray for each picture": (
            lambda: _fill(np.frombuffer(bytearray(arena_bytes), np.uint8), (image, *tensors)),
            max(3, pictures // 50),
        ),
    }
    own = min(_times(lambda: _fill(ready, (image, *tensors)), pictures))
    costs = []
    for way, (action, count) in ways.items():
        times = np.maximum(np.array(_times(action, count)) - own, 0) * 1e3
        costs.append(ArenaCost(way, side, float(times.min()), float(np.median(times))))
    return costs


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pictures, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "codec_arena.md")
    options = parser.parse_args(argv)
    costs = [cost for side in _SIDES for cost in arena_costs(10 if options.quick else 200, side)]
    naive = {cost.side: cost.median_ms for cost in costs if "bytearray" in cost.way}
    rows = [
        [cost.way, f"{cost.side} x {cost.side}", cost.least_ms, cost.median_ms, naive[cost.side] / cost.median_ms]
        for cost in costs
    ]
    sections = [
        f"{machine()}. {versions('numpy', 'pydantic')}. Each block has {ARENA_BYTES >> 20} MiB. Every picture is put "
        "in with its latents, coefficients, symbols and bytes; milliseconds are processor time, less the time that "
        "writing the same into memory at hand takes. Target: the arena of a world under "
        f"{TARGET_MS:g} ms per picture.",
        markdown_table(["memory", "picture", "least ms", "median ms", "times faster than bytearray"], rows),
    ]
    write_results(options.output, "Memory of a picture", sections)
    print(options.output.read_text(encoding="utf-8"))
    return int(any(cost.median_ms >= TARGET_MS for cost in costs if "one world" in cost.way))


def _times(action: Callable[[], object], count: int) -> list[float]:
    """Processor seconds of each call, after one that is not counted."""
    action()
    times = []
    for _ in range(count):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return times


def _fill(block: np.ndarray, tensors: Sequence[np.ndarray]) -> None:
    place = 0
    for tensor in tensors:
        block[place : place + tensor.nbytes].view(tensor.dtype)[...] = tensor.ravel()
        place += tensor.nbytes


if __name__ == "__main__":
    raise SystemExit(main())
