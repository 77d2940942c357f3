"""Wavelets as systems: any size comes back, whole numbers exactly, and nothing grows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from panic_assets.codec.components import Channels, Latent, WaveletPyramid
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue, UnmetDependency
from panic_assets.codec.lifting import bands
from panic_assets.codec.systems.wavelet import WaveletCDF53, WaveletHaar
from panic_assets_tests.codec.systems.planes import holding, smooth, whole

# Odd, not square, no powers of two, lines, a single value; the second came back with one row more elsewhere.
SHAPES = [(4, 8, 8), (4, 53, 80), (3, 64, 96), (1, 1, 1), (2, 1, 37), (5, 41, 1), (4, 17, 23), (1, 2, 2)]


@pytest.mark.parametrize("wavelet", [WaveletCDF53, WaveletHaar])
@pytest.mark.parametrize("shape", SHAPES)
def test_planes_of_any_size_come_back_in_their_size(
    wavelet: type[WaveletCDF53 | WaveletHaar], shape: tuple[int, int, int]
) -> None:
    for planes, most in ((whole(*shape), 0.0), (smooth(*shape), 1e-5)):
        for levels in (None, 0, 1, 4, 16):
            world, eid = holding(planes)
            forth = world.pipe(eid).to(wavelet(levels))
            pyramid = forth.out(WaveletPyramid)
            assert pyramid.coefficients.shape == planes.shape  # as many coefficients as values
            assert pyramid.levels == (pyramid.levels if levels is None else levels)
            made = world.arena.view(forth.to(wavelet(mode="inverse")).out(Channels).t)
            assert made.dtype == planes.dtype
            assert np.abs(made - planes).max() <= most


def test_one_level_of_haar_is_means_and_differences_of_neighbours() -> None:
    planes = smooth(2, 32, 48)
    world, eid = holding(planes)
    made = world.arena.view(world.pipe(eid).to(WaveletHaar(1)).out(WaveletPyramid).coefficients)
    down = [planes[:, 1::2] - planes[:, ::2], (planes[:, 1::2] + planes[:, ::2]) / 2]
    for half, place in zip(down, (slice(16, None), slice(0, 16)), strict=True):
        np.testing.assert_allclose(made[:, place, 24:], half[:, :, 1::2] - half[:, :, ::2], atol=1e-5)
        np.testing.assert_allclose(made[:, place, :24], (half[:, :, 1::2] + half[:, :, ::2]) / 2, atol=1e-5)


def test_levels_that_are_too_many_harm_nothing_and_warn_of_nothing() -> None:
    planes = smooth(4, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for levels in (4, 16):
            world, eid = holding(planes)
            both = world.pipe(eid).to(WaveletCDF53(levels)).to(WaveletCDF53(mode="inverse"))
            assert np.abs(world.arena.view(both.out(Channels).t) - planes).max() < 1e-5


@pytest.mark.parametrize("levels", [-1, 17])
def test_levels_that_can_not_be_are_refused(levels: int) -> None:
    with pytest.raises(UnfitValue, match=f"levels {levels}: give 0 to 16"):
        WaveletCDF53(levels)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_floats_of_other_widths_are_taken_as_float32(dtype: str) -> None:
    world, eid = holding(smooth(1, 9, 7).astype(dtype))
    pyramid = world.pipe(eid).to(WaveletCDF53()).out(WaveletPyramid)
    assert pyramid.coefficients.dtype == np.float32


def test_latents_are_taken_if_they_are_selected_or_meant() -> None:
    planes = smooth(4, 12, 10)
    world = World(1 << 20)
    eid = world.new_entity()
    world.add_component(eid, Latent(z=world.arena.put(planes)))
    forth = world.pipe(eid).select(Latent).to(WaveletCDF53())
    again = world.pipe(eid).to(WaveletCDF53(planes=Latent))
    view = world.arena.view
    assert (view(forth.out(WaveletPyramid).coefficients) == view(again.out(WaveletPyramid).coefficients)).all()
    world.remove_component(eid, Latent)
    back = forth.to(WaveletCDF53(planes=Latent, mode="inverse")).out(Latent)
    assert np.abs(view(back.z) - planes).max() < 1e-5
    with pytest.raises(UnmetDependency, match="would not find Channels"):
        world.pipe(eid).to(WaveletCDF53()).execute()


def test_batches_of_many_sizes_are_as_if_alone() -> None:
    world, eids = World(1 << 22), []
    for shape in SHAPES:
        eids.append(world.new_entity())
        world.add_component(eids[-1], Channels(t=world.arena.put(whole(*shape))))
    for shape, pyramid in zip(SHAPES, world.pipe(eids).to(WaveletHaar()).out(WaveletPyramid), strict=True):
        alone, eid = holding(whole(*shape))
        other = alone.pipe(eid).to(WaveletHaar()).out(WaveletPyramid)
        assert (world.arena.view(pyramid.coefficients) == alone.arena.view(other.coefficients)).all()
        assert pyramid.bands == other.bands


def test_what_can_not_be_undone_is_refused() -> None:
    world, eid = holding(whole(1, 8, 6))
    pipe = world.pipe(eid).to(WaveletHaar(2))
    pyramid = pipe.out(WaveletPyramid)
    with pytest.raises(UnfitValue, match="a pyramid of haar; WaveletCDF53 decode undoes cdf53 alone"):
        pipe.to(WaveletCDF53(mode="inverse")).execute()
    turned = bands(1, 8, 6, 2)[::-1]
    world.add_component(eid, WaveletPyramid(coefficients=pyramid.coefficients, bands=turned, wavelet="haar"))
    with pytest.raises(UnfitValue, match="7 bands that are not those"):
        world.pipe(eid).to(WaveletHaar(mode="inverse")).execute()


def test_planes_without_values_are_refused() -> None:
    world, eid = holding(np.zeros((3, 0, 5), np.float32))
    with pytest.raises(UnfitValue, match="have no values"):
        world.pipe(eid).to(WaveletCDF53()).execute()
