"""Measures of likeness: values known by hand, identities, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec import metrics
from panic_assets.codec.metrics import UnlikePictures


def _flat(value: int, *shape: int) -> np.ndarray:
    return np.full(shape, value, np.uint8)


def _noisy(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _luminance(a: float, b: float) -> float:
    """SSIM of two flat pictures, by the formula on paper."""
    a, b, constant = a / 255, b / 255, 0.0001
    return (2 * a * b + constant) / (a * a + b * b + constant)


def test_a_picture_is_like_itself() -> None:
    picture = _noisy(0, 70, 90, 3)
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == pytest.approx(1)
    assert metrics.ms_ssim(picture, picture) == pytest.approx(1)


def test_psnr_of_a_known_error() -> None:
    a, b = _flat(100, 8, 8, 3), _flat(100, 8, 8, 3)
    b[0, 0, 0] = 100 + 16  # 256 spread over 192 values
    assert metrics.mse(a, b) == pytest.approx(256 / 192)
    assert metrics.psnr(a, b) == pytest.approx(10 * np.log10(255**2 * 192 / 256))


def test_flat_pictures_differ_by_luminance_alone() -> None:
    a, b = _flat(60, 200, 200, 3), _flat(90, 200, 200, 3)
    assert metrics.ssim(a, b) == pytest.approx(_luminance(60, 90))
    # Contrast and structure of nothing are 1 at every scale; luminance counts at the coarsest alone.
    assert metrics.ms_ssim(a, b) == pytest.approx(_luminance(60, 90) ** 0.1333, rel=1e-4)


def test_each_channel_counts_alike() -> None:
    a, b = _flat(60, 200, 200, 3), _flat(60, 200, 200, 3)
    b[..., 2] = 90
    assert metrics.ssim(a, b) == pytest.approx((2 + _luminance(60, 90)) / 3)


def test_scales_are_those_into_which_the_window_fits() -> None:
    assert [len(metrics.scale_weights(side)) for side in (1, 21, 22, 43, 44, 64, 87, 88, 175, 176, 2000)] == [
        1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    assert all(sum(metrics.scale_weights(side)) == pytest.approx(1) for side in (5, 30, 64, 100, 256))
    assert metrics.scale_weights(64)[0] == pytest.approx(0.0448 / (0.0448 + 0.2856 + 0.3001))


def test_one_scale_is_plain_ssim() -> None:
    a, b = _noisy(1, 20, 20, 3) // 4, _noisy(2, 20, 20, 3) // 4 + 100
    assert metrics.ms_ssim(a, b) == pytest.approx(
        np.mean([max(metrics.ssim(a[..., c], b[..., c]), 0) for c in range(3)])
    )


def test_ssim_against_a_slow_copy_of_its_definition() -> None:
    a, b = _noisy(3, 14, 13), _noisy(4, 14, 13)
    taps = np.exp(-np.square(np.arange(-5, 6)) / 4.5)
    kernel = np.outer(taps, taps) / taps.sum() ** 2
    found = []
    for y in range(4):
        for x in range(3):
            p, q = a[y : y + 11, x : x + 11] / 255, b[y : y + 11, x : x + 11] / 255
            mp, mq = (kernel * p).sum(), (kernel * q).sum()
            vp, vq, cov = (
                kernel * (u - v) * (w - z) for u, v, w, z in ((p, mp, p, mp), (q, mq, q, mq), (p, mp, q, mq))
            )
            found.append(
                (2 * mp * mq + 1e-4) * (2 * cov.sum() + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp.sum() + vq.sum() + 9e-4))
            )
    assert metrics.ssim(a, b) == pytest.approx(np.mean(found))


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.ms_ssim])
def test_more_noise_is_less_like(measure) -> None:
    picture = _noisy(5, 64, 64, 3) // 2 + 60
    noise = np.random.default_rng(6).standard_normal(picture.shape)
    worse = [measure(picture, np.clip(picture + noise * s, 0, 255).astype(np.uint8)) for s in (2, 8, 32)]
    assert worse[0] > worse[1] > worse[2]


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 200), (11, 10, 3)])
def test_small_and_long_pictures_are_measured(shape: tuple[int, ...]) -> None:
    picture = _noisy(7, *shape)
    assert metrics.ms_ssim(picture, picture) == pytest.approx(1)
    assert metrics.ms_ssim(picture, 255 - picture) < 1


def test_pictures_that_can_not_be_compared_are_refused() -> None:
    with pytest.raises(UnlikePictures, match="float64"):
        metrics.psnr(np.zeros((4, 4)), _flat(0, 4, 4))
    with pytest.raises(UnlikePictures, match=r"\(4, 4\) and \(4, 5\)"):
        metrics.ssim(_flat(0, 4, 4), _flat(0, 4, 5))
    with pytest.raises(UnlikePictures, match="shape"):
        metrics.mse(_flat(0, 0, 4), _flat(0, 0, 4))
