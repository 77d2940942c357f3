"""Which runs are compared, and what a share of significant ones is worth."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.findings import Findings, Group
from panic_assets.dynamics.null_models import (
    NULLS,
    adjusted,
    balanced,
    level_of,
    seed_of,
    significant_share,
    verdict,
)
from panic_assets_tests.dynamics.systems import trajectory


def test_a_choice_of_runs_takes_prompts_in_turn_and_stays_when_seeds_are_added() -> None:
    points = np.eye(3)
    runs = [
        trajectory(i, points, network=n, prompt=p)
        for i, (n, p) in enumerate([("A", 0)] * 3 + [("A", 1)] * 3 + [("B", 0)])
    ]
    assert balanced(runs, 3) == [0, 1, 3, 6]
    assert balanced(runs, None) == list(range(7))
    assert balanced([], 3) == []
    more = [*runs, trajectory(7, points, network="A", prompt=1)]
    assert balanced(more, 3) == [0, 1, 3, 6]


def test_seeds_differ_between_runs_null_models_and_choices() -> None:
    seeds = {seed_of(run, null, seed) for run in range(50) for null in NULLS for seed in (0, 1)}
    assert len(seeds) == 50 * len(NULLS) * 2


def test_a_verdict_tells_side_and_distance() -> None:
    null = np.arange(19.0)
    assert verdict(30.0, null, "greater").p == pytest.approx(0.05)
    assert verdict(30.0, null, "less").p == 1.0
    assert verdict(9.0, null, "greater").excess == pytest.approx(0.0)
    assert np.isnan(verdict(1.0, np.ones(19), "greater").excess)
    assert np.isnan(verdict(float("nan"), null, "greater").p)
    assert np.isnan(verdict(1.0, np.full(19, np.nan), "greater").p)


def test_the_level_is_what_so_few_surrogates_can_reach() -> None:
    assert [level_of(n, 0.05) for n in (9, 19, 29, 39)] == pytest.approx([0.0, 0.05, 1 / 30, 0.05])


def test_a_share_has_an_exact_interval_and_a_p_value() -> None:
    row = significant_share(Group(), "share", np.array([0.05] * 5 + [0.5] * 5 + [np.nan]), 19, 0.05, {})
    assert row.runs == 10
    assert (row.estimate.value, row.estimate.low, row.estimate.high) == pytest.approx((0.5, 0.187, 0.813), abs=1e-3)
    assert row.p_value == pytest.approx(6.4e-5, rel=0.01)
    none = significant_share(Group(), "share", np.array([np.nan]), 19, 0.05, {})
    assert none.p_value is None
    assert none.details == {"why": "no run has a p-value"}
    few = significant_share(Group(), "share", np.array([0.1]), 9, 0.05, {})
    assert few.details == {"why": "too few surrogates for p to be that small"}
    better = adjusted(Findings(groups=[row, none])).groups
    assert better[0].p_adjusted == pytest.approx(row.p_value)
    assert better[1].p_adjusted is None
