"""The shipped codec model does what its card says, on captions that nothing was trained on."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from panic_assets.codec.bd_rate import bd_rate
from panic_assets.codec.training import evaluate, images
from panic_assets.paths import project_dir

FOLDER = project_dir() / "data" / "models" / "latent-codec"


@pytest.fixture(scope="module")
def curves() -> dict[str, list[dict[str, float]]]:
    pictures = list(images.generated("test", "TinyScenes", 64, 6, 4321))
    return {
        "latent": evaluate.curve(pictures, evaluate.Shipped(FOLDER).at_all_levels()),
        "AVIF": evaluate.curve(pictures, evaluate.at_qualities("AVIF")),
    }


def test_it_is_a_few_megabytes() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix in {".onnx", ".npz"}) < 4e6


def test_bytes_and_quality_rise_with_the_level(curves: dict[str, list[dict[str, float]]]) -> None:
    """On a few pictures a level may be a little worse than the one before, but not than the one below that."""
    payload, psnr = ([point[key] for point in curves["latent"]] for key in ("payload_bytes", "psnr_db"))
    assert all(a < b for a, b in pairwise(payload)), payload
    assert all(b > a - 0.3 for a, b in pairwise(psnr)), psnr
    assert all(a < b for a, b in zip(psnr, psnr[2:], strict=False)), psnr


def test_on_the_pictures_of_the_card_every_level_is_better_than_the_one_before() -> None:
    told: dict[str, Any] = json.loads((FOLDER / "evaluation.json").read_text())
    for name, found in told["results"].items():
        for key in ("payload_bytes", "psnr_db", "ms_ssim"):
            values = [point[key] for point in found["curves"]["latent"]]
            assert all(a < b for a, b in pairwise(values)), (name, key, values)


@pytest.mark.parametrize("size", ["file_bytes", "payload_bytes"])
def test_it_needs_a_third_less_than_avif(curves: dict[str, list[dict[str, float]]], size: str) -> None:
    ours, theirs = ([[p[key] for p in curves[name]] for key in (size, "ms_ssim_db")] for name in ("latent", "AVIF"))
    assert bd_rate(*ours, *theirs) < -0.33


def test_the_card_s_evaluation_is_of_the_test_split() -> None:
    told: dict[str, Any] = json.loads((FOLDER / "evaluation.json").read_text())
    assert told["split"] == "test"
    for name in ("generated at 64", "generated at 256"):
        assert told["results"][name]["bd_rate"]["AVIF"]["ms_ssim_db"]["file_bytes"] < -0.3


def test_the_smallest_picture_is_coded() -> None:
    whole, payload, decoded = evaluate.Shipped(FOLDER).code(np.full((1, 1, 3), 200, np.uint8), 8)
    assert decoded.shape == (1, 1, 3)
    assert payload < whole < 100
