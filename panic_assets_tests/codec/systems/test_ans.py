"""Entropy coding as systems: nothing is lost, little is added, and the bitstream alone is enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.components import Bitstream, QuantParams, Symbols
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import ArenaFull, WrongBytes
from panic_assets.codec.systems.ans import ANSDecode, ANSEncode
from panic_assets.codec.systems.on_pictures import SHAPE
from panic_assets.codec.systems.quantise import Quantise
from panic_assets.codec.systems.wavelet import WaveletCDF53
from panic_assets_tests.codec.systems.planes import holding, smooth

PARAMS = QuantParams(steps=(1.0,))
RNG = np.random.default_rng(0)
KINDS = {
    "uniform": RNG.integers(-128, 128, 20_000),
    "skewed": RNG.geometric(0.8, 20_000) - 1,
    "one symbol": np.full(5000, -3),
    "two": np.array([5, -5]),
    "one": np.array([7]),
    "none": np.array([], int),
    "far apart": np.array([0] * 500 + [-(2**31), 2**31 - 1]),
}


def _coded(values: np.ndarray) -> tuple[World, Bitstream]:
    world = World(1 << 22)
    eid = world.new_entity()
    world.add_component(eid, Symbols(data=world.arena.put(values), params=PARAMS))
    return world, world.pipe(eid).to(ANSEncode()).out(Bitstream)


def _decoded(world: World, bitstream: Bitstream) -> np.ndarray:
    """In a world that never saw the symbols."""
    other = World(1 << 22)
    eid = other.new_entity()
    data = other.arena.put(world.arena.view(bitstream.data))
    other.add_component(eid, bitstream.model_copy(update={"data": data}))
    symbols = other.pipe(eid).to(ANSDecode()).out(Symbols)
    assert symbols.params == (bitstream.params or PARAMS)
    return other.arena.view(symbols.data)


@pytest.mark.parametrize("kind", KINDS)
def test_symbols_of_every_kind_come_back(kind: str) -> None:
    values = KINDS[kind].astype(np.int32)
    made = _decoded(*_coded(values))
    assert made.dtype == np.int32
    assert np.array_equal(made, values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=40), st.sampled_from([1, 2]))
def test_any_symbols_in_any_shape_come_back(drawn: list[int], axes: int) -> None:
    values = np.array(drawn, np.int32)
    values = values if axes == 1 else values.reshape(1, -1)
    made = _decoded(*_coded(values))
    assert made.shape == values.shape
    assert np.array_equal(made, values)


def test_defect_symbols_of_one_byte_need_no_conversion() -> None:
    values = RNG.integers(-128, 128, 999).astype(np.int8)
    assert np.array_equal(_decoded(*_coded(values)), values)


def test_bytes_are_near_the_entropy_and_tables_are_small() -> None:
    for kind, most_of_table in (("uniform", 500), ("skewed", 20)):
        _, bitstream = _coded(KINDS[kind].astype(np.int32))
        counts = np.unique(KINDS[kind], return_counts=True)[1]
        ideal = counts @ np.log2(counts.sum() / counts) / 8
        assert ideal - 1 <= bitstream.data.nbytes < 1.01 * ideal + 4
        assert len(bitstream.tables) < most_of_table
    assert _coded(KINDS["skewed"].astype(np.int32))[1].data.nbytes * 6 < KINDS["skewed"].size


def test_one_symbol_alone_costs_its_table_and_nothing_more() -> None:
    bitstream = _coded(KINDS["one symbol"].astype(np.int32))[1]
    assert (bitstream.data.nbytes, len(bitstream.tables)) == (0, 2)


def test_bands_alike_share_tables_and_save_bytes() -> None:
    world, eid = holding(smooth(4, 64, 64))
    pipe = world.pipe(eid).to(WaveletCDF53()).to(Quantise(12))
    symbols, coded = pipe.out(Symbols), pipe.to(ANSEncode()).out(Bitstream)
    assert 1 < len(set(coded.of_bands)) < len(coded.bands)
    flat = _coded(world.arena.view(symbols.data).ravel())[1]
    assert coded.data.nbytes + len(coded.tables) < flat.data.nbytes + len(flat.tables)


def test_the_way_back_goes_through_bands_and_the_size_of_the_picture() -> None:
    world, eid = holding(smooth(3, 21, 34))
    world.metadata[eid][SHAPE] = (161, 270, 3)
    pipe = world.pipe(eid).to(WaveletCDF53()).to(Quantise(9)).to(ANSEncode())
    bitstream, symbols = pipe.out(Bitstream), pipe.out(Symbols)
    other = World(1 << 20)
    eid = other.new_entity()
    data = other.arena.put(world.arena.view(bitstream.data))
    other.add_component(eid, bitstream.model_copy(update={"data": data}))
    again = other.pipe(eid).to(ANSDecode()).out(Symbols)
    assert (other.arena.view(again.data) == world.arena.view(symbols.data)).all()
    assert again.model_dump(exclude={"data"}) == symbols.model_dump(exclude={"data"})
    assert other.metadata[eid][SHAPE] == (161, 270, 3)


def test_other_bytes_tables_or_counts_are_told() -> None:
    world, bitstream = _coded(KINDS["skewed"].astype(np.int32))
    changes = [
        {"n_symbols": 19_999, "shape": ()},
        {"n_symbols": 20_001, "shape": (20_001,)},
        {"tables": b"\x20"},
        {"tables": bitstream.tables + b"\0"},
        {"tables": b""},
        {"of_bands": (1,)},
        {"data": world.arena.sub(bitstream.data, slice(0, bitstream.data.nbytes - 9))},
        {"data": world.arena.sub(bitstream.data, slice(0, 5))},
    ]
    for change in changes:
        with pytest.raises(WrongBytes):
            _decoded(world, bitstream.model_copy(update=change))


def test_more_symbols_than_there_is_room_for_are_refused_at_once() -> None:
    world, bitstream = _coded(KINDS["one symbol"].astype(np.int32))
    with pytest.raises(ArenaFull):
        _decoded(world, bitstream.model_copy(update={"n_symbols": 1 << 40, "shape": ()}))
    world, bitstream = _coded(KINDS["uniform"].astype(np.int32))
    with pytest.raises(WrongBytes, match="can't be in"):
        _decoded(world, bitstream.model_copy(update={"n_symbols": 900_000, "shape": ()}))
