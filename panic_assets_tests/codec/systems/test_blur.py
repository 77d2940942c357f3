"""The Gaussian filter in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from panic_assets.codec.components import BlurRGB, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.blur import GaussianBlur, blurred, taps


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 1.0, 3.3, 64.0])
def test_taps_are_symmetric_and_sum_to_one(sigma: float) -> None:
    weights = taps(sigma)
    assert weights.sum() == 1 << 20
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights, weights[::-1])
    places = np.arange(len(weights)) - len(weights) // 2
    bell = np.exp(-0.5 * np.square(places / sigma))
    assert np.abs(weights - bell / bell.sum() * 2**20).max() < 20


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_it_is_the_gaussian_of_another_library(sigma: float) -> None:
    image = _noise(40, 30, 3)
    radius, expected = len(taps(sigma)) // 2, image.astype(np.float64)
    for axis in (0, 1):
        expected = gaussian_filter1d(expected, sigma, axis=axis, mode="reflect", radius=radius)
    assert np.abs(blurred(image, sigma) - expected).max() < 0.6


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1, 3), (2, 3, 4), (33, 20)])
def test_any_shape_keeps_its_shape_and_flat_stays_flat(shape: tuple[int, ...]) -> None:
    assert blurred(_noise(*shape), 5.0).shape == shape
    for value in (0, 1, 128, 255):
        np.testing.assert_array_equal(blurred(np.full(shape, value, np.uint8), 2.0), value)


def test_a_transposed_picture_gives_the_transposed_blur() -> None:
    image = _noise(20, 31)
    np.testing.assert_array_equal(blurred(image.T, 1.7), blurred(image, 1.7).T)


def test_wider_is_smoother() -> None:
    spreads = [blurred(_noise(64, 64), sigma).std() for sigma in (0.3, 1, 2, 4)]
    assert spreads == sorted(spreads, reverse=True)


@pytest.mark.parametrize("sigma", [0, -1, 65, float("nan"), float("inf")])
def test_other_sigmas_are_refused(sigma: float) -> None:
    with pytest.raises(UnfitValue, match="sigma"):
        GaussianBlur(sigma)


def test_the_system_keeps_sigma_and_colour_space_and_reads_a_decoded_picture_if_selected() -> None:
    world = World(arena_bytes=1 << 20)
    eid = world.spawn_image(_noise(9, 8), colorspace="linear")
    world.add_component(eid, ReconRGB(pix=world.arena.put(_noise(5, 4, 3))))
    blur = world.pipe(eid).to(GaussianBlur(2)).out(BlurRGB)
    assert (blur.sigma, blur.colorspace, blur.size) == (2.0, "linear", (9, 8))
    other = world.pipe(eid).select(ReconRGB).to(GaussianBlur(2)).out(BlurRGB)
    np.testing.assert_array_equal(world.arena.view(other.pix), blurred(_noise(5, 4, 3), 2))
