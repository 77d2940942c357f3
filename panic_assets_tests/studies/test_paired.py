"""Intervals and tests of paired differences: by hand, against scipy, and as often right as they promise."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from panic_assets.studies.paired import effect_size, paired_effect, sign_flip_p, typical_interval

numbers = st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=3, max_size=9)


@given(numbers)
def test_the_test_by_signs_counts_all_deals(values: list[float]) -> None:
    differences = np.array(values)
    deals = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=len(values))]
    as_far = sum(deal >= abs(differences.sum()) - 1e-9 for deal in deals)
    assert sign_flip_p(differences) == pytest.approx(as_far / len(deals))


def test_the_t_test_is_that_of_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 12)
    assert paired_effect(differences).p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_the_interval_by_hand() -> None:
    # Means of subsets of 1, 2, 4: 1, 1.5, 2, 2.33, 2.5, 3, 4. At 75 % one of eight gaps is left out at either end.
    assert typical_interval(np.array([1.0, 2.0, 4.0]), 0.75) == (1.0, 4.0)
    low, high = typical_interval(np.array([1.0, 2.0, 4.0]), 0.5)
    assert (low, high) == (1.5, 3.0)


@given(st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=6, max_size=10))
def test_the_interval_leaves_out_zero_only_when_the_test_by_signs_says_so(values: list[float]) -> None:
    differences = np.array(values)
    low, high = typical_interval(differences, 0.95)
    if low > 1e-9 or high < -1e-9:
        assert sign_flip_p(differences) <= 0.05
    assert low <= differences.mean() <= high


def test_five_pairs_are_too_few_for_95_percent_and_six_are_enough() -> None:
    five, six = (paired_effect(np.arange(1.0, pairs + 1)) for pairs in (5, 6))
    assert np.isnan([five.low, five.high]).all()
    assert five.permutation_p == 2 / 32 > 0.05
    assert six.low > 0
    assert six.permutation_p == 2 / 64


def test_size_of_an_effect_is_corrected_for_few_pairs() -> None:
    differences = np.array([0.1, 0.2, 0.3, 0.4, 0.2, 0.6])
    raw = differences.mean() / differences.std(ddof=1)
    # Hedges' approximation, right to the third digit.
    assert effect_size(differences) == pytest.approx(raw * (1 - 3 / (4 * 5 - 1)), rel=2e-3)


def test_on_average_the_corrected_size_is_the_true_one() -> None:
    random = np.random.default_rng(0)
    found = np.mean([effect_size(random.normal(0.8, 1, 6)) for _ in range(4000)])
    assert found == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("draw", ["normal", "laplace", "rounded"])
@pytest.mark.parametrize("pairs", [6, 10, 20])
def test_the_interval_holds_the_truth_as_often_as_it_promises(draw: str, pairs: int) -> None:
    random = np.random.default_rng(pairs)
    draws = {
        "normal": lambda: random.normal(size=pairs),
        "laplace": lambda: random.laplace(size=pairs),
        "rounded": lambda: random.normal(size=pairs).round(),
    }
    ends = [typical_interval(0.5 + draws[draw](), 0.95) for _ in range(600)]
    held = np.mean([low <= 0.5 <= high for low, high in ends])
    # Six pairs allow 96.9 %, not 95; ties hold more.
    assert 0.93 <= held <= (1.0 if draw == "rounded" or pairs == 6 else 0.97)


def test_no_pairs_equal_differences_and_none_at_all_have_an_answer() -> None:
    assert paired_effect(np.zeros(0)).pairs == 0
    assert np.isnan(paired_effect(np.zeros(0)).difference)
    same = paired_effect(np.zeros(10))
    assert (same.low, same.high, same.p_value, same.permutation_p) == (0.0, 0.0, 1.0, 1.0)
    assert np.isnan(same.effect_size)
    shifted = paired_effect(np.full(10, 0.1))
    assert (shifted.low, shifted.high) == pytest.approx((0.1, 0.1))
    assert shifted.permutation_p == 2 / 1024
    assert np.isnan([shifted.effect_size, shifted.p_value]).all()
    assert np.isnan(paired_effect(np.array([0.3])).p_value)


def test_many_pairs_are_drawn_from_and_always_alike() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 40)
    assert paired_effect(differences) == paired_effect(differences)
    assert sign_flip_p(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.01)
    low, high = typical_interval(differences)
    by_t = stats.t.interval(0.95, 39, differences.mean(), stats.sem(differences))
    assert (low, high) == pytest.approx(by_t, abs=0.06)


def test_what_rounding_leaves_of_opposite_differences_is_zero() -> None:
    found = paired_effect(np.array([0.1, 0.2, -0.3, 0.1, 0.2, -0.3]) / 7)
    assert found.difference == 0
    assert found.effect_size == 0
    assert found.p_value == 1
