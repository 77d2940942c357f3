"""A second reader of packed bitstreams, of plain Python, written from docs/codec-sdk.md and nothing else."""

from __future__ import annotations

import struct
import zlib
from math import prod

import numpy as np
import pytest

from panic_assets.codec.components import Bitstream, Channels, QuantParams, WaveletPyramid
from panic_assets.codec.packing import packed
from panic_assets.codec.systems.ans import ANSDecode, ANSEncode
from panic_assets.codec.systems.quantise import LOSSLESS, Quantise
from panic_assets.codec.systems.wavelet import WaveletCDF53
from panic_assets_tests.codec.systems.planes import entered, holding, smooth, whole
from panic_assets_tests.codec.test_document import BitNumbers, Numbers, Words, bands, far, table, to_planes


def _numbers(bits: BitNumbers, kinds: list[str]) -> list[int]:
    found: list[int] = []
    known: dict[str, int] = {}
    for kind in kinds:
        before = known[kind] if kind in known else found[-1] if found else 0
        found.append(before + bits.signed())
        known[kind] = found[-1]
    return found


def _step(number: int) -> float:
    return (8 + number % 8) / 16 * 2.0 ** (number // 8)


def read(data: bytes) -> tuple[list[list[list[float]]], int, tuple[int, ...]]:
    """Coefficients of planes that have bands, levels, and the shape of the picture."""
    assert data[:4] == bytes.fromhex("9b504201")
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(data[:-4])
    numbers = Numbers(data[4:-4])
    bits = numbers.bits()
    shape = tuple(bits.number() for _ in range(bits.number()))
    picture = tuple(bits.number() for _ in range(bits.number()))
    wavelet, kind, levels = bits.number(), bits.number(), bits.number() - 1
    assert wavelet == 0
    assert levels >= 0
    parts = bands(*shape, levels)
    of_bands, before = [], 0
    for _ in parts:
        before += bits.signed()
        of_bands.append(before)
    form, _, count = bits.number(), bits.number(), bits.number()
    assert count == len(parts)
    if form == 1:
        dead_zone, offset = bits.number() / 64, bits.number() / 64
        steps = [_step(number) for number in _numbers(bits, [part[2] for part in parts])]
    else:
        dead_zone, offset, *steps = struct.unpack_from(f"<{2 + count}d", numbers.rest())
        numbers.place += 8 * (2 + count)
    tables = [table(numbers) for _ in range(max(of_bands) + 1)]
    words = Words(numbers.rest())
    symbols, escaped, start = [0] * prod(shape), [], 0
    places: dict[int, list[int]] = {}
    for (_, _, _, _, _, high, wide), own in zip(parts, of_bands, strict=True):
        places.setdefault(own, []).extend(range(start, start + high * wide))
        start += high * wide
    for own in sorted(places):
        lowest, row, escape = tables[own]
        for place in places[own]:
            index = words.read(row + [escape] * bool(escape)) if len(row) > 1 or escape else 0
            symbols[place] = index + lowest
            if index == len(row):
                escaped.append((place, lowest, lowest + len(row) - 1))
    for (place, lowest, highest), v in zip(escaped, far(words, len(escaped)), strict=True):
        symbols[place] = highest + 1 + v // 2 if v % 2 else lowest - v // 2
    assert (words.state, words.words) == (0xC0DE, [])
    channels, height, width = shape
    planes = [[[0.0] * width for _ in range(height)] for _ in range(channels)]
    values = iter(symbols)
    for (channel, _, _, top, left, high, wide), step in zip(parts, steps, strict=True):
        for y in range(top, top + high):
            for x in range(left, left + wide):
                s = next(values)
                size = (abs(s) + dead_zone - 0.5 - offset) * step if s else 0
                value = size if s > 0 else -size
                planes[channel][y][x] = round(value) if kind else value
    return planes, levels, picture


@pytest.mark.parametrize("levels", [None, 0, 2])
def test_planes_without_loss_are_read_as_the_page_says(levels: int | None) -> None:
    planes = whole(2, 21, 30)
    planes[0, 3, 4] = 70_000  # beyond the table
    world, eid = holding(planes)
    pipe = world.pipe(eid) | WaveletCDF53(levels) | Quantise(params=LOSSLESS) | ANSEncode()
    coefficients, found, _ = read(packed(world, pipe.out(Bitstream)))
    assert to_planes(coefficients, found, 1) == planes.tolist()


@pytest.mark.parametrize("quantiser", [Quantise(9), Quantise(params=QuantParams(steps=(0.1,), offset=0.11))])
def test_steps_in_both_forms_are_read_as_the_page_says(quantiser: Quantise) -> None:
    world, eid = holding(smooth(3, 19, 26))
    world.metadata[eid]["picture_shape"] = (152, 208, 3)
    data = packed(world, (world.pipe(eid) | WaveletCDF53() | quantiser | ANSEncode()).out(Bitstream))
    coefficients, levels, picture = read(data)
    other, pipe = entered(data)
    pipe = pipe | ANSDecode() | Quantise(mode="decode")
    pyramid = pipe.out(WaveletPyramid)
    np.testing.assert_allclose(other.arena.view(pyramid.coefficients), coefficients, rtol=1e-6)
    assert (levels, picture) == (pyramid.levels, (152, 208, 3))
    assert (pipe | WaveletCDF53(mode="inverse")).out(Channels).t.shape == (3, 19, 26)
