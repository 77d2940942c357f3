"""Intervals hold what they promise; p-values are never zero; adjustment controls what it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.findings import Interval
from panic_assets.dynamics.uncertainty import adjust, bootstrap, permutation_p


def coverage(runs: int, draw: str, truth: float, trials: int = 300) -> float:
    rng = np.random.default_rng(runs)
    hits = 0
    for trial in range(trials):
        values = getattr(rng, draw)(size=runs)
        found = bootstrap(lambda drawn, v=values: float(v[drawn].mean()), runs, resamples=400, seed=trial)  # type: ignore[misc]
        hits += found.low <= truth <= found.high
    return hits / trials


@pytest.mark.parametrize(("runs", "least"), [(5, 0.86), (8, 0.90), (12, 0.91), (30, 0.92)])
def test_intervals_of_a_mean_cover_it_about_as_often_as_they_say(runs: int, least: float) -> None:
    assert least <= coverage(runs, "normal", 0.0) <= 0.99


@pytest.mark.parametrize(("runs", "least"), [(5, 0.82), (10, 0.88), (30, 0.91)])
def test_so_they_do_for_skewed_values(runs: int, least: float) -> None:
    assert least <= coverage(runs, "exponential", 1.0) <= 0.99


def test_an_array_gives_what_its_entries_give_alone() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=(12, 3))
    together = bootstrap(lambda drawn: values[drawn].mean(axis=0), 12)
    for column in range(3):
        alone = bootstrap(lambda drawn, c=column: float(values[drawn, c].mean()), 12)  # type: ignore[misc]
        assert [part[column] for part in together] == pytest.approx([alone.value, alone.low, alone.high])


def test_fewer_than_three_runs_give_a_value_without_interval() -> None:
    found = bootstrap(lambda drawn: float(len(drawn)), 2)
    assert found.value == 2.0
    assert np.isnan([found.low, found.high]).all()


def test_equal_values_give_a_point() -> None:
    assert bootstrap(lambda drawn: 0.1, 9) == Interval(0.1, 0.1, 0.1)


def test_resamples_that_tell_nothing_are_left_out_and_infinity_is_an_end() -> None:
    def first(drawn: np.ndarray) -> np.ndarray:
        return np.array([np.nan if drawn[0] == 1 else drawn.mean(), np.inf if (drawn == 3).sum() > 1 else 1.0])

    value, low, high = bootstrap(first, 10)
    assert np.isfinite([value[0], low[0], high[0]]).all()
    assert high[1] == np.inf


def test_strata_keep_their_sizes() -> None:
    strata = np.array([0, 0, 0, 1, 1, 1, 1])
    seen = set()

    def note(drawn: np.ndarray) -> float:
        if len(drawn) == 7:
            seen.add(tuple(np.bincount(strata[drawn])))
        return 0.0

    bootstrap(note, 7, strata=strata)
    assert seen == {(3, 4)}


def test_one_run_in_each_stratum_leaves_nothing_to_resample() -> None:
    assert np.isnan(bootstrap(lambda drawn: 1.0, 4, strata=np.arange(4)).low)


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_keep_their_order_and_are_no_smaller(values: list[float]) -> None:
    raw = np.array(values)
    adjusted = adjust(raw)
    assert (adjusted >= raw - 1e-12).all()
    assert (np.diff(adjusted[np.argsort(raw)]) >= -1e-12).all()


def test_adjustment_follows_the_definition_and_leaves_nan_alone() -> None:
    assert adjust(np.array([0.01, np.nan, 0.02, 0.9])) == pytest.approx([0.03, np.nan, 0.03, 0.9], nan_ok=True)


def test_permutation_p_counts_the_observed_value_itself() -> None:
    null = np.arange(99.0)
    assert permutation_p(1000.0, null) == 0.01
    assert permutation_p(-1.0, null, "less") == 0.01
    assert permutation_p(1000.0, null, "two") == 0.02
    assert permutation_p(49.0, null, "two") == 1.0
    assert np.isnan(permutation_p(float("nan"), null))
