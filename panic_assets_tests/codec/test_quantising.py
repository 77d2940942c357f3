"""Steps, dead zones and the choice of steps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.components import Band, QuantParams
from panic_assets.codec.errors import UnfitValue
from panic_assets.codec.lifting import bands, forward, inverse, norm
from panic_assets.codec.quantising import (
    STEP_NUMBERS,
    best_params,
    dequantise,
    in_order,
    in_place,
    quantise,
    slope_of,
    step_at,
    step_number,
)


def _flat(height: int, width: int) -> tuple[Band, ...]:
    return bands(1, height, width, 0)


def test_the_ladder_doubles_every_eight_steps_and_is_exact() -> None:
    steps = [step_at(number) for number in range(STEP_NUMBERS)]
    assert all(later == 2 * step for step, later in zip(steps, steps[8:], strict=False))
    assert all(1 < later / step < 1.13 for step, later in pairwise(steps))
    assert all(Fraction(step) == Fraction(float(np.float32(step))) for step in steps)
    assert [step_number(step) for step in steps] == list(range(STEP_NUMBERS))
    assert step_number(1e-9) == 0
    assert step_number(1e30) == STEP_NUMBERS - 1
    for number in (-1, STEP_NUMBERS):
        with pytest.raises(UnfitValue, match="0 to 191"):
            step_at(number)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.1, 50), st.sampled_from([0.5, 0.6, 2 / 3, 1.0]), st.sampled_from([0.0, 0.1, 0.4]), st.integers(0, 99)
)
def test_values_lie_in_the_bins_of_their_symbols(step: float, dead_zone: float, offset: float, seed: int) -> None:
    values = (np.random.default_rng(seed).standard_cauchy((1, 9, 11)) * 20).clip(-1e5, 1e5).astype(np.float32)
    params = QuantParams(steps=(step,), dead_zone=dead_zone, offset=offset)
    symbols = quantise(values, _flat(9, 11), params)
    assert symbols.dtype == np.int32
    magnitudes, numbers = np.abs(values) / step, np.abs(symbols)
    slack = 1e-5 * (1 + magnitudes)
    is_some = numbers > 0
    assert (magnitudes[~is_some] <= dead_zone + slack[~is_some]).all()
    assert (np.sign(symbols)[is_some] == np.sign(values)[is_some]).all()
    lower = numbers - 1 + dead_zone
    assert ((lower - slack <= magnitudes) & (magnitudes <= lower + 1 + slack))[is_some].all()
    back = dequantise(symbols, _flat(9, 11), params)
    assert (back[~is_some] == 0).all()
    assert np.abs(np.abs(back) / step - (lower + 0.5 - offset))[is_some].max(initial=0) < 1e-5 * (1 + numbers.max())


def test_each_band_has_its_own_step() -> None:
    planes = np.random.default_rng(0).integers(-999, 999, (2, 21, 17)).astype(np.int32)
    parts = bands(2, 21, 17, 2)
    steps = tuple(step_at(16 + 5 * number) for number in range(len(parts)))
    symbols = quantise(planes, parts, QuantParams(steps=steps))
    for band, step in zip(parts, steps, strict=True):
        place = (band.channel, slice(band.top, band.top + band.height), slice(band.left, band.left + band.width))
        assert np.abs(symbols[place] * step - planes[place]).max() <= step / 2 * 1.0001


def test_step_1_loses_nothing_of_whole_numbers() -> None:
    planes = np.random.default_rng(1).integers(-(2**20), 2**20, (3, 13, 10)).astype(np.int32)
    parts = bands(3, 13, 10, 2)
    params = QuantParams(steps=(1.0,) * len(parts))
    back = dequantise(quantise(planes, parts, params), parts, params, np.int32)
    assert back.dtype == np.int32
    assert np.array_equal(back, planes)


def test_whole_numbers_are_kept_to_the_last_that_can_be() -> None:
    largest = (1 << 23) - 1
    planes = np.array([[[largest, -largest, largest - 1, 0]]], np.int32)
    assert np.array_equal(quantise(planes, _flat(1, 4), QuantParams(steps=(1.0,))), planes)
    for one_more in (largest + 1, largest + 2, -largest - 1):
        with pytest.raises(UnfitValue, match="24 bits"):
            quantise(np.full((1, 1, 4), one_more, np.int32), _flat(1, 4), QuantParams(steps=(1.0,)))


def test_whole_values_are_what_exact_arithmetic_rounds_to() -> None:
    symbols = np.arange(-400, 401, dtype=np.int32).reshape(1, 9, 89)
    params = QuantParams(steps=(step_at(45),), dead_zone=0.625, offset=0.09375)
    exact = [
        np.sign(s) * round(Fraction(step_at(45)) * (abs(s) + Fraction(1, 8) - Fraction(3, 32))) for s in symbols.ravel()
    ]
    assert dequantise(symbols, _flat(9, 89), params, np.int32).ravel().tolist() == exact


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(0, 6))
def test_order_and_place_are_inverse(channels: int, height: int, width: int, levels: int) -> None:
    parts = bands(channels, height, width, levels)
    planes = np.arange(channels * height * width, dtype=np.int32).reshape(channels, height, width)
    values = in_order(planes, parts)
    assert np.array_equal(in_place(values, parts, planes.shape), planes)
    first = parts[0]
    assert values[: first.width].tolist() == planes[first.channel, first.top, : first.width].tolist()
    with pytest.raises(UnfitValue, match="values for planes"):
        in_place(values[1:], parts, planes.shape)


def _scene() -> np.ndarray:
    """Edges, a slope and a little noise: float32 (1, 96, 80)."""
    rows, columns = np.mgrid[:96, :80]
    noise = np.random.default_rng(3).standard_normal((96, 80)) * 4
    return (100.0 * (np.hypot(rows - 40, columns - 30) < 22) + columns + noise).astype(np.float32)[None]


def _cost(coefficients: np.ndarray, parts: tuple[Band, ...], params: QuantParams, slope: float) -> float:
    symbols = quantise(coefficients, parts, params)
    bits = 0.0
    for band in parts:
        counts = np.unique(in_order(symbols, [band]), return_counts=True)[1]
        bits += counts @ np.log2(counts.sum() / counts)
    lost = inverse(dequantise(symbols, parts, params), 3) - inverse(coefficients, 3)
    return float(np.square(lost).sum() + slope * bits)


@pytest.mark.parametrize("step", [2, 8, 24])
def test_chosen_steps_cost_less_than_equal_ones(step: float) -> None:
    planes, slope = _scene(), slope_of(step)
    coefficients, parts = forward(planes, 3), bands(1, 96, 80, 3)
    chosen = _cost(coefficients, parts, best_params(coefficients, parts, slope), slope)
    for ratio in (0.7, 1.0, 1.4):
        same = QuantParams(steps=tuple(step * ratio / norm(band.level, band.kind) for band in parts))
        assert chosen < _cost(coefficients, parts, same, slope)


def test_a_dearer_bit_makes_coarser_steps() -> None:
    coefficients, parts = forward(_scene(), 3), bands(1, 96, 80, 3)
    chosen = [best_params(coefficients, parts, slope_of(step)) for step in (1, 4, 16, 64)]
    sums = [sum(np.log(params.steps)) for params in chosen]
    assert sums == sorted(sums)
    assert sums[-1] - sums[0] > len(parts)
    assert all(step_at(step_number(step)) == step for params in chosen for step in params.steps)


def test_an_empty_scene_has_steps_too() -> None:
    params = best_params(np.zeros((1, 8, 8), np.int32), _flat(8, 8), 1.0)
    assert params.offset == 0
    assert len(params.steps) == 1


def test_what_can_not_be_quantised_is_told() -> None:
    planes, parts = np.zeros((1, 4, 4), np.float32), _flat(4, 4)
    with pytest.raises(UnfitValue, match="2 steps for 1 bands"):
        quantise(planes, parts, QuantParams(steps=(1.0, 1.0)))
    for value in (np.nan, np.inf, 1e9):
        with pytest.raises(UnfitValue, match="24 bits"):
            quantise(planes + np.float32(value), parts, QuantParams(steps=(1.0,)))
    with pytest.raises(UnfitValue, match="slope"):
        best_params(planes, parts, 0.0)
