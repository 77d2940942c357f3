"""The measuring systems: what they write down, and what they can't be made to compare."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from panic_assets.codec import metrics
from panic_assets.codec.components import RGB, BlurRGB, ReconRGB
from panic_assets.codec.core.world import World
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.metrics import SCALE_WEIGHTS, UnlikePictures
from panic_assets.codec.systems.blur import GaussianBlur
from panic_assets.codec.systems.metrics import Metric, MetricMSE, MetricMSSSIM, MetricPSNR, MetricSSIM

_ALL: dict[type[Metric], float] = {MetricMSE: 0.0, MetricPSNR: float("inf"), MetricSSIM: 1.0, MetricMSSSIM: 1.0}


def _pair(original: np.ndarray, decoded: np.ndarray) -> tuple[World, int]:
    world = World(arena_bytes=1 << 22)
    eid = world.spawn_image(original)
    world.add_component(eid, ReconRGB(pix=world.arena.put(decoded)))
    return world, eid


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (20, 30, 3), (70, 64, 4), (180, 176)])
@pytest.mark.parametrize("kind", _ALL)
def test_defect_a_perfect_reconstruction_scores_as_perfect(kind: type[Metric], shape: tuple[int, ...]) -> None:
    world, eid = _pair(_noise(*shape), _noise(*shape))
    world.pipe(eid).to(kind()).execute()
    assert world.metadata[eid] == {kind.key: pytest.approx(_ALL[kind])}


def test_defect_pictures_in_0_to_1_can_not_be_compared_with_those_in_0_to_255() -> None:
    world = World(arena_bytes=1 << 16)
    eid = world.spawn_image(_noise(8, 8))
    with pytest.raises(ValidationError, match="float32; pictures are uint8"):
        world.add_component(eid, ReconRGB(pix=world.arena.put((_noise(8, 8) / 255).astype(np.float32))))
    with pytest.raises(UnlikePictures, match="float64"):
        MetricPSNR().measure(_noise(8, 8), _noise(8, 8) / 255)


def test_values_are_those_of_the_measures() -> None:
    original, decoded = _noise(40, 48, 3), _noise(40, 48, 3) // 2 + 60
    world, eid = _pair(original, decoded)
    pipe = world.pipe(eid)
    for kind in _ALL:
        pipe.to(kind())
    pipe.execute()
    for key in ("mse", "psnr", "ssim", "ms_ssim"):
        assert world.metadata[eid][key] == getattr(metrics, key)(original, decoded)


def test_defect_ms_ssim_is_the_weighted_product_over_scales() -> None:
    original, decoded = np.full((200, 200), 60, np.uint8), np.full((200, 200), 90, np.uint8)
    world, eid = _pair(original, decoded)
    world.pipe(eid).to(MetricSSIM()).to(MetricMSSSIM()).execute()
    # Flat pictures differ in luminance alone, which counts at the coarsest of five scales.
    found = world.metadata[eid]
    assert found["ms_ssim"] == pytest.approx(found["ssim"] ** SCALE_WEIGHTS[-1], rel=1e-4)


def test_a_blur_is_measured_if_selected() -> None:
    world = World(arena_bytes=1 << 20)
    eids = world.spawn_images([_noise(16, 16), _noise(16, 16) // 8])
    world.pipe(eids).to(GaussianBlur()).select(BlurRGB).to(MetricMSE()).execute()
    assert world.metadata[eids[0]]["mse"] > world.metadata[eids[1]]["mse"] > 0
    assert world.query(RGB, BlurRGB) == eids  # nothing was added but what the blur did


def test_unlike_pictures_are_refused() -> None:
    world, eid = _pair(_noise(8, 8), _noise(8, 9))
    with pytest.raises(UnlikePictures, match=r"\(8, 8\) and \(8, 9\)"):
        world.pipe(eid).to(MetricSSIM()).execute()
    world, eid = _pair(_noise(8, 8), _noise(8, 8))
    linear = ReconRGB(pix=world.get_component(eid, RGB).pix, colorspace="linear")
    world.add_component(eid, linear)
    with pytest.raises(UnfitValue, match="RGB is sRGB, ReconRGB linear"):
        world.pipe(eid).to(MetricSSIM()).execute()
    assert "ssim" not in world.metadata[eid]
