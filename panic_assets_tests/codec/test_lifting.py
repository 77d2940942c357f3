"""Wavelets: exact on whole numbers of any shape, nothing padded, and weighed as they are."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.components import Wavelet
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.lifting import (
    MOST_LEVELS,
    bands,
    forward,
    forward53,
    forward_haar,
    inverse,
    inverse53,
    inverse_haar,
    norm,
    useful_levels,
)

WAVELETS: tuple[Wavelet, ...] = get_args(Wavelet)
SIDES = st.integers(1, 67)
LEVELS = st.integers(0, MOST_LEVELS)


@settings(max_examples=150, deadline=None)
@given(
    SIDES, SIDES, LEVELS, st.sampled_from(WAVELETS), st.sampled_from(["int16", "int32", "int64"]), st.integers(0, 99)
)
def test_whole_numbers_come_back(height: int, width: int, levels: int, wavelet: Wavelet, dtype: str, seed: int) -> None:
    limits = np.iinfo(dtype)
    planes = np.random.default_rng(seed).integers(limits.min, limits.max, (2, height, width), dtype, endpoint=True)
    before = planes.copy()
    made = forward(planes, levels, wavelet)
    assert made.dtype == planes.dtype
    assert made.shape == planes.shape
    assert np.array_equal(inverse(made, levels, wavelet), planes)
    assert np.array_equal(planes, before)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, LEVELS, st.sampled_from(WAVELETS), st.sampled_from(["float32", "float64"]))
def test_floats_come_back_but_for_rounding(height: int, width: int, levels: int, wavelet: Wavelet, dtype: str) -> None:
    planes = np.random.default_rng(height).standard_normal((height, width)).astype(dtype)
    made = inverse(forward(planes, levels, wavelet), levels, wavelet)
    assert made.dtype == planes.dtype
    assert np.abs(made - planes).max() < 1e-4


def _line_by_hand(values: list[int], wavelet: Wavelet) -> list[int]:
    """One level on one line, value by value, as a decoder in another language would be written from its definition."""
    n = len(values)
    if n == 1:
        return values

    def even(i: int) -> int:
        return values[i if i < n else 2 * (n - 1) - i]

    if wavelet == "haar":
        high = [values[i] - values[i - 1] for i in range(1, n, 2)]
        low = [values[2 * k] + (high[k] >> 1 if k < len(high) else 0) for k in range((n + 1) // 2)]
        return low + high
    high = [values[i] - ((even(i - 1) + even(i + 1)) >> 1) for i in range(1, n, 2)]
    low = []
    for k in range((n + 1) // 2):
        before, after = high[max(k - 1, 0)], high[min(k, len(high) - 1)]
        low.append(values[2 * k] + ((before + after + 2) >> 2))
    return low + high


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 12])
def test_a_level_is_what_its_definition_says(side: int, wavelet: Wavelet) -> None:
    line = np.random.default_rng(side).integers(-300, 300, side)
    wanted = _line_by_hand(line.tolist(), wavelet)
    assert forward(line[None], 1, wavelet)[0].tolist() == wanted
    assert forward(line[:, None], 1, wavelet)[:, 0].tolist() == wanted


def test_the_named_forms_are_the_two_wavelets() -> None:
    planes = np.random.default_rng(0).integers(0, 255, (3, 11, 14)).astype(np.int32)
    assert np.array_equal(forward53(planes, 2), forward(planes, 2, "cdf53"))
    assert np.array_equal(forward_haar(planes, 2), forward(planes, 2, "haar"))
    assert np.array_equal(inverse53(forward53(planes, 3), 3), planes)
    assert np.array_equal(inverse_haar(forward_haar(planes, 3), 3), planes)
    assert not np.array_equal(forward53(planes, 2), forward_haar(planes, 2))


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_planes_are_transformed_each_by_itself(wavelet: Wavelet) -> None:
    planes = np.random.default_rng(1).integers(-99, 99, (2, 5, 200, 130)).astype(np.int32)
    together = forward(planes, 3, wavelet)
    assert np.array_equal(together[1, 4], forward(planes[1, 4], 3, wavelet))
    assert np.array_equal(
        forward(planes[:, :, ::2, ::-1], 3, wavelet), forward(planes[:, :, ::2, ::-1].copy(), 3, wavelet)
    )
    assert forward(planes[:0], 3, wavelet).shape == (0, 5, 200, 130)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_a_flat_plane_has_nothing_but_its_mean(wavelet: Wavelet) -> None:
    made = forward(np.full((37, 22), 77, np.int32), 3, wavelet)
    assert (made[:5, :3] == 77).all()
    assert np.count_nonzero(made) == 5 * 3


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3), SIDES, SIDES, LEVELS)
def test_bands_cover_each_coefficient_once(channels: int, height: int, width: int, levels: int) -> None:
    seen = np.zeros((channels, height, width), int)
    for band in bands(channels, height, width, levels):
        seen[band.channel, band.top : band.top + band.height, band.left : band.left + band.width] += 1
        assert band.height * band.width > 0
    assert (seen == 1).all()


def test_kinds_are_named_by_what_they_hold() -> None:
    rows = forward(np.tile([0.0, 1.0], (8, 4)), 1)  # changes along the rows alone
    held = {
        band.kind: np.abs(rows[band.top : band.top + band.height, band.left : band.left + band.width]).max()
        for band in bands(1, 8, 8, 1)
    }
    assert held["LH"] > 0.5
    assert held["HL"] == held["HH"] == 0


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_norms_are_the_energy_of_one_coefficient(level: int, wavelet: Wavelet) -> None:
    for band in bands(1, 256, 256, level):
        plane = np.zeros((256, 256))
        plane[band.top + band.height // 2, band.left + band.width // 2] = 1.0
        energy = np.square(inverse(plane, level, wavelet)).sum()
        assert norm(band.level, band.kind, wavelet) == pytest.approx(np.sqrt(energy), rel=1e-6)


def test_norms_of_many_levels_go_on_as_they_began() -> None:
    assert norm(12, "HH") / norm(11, "HH") == pytest.approx(2, rel=1e-3)
    assert norm(0, "LL") == 1.0


def test_levels_end_where_little_is_left() -> None:
    assert [useful_levels(*size) for size in [(1, 1), (8, 8), (9, 1), (64, 48), (512, 512), (65535, 2)]] == [
        0, 0, 1, 3, 6, 13,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("planes", "levels", "told"),
    [
        (np.zeros((4, 4), np.uint8), 1, "uint8"),
        (np.zeros(4, np.int32), 1, r"\(4,\)"),
        (np.zeros((4, 4), np.int32), 17, "0 to 16"),
        (np.zeros((4, 4), np.int32), -1, "0 to 16"),
    ],
)
def test_what_can_not_be_transformed_is_told(planes: np.ndarray, levels: int, told: str) -> None:
    for way in (forward, inverse):
        with pytest.raises(UnfitValue, match=told):
            way(planes, levels)
