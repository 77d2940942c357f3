"""The residual layer: nothing lost at scale 1, bounded errors above."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.components import RGB, BlurRGB, ReconRGB, Residual
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.metrics import MetricPSNR
from panic_assets.codec.systems.residual import ResidualAdd, ResidualCompute, completed, lacking


def _every_pair() -> tuple[np.ndarray, np.ndarray]:
    """All 65536 pairs of an original value and a coarse one."""
    values = np.arange(256, dtype=np.uint8)
    return np.repeat(values, 256).reshape(256, 256), np.tile(values, 256).reshape(256, 256)


def test_scale_one_loses_nothing() -> None:
    original, coarse = _every_pair()
    np.testing.assert_array_equal(completed(coarse, lacking(original, coarse), 1), original)


@pytest.mark.parametrize("scale", [1.5, 2, 7, 64, 1000])
def test_errors_are_at_most_half_the_scale(scale: float) -> None:
    original, coarse = _every_pair()
    error = completed(coarse, lacking(original, coarse, scale), scale) - original.astype(float)
    assert np.abs(error).max() <= scale / 2 + 0.5 * (scale % 1 > 0)


def test_a_finer_scale_is_nearer() -> None:
    original, coarse = _every_pair()
    errors = [
        np.square(completed(coarse, lacking(original, coarse, s), s) - original.astype(float)).mean()
        for s in (1, 2, 4, 8, 16)
    ]
    assert errors == sorted(errors)


@pytest.mark.parametrize("scale", [0, 0.5, -1, float("nan"), float("inf")])
def test_scales_under_one_are_refused(scale: float) -> None:
    with pytest.raises(UnfitValue, match="scale"):
        ResidualCompute(scale)
    with pytest.raises(UnfitValue, match="scale"):
        lacking(*_every_pair(), scale)


def test_unlike_shapes_are_refused() -> None:
    with pytest.raises(UnfitValue, match=r"\(2, 3\) and a coarse one of \(3, 2\)"):
        lacking(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(UnfitValue, match="differences"):
        completed(np.zeros((2, 3), np.uint8), np.zeros((2, 3, 3), np.int16), 1)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (1, 5, 4)])
def test_a_blur_and_its_residual_are_the_picture(shape: tuple[int, ...]) -> None:
    world = World(arena_bytes=1 << 20)
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    eid = world.spawn_image(image, colorspace="linear")
    pipe = world.pipe(eid).to(GaussianBlur(2.0)).select(BlurRGB).to(ResidualCompute())
    assert pipe.out(Residual).scale == 1
    world.remove_component(eid, RGB)  # the decoder has no original
    recon = pipe.select(BlurRGB).to(ResidualAdd()).out(ReconRGB)
    np.testing.assert_array_equal(world.arena.view(recon.pix), image)
    assert recon.colorspace == "linear"


def test_a_coarse_reconstruction_is_replaced_by_a_better_one() -> None:
    world = World(arena_bytes=1 << 20)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    eid = world.spawn_image(image)
    world.add_component(eid, ReconRGB(pix=world.arena.put(image // 32 * 32)))
    pipe = world.pipe(eid).to(MetricPSNR())
    pipe.execute()
    before = world.metadata[eid]["psnr"]
    pipe.to(ResidualCompute(scale=4)).to(ResidualAdd()).to(MetricPSNR()).execute()
    assert world.metadata[eid]["psnr"] > before + 10


def test_pictures_of_two_colour_spaces_are_not_subtracted() -> None:
    world = World(arena_bytes=1 << 20)
    eid = world.spawn_image(np.zeros((4, 4), np.uint8))
    world.add_component(eid, ReconRGB(pix=world.get_component(eid, RGB).pix, colorspace="linear"))
    with pytest.raises(UnfitValue, match="RGB is sRGB, ReconRGB linear"):
        world.pipe(eid).to(ResidualCompute()).execute()
