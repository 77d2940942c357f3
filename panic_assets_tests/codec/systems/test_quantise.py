"""Quantisation as a system: a step for each band, rounded and not cut, better with every quality."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from panic_assets.codec.components import Bitstream, Channels, QuantParams, Symbols, WaveletPyramid
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.ans import ANSEncode
from panic_assets.codec.systems.quantise import LOSSLESS, QUALITIES, Quantise
from panic_assets.codec.systems.wavelet import WaveletCDF53, WaveletHaar
from panic_assets_tests.codec.scenes import scene
from panic_assets_tests.codec.systems.planes import holding, smooth, whole


def _pixels(height: int, width: int, seed: int) -> np.ndarray:
    return np.moveaxis(scene(height, width, 3, seed), 2, 0).astype(np.float32)


def _there_and_back(planes: np.ndarray, quantiser: Quantise) -> tuple[np.ndarray, int, QuantParams]:
    """What comes back, the bytes between, and the parameters."""
    world, eid = holding(planes)
    forth = world.pipe(eid).to(WaveletCDF53()).to(quantiser).to(ANSEncode())
    coded, params = forth.out(Bitstream), forth.out(Symbols).params
    back = forth.to(Quantise(mode="decode")).to(WaveletCDF53(mode="inverse")).out(Channels)
    return world.arena.view(back.t).copy(), coded.data.nbytes + len(coded.tables), params


@pytest.mark.parametrize(
    ("planes", "coarsest"),
    [
        (smooth(4, 64, 64), 2.0),
        (smooth(4, 53, 80, 1), 2.0),
        (smooth(3, 96, 41, 2) * 1000, 2000.0),
        (_pixels(80, 120, 3), 64.0),
    ],
)
def test_error_falls_and_bytes_rise_with_every_quality(planes: np.ndarray, coarsest: float) -> None:
    errors, sizes = [], []
    for quality in QUALITIES:
        made, size, params = _there_and_back(planes, Quantise(quality, coarsest=coarsest))
        assert params.quality == quality
        errors.append(float(np.square(made - planes).mean()))
        sizes.append(size)
    assert all(after < before for before, after in pairwise(errors))
    assert all(after > before for before, after in pairwise(sizes))
    assert errors[-1] < errors[0] / 50


def test_the_unit_of_the_planes_changes_nothing_but_the_unit() -> None:
    planes = smooth(2, 40, 40)
    first, size, params = _there_and_back(planes, Quantise(8, coarsest=2.0))
    again, other_size, other = _there_and_back(planes * np.float32(256), Quantise(8, coarsest=512.0))
    np.testing.assert_array_equal(first * np.float32(256), again)
    assert (size, [256 * step for step in params.steps]) == (other_size, list(other.steps))


def test_defect_every_band_is_coded_by_its_own_step() -> None:
    world, eid = holding(smooth(4, 64, 64) * 3)
    pipe = world.pipe(eid).to(WaveletCDF53(3)).to(Quantise(12))
    symbols, pyramid = pipe.out(Symbols), pipe.out(WaveletPyramid)
    assert len(set(symbols.params.steps)) > 4
    coefficients, numbers = world.arena.view(pyramid.coefficients), world.arena.view(symbols.data)
    for band, step in zip(symbols.bands, symbols.params.steps, strict=True):
        place = (
            band.channel,
            slice(band.top, band.top + band.height),
            slice(band.left, band.left + band.width),
        )
        assert np.abs(numbers[place] * step - coefficients[place]).max() <= step * symbols.params.dead_zone * 1.0001


def test_defect_values_are_rounded_and_not_cut_off() -> None:
    world = World(1 << 20)
    eid = world.new_entity()
    values = np.array([[[-1.6, -1.4, -0.4, 0.4, 0.6, 1.4, 1.6, 200.3]]], np.float32)
    world.add_component(eid, Channels(t=world.arena.put(values)))
    symbols = world.pipe(eid).to(WaveletCDF53(0)).to(Quantise(params=QuantParams(steps=(1.0,)))).out(Symbols)
    assert world.arena.view(symbols.data).tolist() == [[[-2, -1, 0, 0, 1, 1, 2, 200]]]


def test_there_is_a_dead_zone_where_it_saves() -> None:
    params = _there_and_back(smooth(4, 64, 64), Quantise(8))[2]
    assert params.dead_zone > 0.5
    assert 0 < params.offset < 0.5


@pytest.mark.parametrize("shape", [(3, 37, 50), (1, 1, 1), (2, 1, 64)])
def test_whole_numbers_lose_nothing_with_a_step_of_one(shape: tuple[int, int, int]) -> None:
    planes = whole(*shape)
    made, _, params = _there_and_back(planes, Quantise(params=LOSSLESS))
    assert made.dtype == np.int32
    assert (made == planes).all()
    assert set(params.steps) == {1.0}


def test_whole_numbers_may_be_coded_with_loss_and_stay_whole() -> None:
    planes = whole(3, 40, 33)
    made = _there_and_back(planes, Quantise(6, coarsest=80.0))[0]
    assert made.dtype == np.int32
    assert 0 < np.abs(made - planes).mean() < 20


def test_steps_of_a_haar_pyramid_are_weighed_by_haar() -> None:
    world, eid = holding(smooth(1, 32, 32))
    steps = {}
    for wavelet in (WaveletHaar, WaveletCDF53):
        steps[wavelet] = world.pipe(eid).to(wavelet(3)).to(Quantise(10)).out(Symbols).params.steps
    assert steps[WaveletHaar] != steps[WaveletCDF53]


def test_what_can_not_be_quantised_is_refused() -> None:
    for quality in (0, 17):
        with pytest.raises(UnfitValue, match=f"quality {quality}: give 1 to 16"):
            Quantise(quality)
    for coarsest in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UnfitValue, match="coarsest"):
            Quantise(coarsest=coarsest)
    world, eid = holding(smooth(1, 8, 8))
    with pytest.raises(UnfitValue, match="3 steps for 4 bands"):
        world.pipe(eid).to(WaveletCDF53(1)).to(Quantise(params=QuantParams(steps=(1.0,) * 3))).execute()
    world, eid = holding(np.full((1, 4, 4), np.nan, np.float32))
    with pytest.raises(UnfitValue, match="no numbers"):
        world.pipe(eid).to(WaveletCDF53(1)).to(Quantise()).execute()
