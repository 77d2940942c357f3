"""Censored times: a worked example, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.survival import kaplan_meier, median_time


def test_a_sample_worked_by_hand() -> None:
    # Five runs: events at 2, 4 and 4, censored at 3 and 6. S(2) = 4/5; S(4) = 4/5 * 1/3.
    found = kaplan_meier(np.array([2, 3, 4, 4, 6]), np.array([True, False, True, True, False]))
    shares = dict(zip(found.times, found.share, strict=True))
    assert shares[2] == pytest.approx(0.8)
    assert shares[4] == pytest.approx(0.8 / 3)
    # Greenwood's sum at 2 is 1 / (5 * 4); the interval is S^exp(+-z sqrt(sum) / ln S).
    reach = np.exp(1.959964 * np.sqrt(1 / 20) / np.log(0.8))
    at = int(np.flatnonzero(found.times == 2)[0])
    assert sorted([found.low[at], found.high[at]]) == pytest.approx(sorted([0.8**reach, 0.8 ** (1 / reach)]))
    assert median_time(found).value == 4


def test_nobody_and_nothing() -> None:
    assert np.isnan(median_time(kaplan_meier(np.empty(0), np.empty(0, bool))).value)
    never = kaplan_meier(np.full(4, 9.0), np.zeros(4, bool))
    assert never.share[-1] == 1.0
    assert np.isnan(median_time(never).value)
    two = kaplan_meier(np.array([1.0, 2.0]), np.ones(2, bool))
    assert np.isnan(two.low).all()
    assert median_time(two).value == 1.0


def test_intervals_hold_the_truth_about_95_times_in_100() -> None:
    """Absorption at a constant rate, censored at 40: share at 20 and the median, of 40 runs."""
    rate, at, inside, medians = 0.03, 20.0, 0, 0
    generator = np.random.default_rng(5)
    for _ in range(300):
        times = generator.exponential(1 / rate, 40)
        found = kaplan_meier(np.minimum(times, 40.0), times <= 40)
        place = int(np.searchsorted(found.times, at, side="right")) - 1
        inside += bool(found.low[place] <= np.exp(-rate * at) <= found.high[place])
        median = median_time(found)
        high = np.inf if np.isnan(median.high) else median.high
        medians += bool(median.low <= np.log(2) / rate <= high)
    assert 0.90 <= inside / 300 <= 0.99
    assert 0.90 <= medians / 300 <= 0.99
