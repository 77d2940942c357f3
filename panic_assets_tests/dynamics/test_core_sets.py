"""Core-set models of planted chains find what was planted, as surely as they say."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics import markov
from panic_assets.dynamics.core_sets import CoreModel, CoreRule, Timescales, core_sequences, lag_times, poles

PLANTED = np.array([[0.9, 0.08, 0.02], [0.1, 0.85, 0.05], [0.02, 0.08, 0.9]])
RING = np.array([[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.3, 0.0, 0.7]])


def chains(matrix: np.ndarray, runs: int, steps: int, seed: int) -> list[np.ndarray]:
    starts = np.random.default_rng(seed).choice(len(matrix), runs, p=markov.stationary(matrix))
    return list(markov.simulate(matrix, starts, steps, seed + 1))


def test_core_states_are_the_clusters_that_are_held() -> None:
    labels = [np.array([0, 0, 0, 1, 0, 0, -1, 2, 2, 2])]
    sure = [np.ones(10)]
    assert core_sequences(labels, sure, CoreRule())[0] == [0, 2, 1]
    core, sequences = core_sequences(labels, sure, CoreRule(dwell=2.0))
    assert core == [0, 2]
    assert sequences[0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert core_sequences(labels, sure, CoreRule(share=0.2, most=1))[0] == [0]
    assert core_sequences(labels, [np.zeros(10)], CoreRule())[0] == []


def test_a_planted_chain_is_found() -> None:
    model = CoreModel(chains(PLANTED, 60, 300, seed=1), 3)
    value, low, high = model.stationary(1)
    truth = markov.stationary(PLANTED)
    assert value == pytest.approx(truth, abs=0.05)
    assert (low < value).all()
    assert (value < high).all()
    scales = model.implied_timescales(2)
    expected = markov.timescales(PLANTED, 2)
    assert scales.values[0] == pytest.approx(expected, rel=0.1)
    assert scales.low[0, 0] < expected[0] < scales.high[0, 0]
    assert scales.plateau() is not None, "the chain is Markov at every lag"
    mixing = markov.mixing_time(markov.transition_matrix(model.total(1)))
    assert mixing == pytest.approx(markov.mixing_time(PLANTED), abs=2)
    predicted, (seen, below, above) = model.chapman_kolmogorov(1, 0, (1, 2, 4, 8))
    assert predicted[0] == pytest.approx(seen[0])
    assert ((below - 0.02 <= predicted) & (predicted <= above + 0.02)).all()


def test_intervals_hold_the_stationary_probability_about_as_often_as_they_say() -> None:
    truth, held = markov.stationary(PLANTED), []
    for trial in range(200):
        model = CoreModel(chains(PLANTED, 25, 60, seed=1000 + 7 * trial), 3)
        estimate = model.estimate(1, lambda c: markov.stationary(markov.transition_matrix(c)), resamples=150)
        held.append((estimate[1] <= truth) & (truth <= estimate[2]))
    assert 0.90 <= np.mean(held) <= 0.99


def test_a_cycle_is_told_from_a_chain_in_balance() -> None:
    one_way = CoreModel(chains(RING, 30, 100, seed=3), 3)
    assert one_way.balance_p(99)[0] == 0.01
    p_values = [
        CoreModel(chains(markov.reversible_matrix(PLANTED), 15, 60, seed=50 + t), 3).balance_p(39)[0] for t in range(30)
    ]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.2
    assert np.mean(p_values) > 0.3


def test_memory_beyond_the_last_state_shows_in_the_time_scales() -> None:
    # Two hidden halves of each state, of which one is held long and one is left at once: lag 1 sees too fast a chain.
    hidden = np.array([[0.98, 0.01, 0.01, 0.0], [0.2, 0.3, 0.0, 0.5], [0.01, 0.0, 0.98, 0.01], [0.0, 0.5, 0.2, 0.3]])
    seen = [np.array([0, 0, 1, 1])[own] for own in chains(hidden, 60, 400, seed=5)]
    scales = CoreModel(seen, 2).implied_timescales(1)
    assert scales.values[-1, 0] > 1.3 * scales.values[0, 0]
    assert scales.plateau() != 1


def test_a_plateau_needs_intervals_and_longer_lags() -> None:
    lags, ones = np.array([1, 2, 4, 8]), np.ones((4, 1))
    scale = np.array([[5.0], [9.0], [10.0], [9.5]])
    assert Timescales(lags, scale, scale - 2 * ones, scale + 2 * ones).plateau() == 2
    assert Timescales(lags, scale, np.full((4, 1), np.nan), np.full((4, 1), np.nan)).plateau() is None
    assert lag_times([np.zeros(2)] * 3) == [1]
    assert lag_times([np.zeros(100)])[-1] == 25


def test_poles_are_the_classes_that_end_runs_or_the_states_held_most() -> None:
    ends = [np.array([2, 2, 0, 0, 0]), np.array([2, 1, 1, 1]), np.array([2, 2, 1, 1])]
    found = poles(CoreModel(ends, 3), 1)
    assert found is not None
    assert [states.tolist() for states in found] == [[1], [0]]
    found = poles(CoreModel(chains(PLANTED, 20, 200, seed=9), 3), 1)
    assert found is not None
    assert [states.tolist() for states in found] == [[0], [1]]
    assert poles(CoreModel([np.array([0, 0, 1])], 2), 1) is None


def test_few_runs_have_values_without_intervals() -> None:
    model = CoreModel(chains(PLANTED, 2, 200, seed=2), 3)
    value, low, high = model.stationary(1)
    assert value.sum() == pytest.approx(1)
    assert np.isnan(low).all()
    assert np.isnan(high).all()
