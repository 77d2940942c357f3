"""Measuring: what is counted of each setting, in real codecs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from panic_assets.codec import metrics
from panic_assets.codec.comparing import FEW, MANY, OURS, RIVALS, measure, measure_all, settings
from panic_assets.codec.containers import payload_bytes
from panic_assets.codec.drift import Drift
from panic_assets_tests.codec.scenes import scene

PICTURES = [scene(48, 64, seed=seed) for seed in range(2)]


@pytest.mark.parametrize("qualities", [FEW, MANY])
def test_settings_have_names_of_their_own_and_every_codec_several_qualities(qualities: tuple) -> None:
    tried = settings(qualities=qualities)
    assert len({one.name for one in tried}) == len(tried)
    assert {one.codec for one in tried} == {OURS, *RIVALS, "PNG"}
    assert [one.quality for one in tried if one.codec == OURS] == [*qualities[0], None]


def test_a_row_has_the_means_of_files_and_of_likeness() -> None:
    (setting,) = [one for one in settings() if one.name == "AVIF 4:4:4 50"]
    found = measure(setting, PICTURES)
    files = [setting.encode(picture) for picture in PICTURES]
    copies = [setting.decode(file) for file in files]
    assert found.byte_size == np.mean([len(file) for file in files])
    assert found.payload_size == np.mean([payload_bytes(file) for file in files])
    assert found.bits_per_pixel == pytest.approx(8 * found.byte_size / (48 * 64))
    pairs = list(zip(PICTURES, copies, strict=True))
    assert found.ms_ssim == pytest.approx(np.mean([metrics.ms_ssim(a, b) for a, b in pairs]))
    error = np.mean([metrics.mse(a, b) for a, b in pairs])
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / error))
    assert (found.drift, found.drift_p95) == (None, None)
    assert found.pictures == 2
    assert found.encode_ms > 0


def test_colours_of_avif_are_whole_only_where_it_is_told_so() -> None:
    """At the highest quality what halved colours lose is all that is left."""
    rows = {name: _named(f"{name} 97") for name in ("AVIF", "AVIF 4:4:4")}
    pictures = [np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8).repeat(1, 0)]
    assert measure(rows["AVIF 4:4:4"], pictures).psnr > measure(rows["AVIF"], pictures).psnr + 3


def test_all_settings_in_turn_with_drift_and_progress() -> None:
    tried = [_named(name) for name in ("WebP 45", "latent lossless", "PNG lossless")]
    heard: list[tuple[int, int]] = []
    means = Drift(lambda shown: np.array([picture.mean((0, 1)) for picture in shown]), PICTURES)
    rows = measure_all(tried, PICTURES, means, lambda done, total: heard.append((done, total)))
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [row.codec for row in rows] == ["WebP", OURS, "PNG"]
    for row in rows[1:]:
        assert (row.psnr, row.ms_ssim) == (float("inf"), pytest.approx(1))
        assert (row.drift, row.drift_p95) == pytest.approx((0, 0), abs=1e-12)
    assert rows[0].drift is not None
    assert rows[0].drift_p95 is not None
    assert 0 < rows[0].drift <= rows[0].drift_p95


def _named(name: str):
    return next(one for one in settings(qualities=MANY) if one.name == name)
