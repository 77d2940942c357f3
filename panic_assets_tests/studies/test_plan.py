"""Which trials a study has, and what the identity of a model run depends on."""

from __future__ import annotations

from dataclasses import replace

from panic_assets.studies.plan import count, model_run_id, plan
from panic_assets.studies.records import Hyperparameters
from panic_assets_tests.studies.small import SEARCH, small

DATA = "d" * 32


def test_pairs_share_all_but_what_makes_the_arm() -> None:
    trials = plan(small(comparison={"pairs": 10}), DATA)
    assert len({trial.trial_id for trial in trials}) == len(trials) == 20
    for plain, bound in zip(trials[::2], trials[1::2], strict=True):
        assert (plain.arm, bound.arm) == ("none", "spectral_norm")
        assert (plain.pair, plain.seed) == (bound.pair, bound.seed)
        assert replace(plain.hyperparameters, spectral_norm=True) == bound.hyperparameters
    assert [trial.seed for trial in trials[::2]] == list(range(10))


def test_seeds_may_be_given() -> None:
    trials = plan(small(comparison={"seeds": [7, 3]}), DATA)
    assert [(trial.pair, trial.seed) for trial in trials[::2]] == [(0, 7), (1, 3)]


def test_found_hyperparameters_are_used_where_the_study_says_so() -> None:
    found = {"none": Hyperparameters(width=99)}
    fixed = small(search=SEARCH)
    assert {trial.hyperparameters.width for trial in plan(fixed, DATA, found)} == {8}
    searched = small(search=SEARCH, comparison={"pairs": 2, "hyperparameters": "searched"})
    widths = {(trial.arm, trial.hyperparameters.width) for trial in plan(searched, DATA, found)}
    assert widths == {("none", 99), ("spectral_norm", 8)}


def test_counts() -> None:
    assert count(small()) == 4
    assert count(small(search=SEARCH)) == 10
    assert count(small(search=SEARCH, comparison=None)) == 6
    assert plan(small(search=SEARCH, comparison=None), DATA) == []


def test_a_model_run_is_another_when_its_trials_are() -> None:
    one = model_run_id(small(), DATA)
    assert one.startswith("small-")
    assert model_run_id(small(description="words", evaluation={"pgd_steps": 9}), DATA) == one
    assert model_run_id(small(comparison={"pairs": 3}), DATA) != one
    assert model_run_id(small(), "e" * 32) != one
