"""Bitstreams as bytes: nothing else is needed to decode, and damage is told."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.components import Band, Bitstream, Channels, QuantParams, Symbols
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import ArenaFull, CodecError, UnfitValue, WrongBytes, WrongVersion
from panic_assets.codec.packing import MAGIC, packed, unpacked
from panic_assets.codec.systems.ans import ANSDecode, ANSEncode
from panic_assets.codec.systems.on_pictures import SHAPE
from panic_assets.codec.systems.quantise import LOSSLESS, Quantise
from panic_assets.codec.systems.wavelet import WaveletCDF53, WaveletHaar
from panic_assets_tests.codec.systems.planes import coded, decoded, entered, holding, smooth, whole


def _resealed(data: bytes) -> bytes:
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def _same(one: Bitstream, other: Bitstream) -> bool:
    return one.model_dump(exclude={"data"}) == other.model_dump(exclude={"data"})


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(1, 16), st.integers(0, 9))
def test_planes_of_any_size_come_back_from_the_bytes_alone(
    channels: int, height: int, width: int, quality: int, seed: int
) -> None:
    planes = smooth(channels, height, width, seed)
    made = decoded(coded(planes, quality))
    assert made.shape == planes.shape
    assert np.abs(made - planes).max() < 12 * 2.0 ** (-quality / 3) + 0.01


@pytest.mark.parametrize("wavelet", [WaveletCDF53, WaveletHaar])
def test_whole_numbers_come_back_exactly_from_the_bytes_alone(wavelet: type[WaveletCDF53 | WaveletHaar]) -> None:
    planes = whole(3, 37, 50)
    world, eid = holding(planes)
    pipe = world.pipe(eid).to(wavelet()).to(Quantise(params=LOSSLESS)).to(ANSEncode())
    other, back = entered(packed(world, pipe.out(Bitstream)))
    made = back.to(ANSDecode()).to(Quantise(mode="decode")).to(wavelet(mode="inverse")).out(Channels)
    assert (other.arena.view(made.t) == planes).all()


PARAMETERS = [
    QuantParams(steps=(1.0,)),
    QuantParams(steps=(0.1, 3.7, 1e-9), dead_zone=0.625, offset=1 / 64),
    QuantParams(steps=(2.0**-90, 1.125, 2.0**90), dead_zone=1.5, offset=31 / 64, quality=16),
    QuantParams(steps=(0.5,) * 9, dead_zone=0.51, offset=0.3, quality=1),
    QuantParams(steps=(1.0 + 2.0**-20,)),
]


@pytest.mark.parametrize("params", PARAMETERS)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 4), (1, 2, 1, 2, 1, 1, 1, 3)])
def test_every_form_of_a_bitstream_comes_back_as_it_was(params: QuantParams, shape: tuple[int, ...]) -> None:
    world = World(1 << 16)
    eid = world.new_entity()
    values = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape or (1,))
    world.add_component(eid, Symbols(data=world.arena.put(values), params=params, coefficients="int32", wavelet="haar"))
    world.metadata[eid][SHAPE] = (13, 17)
    bitstream = world.pipe(eid).to(ANSEncode()).out(Bitstream)
    for form in (bitstream, bitstream.model_copy(update={"params": None, "picture": ()})):
        other = World(1 << 16)
        again = unpacked(other, packed(world, form))
        assert _same(again, form)
        assert (other.arena.view(again.data) == world.arena.view(form.data)).all()


def test_bands_steps_and_tables_come_back_as_they_were() -> None:
    world, eid = holding(smooth(4, 53, 80))
    bitstream = world.pipe(eid).to(WaveletCDF53()).to(Quantise(11)).to(ANSEncode()).out(Bitstream)
    data = packed(world, bitstream)
    assert _same(unpacked(World(1 << 20), data), bitstream)
    overhead = len(data) - bitstream.data.nbytes - len(bitstream.tables)
    assert overhead < len(bitstream.bands) + 32  # a byte for each band's step and table, and little else


def test_bytes_grow_with_what_is_coded() -> None:
    sizes = [len(coded(smooth(4, side, side + 3), 10)) for side in (1, 4, 16, 64, 256)]
    assert sizes[0] < 50
    assert all(before < after for before, after in pairwise(sizes))


def test_every_cut_and_every_changed_bit_is_told() -> None:
    data = coded(smooth(2, 12, 9), 6)
    for end in range(len(data)):
        with pytest.raises(WrongBytes):
            unpacked(World(1 << 16), data[:end])
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises((WrongBytes, WrongVersion)):
            unpacked(World(1 << 16), bytes(changed))
    with pytest.raises(WrongBytes, match="checksum"):
        unpacked(World(1 << 16), data + b"\0")


def test_bytes_of_others_and_of_other_versions_are_told() -> None:
    data = coded(smooth(1, 8, 8), 6)
    for other in (b"", b"PNG", b"\x9bPL" + data[3:]):
        with pytest.raises(WrongBytes, match="no bitstream: it begins with"):
            unpacked(World(1 << 16), other)
    with pytest.raises(WrongVersion, match="version 2; 1 is known"):
        unpacked(World(1 << 16), _resealed(MAGIC + b"\x02" + data[4:]))


def test_hostile_bytes_with_a_checksum_that_fits_are_told_or_decoded() -> None:
    files = [coded(smooth(2, 12, 9), 6), coded(smooth(4, 20, 31), 12), _free()]
    rng, told, made = np.random.default_rng(0), 0, 0
    for number in range(1500):
        changed = bytearray(files[number % len(files)])
        for place in rng.integers(4, min(len(changed) - 4, 4 if number % 2 else 60) + 5, rng.integers(1, 4)):
            changed[min(place, len(changed) - 5)] = rng.integers(256)
        try:
            _, pipe = entered(_resealed(bytes(changed)), 1 << 20)
            with np.errstate(all="ignore"):
                pipe.to(ANSDecode()).to(Quantise(mode="decode")).to(WaveletCDF53(mode="inverse")).out(Channels)
            made += 1
        except (CodecError, ArenaFull):
            told += 1
    assert told > 500
    assert made > 20


def _free() -> bytes:
    """With steps that have no short form."""
    world, eid = holding(smooth(1, 9, 9))
    params = QuantParams(steps=(0.1,))
    pipe = world.pipe(eid).to(WaveletCDF53(2)).to(Quantise(params=params)).to(ANSEncode())
    return packed(world, pipe.out(Bitstream))


def test_more_symbols_than_are_allowed_are_refused() -> None:
    data = coded(smooth(1, 20, 20), 6)
    assert unpacked(World(1 << 16), data, limit=400).n_symbols == 400
    with pytest.raises(WrongBytes, match="399 symbols are the most"):
        unpacked(World(1 << 16), data, limit=399)


def test_what_has_no_bytes_is_refused() -> None:
    world = World(1 << 16)
    eid = world.new_entity()
    values = world.arena.put(np.zeros((1, 2, 4), np.int32))
    odd = (Band(0, 1, "LL", 0, 0, 1, 4), Band(0, 1, "HL", 1, 0, 1, 4))
    for update, told in (
        ({"bands": odd, "params": QuantParams(steps=(1.0,) * 2)}, "not those of 1 levels"),
        ({"params": QuantParams(steps=(1e-40,))}, "a step of 1e-40"),
        ({"params": QuantParams(steps=(1e40,))}, "a step of 1e[+]40"),
    ):
        symbols = Symbols(data=values, **({"params": QuantParams(steps=(1.0,))} | update))
        world.add_component(eid, symbols)
        with pytest.raises(UnfitValue, match=told):
            packed(world, world.pipe(eid).to(ANSEncode()).out(Bitstream))


_ELSEWHERE = """
import hashlib, sys
from panic_assets_tests.codec.systems.planes import coded, decoded, smooth
planes = smooth(4, 53, 80)
for quality in (3, 12):
    print(hashlib.sha256(coded(planes, quality)).hexdigest())
print(hashlib.sha256(decoded(sys.stdin.buffer.read()).tobytes()).hexdigest())
"""


def test_another_process_makes_the_same_bytes_and_the_same_planes_of_them() -> None:
    files = [coded(smooth(4, 53, 80), quality) for quality in (3, 12)]
    ran = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE],
        input=files[1],
        capture_output=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "7"},
    )
    expected = [*files, decoded(files[1]).tobytes()]
    assert ran.stdout.decode().split() == [hashlib.sha256(part).hexdigest() for part in expected]
    assert ran.stderr == b""  # no warning of any library
