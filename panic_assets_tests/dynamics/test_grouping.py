"""Groups of runs: who belongs to which, means that leave out what is not known, intervals that hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.findings import Group
from panic_assets.dynamics.grouping import bootstrapped_means, grouped, mean_curve, means, stacked
from panic_assets_tests.dynamics.systems import run, space, trajectory, walk


def test_every_network_and_every_prompt_of_it_is_a_group() -> None:
    runs = [run(0, ["a"], network="A"), run(1, ["a"], network="B", prompt=1), run(2, ["a"], network="A", prompt=1)]
    assert list(grouped(runs)) == [
        (Group(network="A"), [0, 2]),
        (Group(network="B"), [1]),
        (Group(network="A", prompt_number=0), [0]),
        (Group(network="B", prompt_number=1), [1]),
        (Group(network="A", prompt_number=1), [2]),
    ]
    one = trajectory(0, walk(2))
    assert next(grouped([one], space([one])))[0] == Group("Model", "text", "A -> B")


def test_means_leave_out_what_is_not_known_and_say_of_how_many_runs_they_are() -> None:
    values = {
        "known": np.array([1.0, 2.0, 3.0, 6.0]),
        "half": np.array([1.0, np.nan, 3.0, np.nan]),
        "none": np.full(4, np.nan),
    }
    known, half, none = means(Group(), values, {"known": "steps"}, "a rule")
    assert (known.estimate.value, known.runs, known.unit) == (3.0, 4, "steps")
    assert known.estimate.low < 3.0 < known.estimate.high
    assert known.method.startswith("a rule; mean over runs")
    assert (half.estimate.value, half.runs) == (2.0, 2)
    assert np.isnan(half.estimate.low), "two runs give no interval"
    assert np.isnan(none.estimate.value)
    assert none.details == {"why": "can't be told of any run of the group"}


def test_series_of_unequal_places_are_laid_side_by_side() -> None:
    x, table = stacked([(np.array([1, 3]), np.array([0.1, 0.3])), (np.array([3, 5]), np.array([0.5, 0.7]))])
    assert list(x) == [1, 3, 5]
    assert np.array_equal(table, [[0.1, 0.3, np.nan], [np.nan, 0.5, 0.7]], equal_nan=True)
    curve = mean_curve(Group(), "c", x, table, "invocations")
    assert curve.values == pytest.approx([0.1, 0.4, 0.7])
    assert stacked([])[1].shape == (0, 0)


def test_intervals_hold_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(3)
    table = generator.exponential(1.0, (25, 400))
    _, low, high = bootstrapped_means(table)
    assert 0.90 <= np.mean((low <= 1.0) & (high >= 1.0)) <= 0.99
