"""A classifier is perfect before mixing and at chance after it, and knows when it can tell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.findings import Findings, GroupStatistic
from panic_assets.dynamics.recoverability import compute, inner_products, recover, shuffled
from panic_assets.dynamics.uncertainty import permutation_p
from panic_assets_tests.dynamics.walks import corpus, relaxing, trajectory


def of(found: Findings, statistic: str) -> GroupStatistic:
    return next(row for row in found.groups if row.statistic == statistic)


def mixing(runs: int, steps: int = 80, tau: float = 6.0, prompts: int = 4, dimensions: int = 64) -> Findings:
    rng = np.random.default_rng(0)
    members = [
        trajectory(relaxing(rng, np.eye(dimensions)[p], steps, tau), number=p * runs + n, prompt_number=p)
        for p in range(prompts)
        for n in range(runs)
    ]
    return compute(corpus(members))


def test_accuracy_is_perfect_before_mixing_and_at_chance_after_it() -> None:
    found = mixing(10)
    first, late = of(found, "first_accuracy"), of(found, "late_accuracy")
    assert first.estimate.value == 1.0
    assert first.p_value == pytest.approx(1 / 200)
    assert late.estimate.low <= 0.25 <= late.estimate.high
    assert late.p_value is not None
    assert late.p_value > 0.02
    assert 5 < of(found, "time_to_chance").estimate.value < 60
    decay = of(found, "decay_time").estimate
    assert 2 < decay.low < decay.value < decay.high < 40


def test_accuracy_that_stays_has_no_decay_time() -> None:
    row = of(mixing(6, steps=20, tau=1e6), "decay_time")
    assert np.isnan(row.estimate.value)
    assert row.details is not None
    assert row.details["why"] == "accuracy does not fall, as far as the runs tell"


@pytest.mark.parametrize("dimensions", [2, 768])
@pytest.mark.parametrize("sizes", [(2, 2, 2), (6, 6, 6), (3, 8, 5)])
def test_chance_is_exact_in_any_dimension_and_for_unequal_groups(dimensions: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    scores = [
        np.nanmean(recover(inner_products(rng.normal(size=(len(labels), 40, dimensions))), labels).credit)
        for _ in range(12)
    ]
    assert np.mean(scores) == pytest.approx(1 / 3, abs=4 * np.std(scores) / np.sqrt(12) + 1e-9)
    assert np.mean(scores) == pytest.approx(1 / 3, abs=0.05)


def test_p_values_of_noise_are_spread_evenly() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), 4)
    found = []
    for trial in range(60):
        products = inner_products(rng.normal(size=(12, 3, 20)))
        null = shuffled(products, labels, permutations=39, seed=trial)
        observed = np.nanmean(recover(products, labels, repeats=1).credit)
        found.append(permutation_p(float(observed), null.accuracy.mean(axis=1)))
    assert np.mean(np.array(found) <= 0.25) == pytest.approx(0.25, abs=0.15)


def test_equal_outputs_score_exactly_at_chance() -> None:
    labels = np.repeat(np.arange(4), 3)
    assert np.nanmean(recover(inner_products(np.ones((12, 5, 7))), labels).credit) == pytest.approx(0.25)


def test_a_prompt_with_one_run_can_not_be_told() -> None:
    rng = np.random.default_rng(3)
    members = [trajectory(rng.normal(size=(6, 3)), number=n, prompt_number=n) for n in range(4)]
    found = compute(corpus(members))
    for row in found.groups:
        assert np.isnan(row.estimate.value)
        assert row.details == {"why": "fewer than two prompts with two runs each"}


def test_two_runs_of_each_prompt_are_enough_and_short_runs_are_left_out() -> None:
    rng = np.random.default_rng(4)
    members = [
        trajectory(np.eye(8)[n // 2] + 0.01 * rng.normal(size=(10, 8)), number=n, prompt_number=n // 2)
        for n in range(6)
    ]
    members.append(trajectory(np.eye(8)[:1], number=6, prompt_number=0))
    row = of(compute(corpus(members)), "late_accuracy")
    assert (row.estimate.value, row.runs) == (1.0, 6)
    assert row.details == {"chance": round(1 / 3, 6), "prompts": 3, "left_out": 1}
