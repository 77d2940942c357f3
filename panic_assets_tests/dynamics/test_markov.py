"""Chains whose answers are known: stationary state, mixing, direction, destination."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics import markov

#: Two states: pi = (b, a) / (a + b), second eigenvalue 1 - a - b.
TWO = np.array([[0.9, 0.1], [0.3, 0.7]])
WALK = np.array([[1.0, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0], [0, 0.5, 0, 0.5, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 0, 1.0]])
RING = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])


def random_counts(seed: int, states: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 50, (states, states)).astype(float)


def test_the_stationary_state_and_time_scale_of_two_states() -> None:
    assert markov.stationary(TWO) == pytest.approx([0.75, 0.25])
    assert markov.moduli(TWO) == pytest.approx([1.0, 0.6])
    scales = markov.timescales(TWO, 2)
    assert scales[0] == pytest.approx(-1 / np.log(0.6))
    assert np.isnan(scales[1])
    # Total variation from state 2 is 0.75 * 0.6^n: first at most 1/4 at n = 3.
    assert markov.mixing_time(TWO) == 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_mixing_time_is_the_first_step_that_is_mixed(seed: int) -> None:
    matrix = 0.02 * markov.transition_matrix(random_counts(seed)) + 0.98 * np.eye(5)
    goal, step = markov.stationary(matrix), int(markov.mixing_time(matrix))

    def away(power: int) -> float:
        return float(0.5 * np.abs(np.linalg.matrix_power(matrix, power) - goal).sum(axis=1).max())

    assert away(step) <= 0.25 < away(step - 1)


def test_a_periodic_chain_never_mixes() -> None:
    flip = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert markov.mixing_time(flip) == np.inf
    assert markov.timescales(flip, 1)[0] == np.inf
    assert markov.mixing_time(np.ones((1, 1))) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_the_reversible_estimate_balances_and_is_the_likeliest_that_does(seed: int) -> None:
    counts = random_counts(seed)
    matrix = markov.reversible_matrix(counts)
    flow = markov.stationary(matrix)[:, None] * matrix
    assert np.allclose(flow, flow.T, atol=1e-8)
    assert np.allclose(matrix.sum(axis=1), 1)
    best = (counts * np.log(matrix)).sum()
    generator = np.random.default_rng(seed)
    for _ in range(10):
        moved = flow * np.exp(0.02 * generator.standard_normal(flow.shape))
        near = markov.transition_matrix(moved + moved.T)
        assert (counts * np.log(near)).sum() <= best + 1e-6
    assert markov.flux_asymmetry(matrix) == pytest.approx(0, abs=1e-7)


def test_symmetric_counts_are_reversible_as_they_are() -> None:
    counts = random_counts(3)
    both = counts + counts.T
    assert np.allclose(markov.reversible_matrix(both), markov.transition_matrix(both))
    assert markov.entropy_production(both) == pytest.approx(0, abs=1e-12)


def test_a_ring_runs_one_way_and_a_balanced_chain_does_not() -> None:
    assert markov.flux_asymmetry(RING) == pytest.approx(1.0)
    assert markov.flux_asymmetry(TWO) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(markov.flux_asymmetry(np.eye(1)))
    biased = np.array([[0, 3.0, 1.0], [1.0, 0, 3.0], [3.0, 1.0, 0]])
    # Fluxes 1/4 and 1/12 on each of three edges: 3 (1/4 - 1/12) ln 3.
    assert markov.entropy_production(biased, prior=0.0) == pytest.approx(0.5 * np.log(3))


def test_committors_of_a_walk_between_two_ends_are_a_straight_line() -> None:
    found = markov.committor(WALK, np.array([0]), np.array([4]))
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    apart = np.zeros((6, 6))
    apart[:5, :5], apart[5, 5] = WALK, 1.0
    assert np.isnan(markov.committor(apart, np.array([0]), np.array([4]))[5])


def test_closed_classes_are_those_that_nothing_leaves() -> None:
    counts = np.zeros((6, 6))
    counts[0, 1] = counts[1, 0] = counts[1, 2] = 3  # 0 and 1 lead on
    counts[2, 3] = counts[3, 2] = 5  # closed
    counts[0, 4], counts[4, 4] = 1, 2  # closed, alone
    counts[1, 5] = 1  # seen once, at the end of a run
    found = markov.classes(counts)
    assert {tuple(np.flatnonzero(found.of == one)) for one in found.closed} == {(2, 3), (4,)}
    assert markov.largest_connected(counts).tolist() == [2, 3]
    assert markov.largest_connected(np.zeros((0, 0))).tolist() == []


def test_simulated_chains_pass_as_often_as_they_should() -> None:
    paths = markov.simulate(TWO, np.zeros(400, int), 250, seed=1)
    counts = np.zeros((2, 2))
    np.add.at(counts, (paths[:, :-1], paths[:, 1:]), 1)
    assert paths.shape == (400, 251)
    assert markov.transition_matrix(counts) == pytest.approx(TWO, abs=0.01)


def test_estimates_agree_with_deeptime() -> None:
    model = pytest.importorskip("deeptime.markov.msm", reason="deeptime, an oracle, is not installed")
    counts = random_counts(11, 8)
    oracle = model.MaximumLikelihoodMSM(reversible=True, maxerr=1e-12).fit_from_counts(counts).fetch_model()
    matrix = markov.reversible_matrix(counts)
    assert np.allclose(matrix, oracle.transition_matrix, atol=1e-6)
    assert np.allclose(markov.stationary(matrix), oracle.stationary_distribution, atol=1e-6)
    assert np.allclose(markov.timescales(matrix, 3), oracle.timescales(3), rtol=1e-5)
    assert np.allclose(markov.committor(matrix, np.array([0]), np.array([1])), oracle.committor_forward([0], [1]))
