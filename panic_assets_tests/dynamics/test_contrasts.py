"""Contrasts find planted differences, and no more than promised where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.contrasts import compute, difference, sides
from panic_assets_tests.dynamics.walks import corpus, relaxing, trajectory


def test_a_planted_difference_is_found_and_covered() -> None:
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(10), 4)
    is_left = prompts < 5
    found = difference(rng.normal(size=40) + 3.0 * is_left, is_left, prompts)
    assert found.unit == "prompts"
    assert found.estimate.low <= 3.0 <= found.estimate.high
    assert found.p_value < 0.02


def test_prompts_that_differ_by_themselves_are_no_effect_of_a_tag() -> None:
    """Runs of one prompt are alike: shuffling single runs would find an effect of the tag nearly every time."""
    rng = np.random.default_rng(1)
    prompts = np.repeat(np.arange(10), 6)
    found = []
    for trial in range(60):
        values = rng.normal(size=10)[prompts] + 0.1 * rng.normal(size=60)
        found.append(difference(values, prompts < 5, prompts, seed=trial).p_value)
    assert np.mean(np.array(found) < 0.05) <= 0.15


def test_the_interval_covers_the_difference() -> None:
    rng = np.random.default_rng(2)
    prompts = np.repeat(np.arange(4), 5)
    hits, trials = 0, 150
    for trial in range(trials):
        is_left = prompts < 2
        found = difference(rng.normal(size=20) + is_left, is_left, prompts, seed=trial).estimate
        hits += found.low <= 1.0 <= found.high
    assert 0.90 <= hits / trials <= 0.99


def test_sides_come_from_tags_two_by_two_or_against_the_rest() -> None:
    few = sides({0: {"kind": "a"}, 1: {"kind": "b"}, 2: {}, 3: {"kind": "a"}})
    assert [(one.name, set(one.left), set(one.right)) for one in few] == [("kind=a - b", {0, 3}, {1})]
    many = sides({n: {"kind": str(n)} for n in range(6)})
    assert len(many) == 6
    assert (many[2].name, set(many[2].left), set(many[2].right)) == ("kind=2 - rest", {2}, {0, 1, 3, 4, 5})
    assert sides({0: {}, 1: {"kind": "a"}}) == []


def test_a_category_that_forgets_sooner_has_the_smaller_tau() -> None:
    rng = np.random.default_rng(3)
    members = []
    for prompt in range(8):
        start = np.eye(128)[prompt]
        members += [
            trajectory(
                relaxing(rng, start, 50, 4.0 if prompt < 4 else 12.0),
                start,
                number=len(members) + n,
                prompt_number=prompt,
            )
            for n in range(4)
        ]
    tags = {p: {"category": "control" if p < 4 else "paraphrase"} for p in range(8)}
    rows = {row.statistic: row for row in compute(corpus(members, tags)).groups}
    tau = rows["tau_drift"]
    assert tau.group.contrast == "category=control - paraphrase"
    assert tau.estimate.high < 0
    assert tau.p_value is not None
    assert tau.p_adjusted is not None
    assert tau.p_value <= tau.p_adjusted < 0.05
    assert rows["cycle_share"].estimate.value == 0


def test_no_tags_give_no_rows_and_a_missing_side_says_why() -> None:
    members = [trajectory(np.eye(3)[:2], number=n) for n in range(3)]
    assert compute(corpus(members)).groups == []
    tags = {0: {"kind": "a"}, 9: {"kind": "b"}}
    rows = compute(corpus(members, tags)).groups
    assert rows
    for row in rows:
        assert np.isnan(row.estimate.value)
        assert row.details is not None
        assert "why" in row.details


@pytest.mark.parametrize("runs", [1, 2])
def test_few_runs_raise_nothing(runs: int) -> None:
    members = [trajectory(np.eye(3), number=n, prompt_number=n) for n in range(runs)]
    compute(corpus(members, {0: {"kind": "a"}, 1: {"kind": "b"}}))
