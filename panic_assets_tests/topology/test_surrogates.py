"""Each null model keeps what it says it keeps, and nothing is left to chance that has a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from panic_assets.topology.persistence import persistence_diagrams
from panic_assets.topology.surrogates import (
    isometric,
    matched_ar1,
    matched_walks,
    onto_sphere,
    phase_randomised,
    radius_of,
    time_shuffled,
)

ALL = (time_shuffled, phase_randomised, matched_walks, matched_ar1)


def settling(n: int, d: int, memory: float = 0.8, seed: int = 0, centre: float = 3.0) -> np.ndarray:
    """An autoregression around a point of the unit sphere, on the sphere."""
    rng = np.random.default_rng(seed)
    state = np.zeros((n, d))
    for t in range(1, n):
        state[t] = memory * state[t - 1] + rng.standard_normal(d) / np.sqrt(d)
    state[:, 0] += centre
    return state / np.linalg.norm(state, axis=1, keepdims=True)


@pytest.mark.parametrize("surrogate", ALL)
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_shapes_seeds_and_the_sphere(surrogate: Callable[..., np.ndarray], n: int) -> None:
    points = settling(n, 6)
    found = surrogate(points, 5, 1)
    assert found.shape == (5, n, 6)
    assert np.isfinite(found).all()
    assert np.array_equal(found, surrogate(points, 5, 1))
    assert np.allclose(np.linalg.norm(found, axis=2), 1.0)
    if n == 40:
        assert not np.array_equal(found, surrogate(points, 5, 2))
        assert not np.allclose(found[0], found[1])
    assert surrogate(points, 0, 1).shape == (0, n, 6)


@pytest.mark.parametrize("surrogate", ALL)
def test_equal_points_give_equal_points(surrogate: Callable[..., np.ndarray]) -> None:
    found = surrogate(np.tile([0.6, 0.8, 0.0], (20, 1)), 3, 0)
    assert np.allclose(found, [0.6, 0.8, 0.0])


@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 100))
def test_own_coordinates_keep_every_inner_product(n: int, d: int, seed: int) -> None:
    points = np.random.default_rng(seed).standard_normal((n, d))
    found = isometric(points)
    assert found.shape == (n, min(n, d))
    assert np.allclose(found @ found.T, points @ points.T, atol=1e-12)


def test_distances_of_many_dimensions_stay_to_rounding() -> None:
    points = settling(100, 768).astype(np.float32)
    assert np.abs(pdist(isometric(points)) - pdist(points.astype(float))).max() < 1e-13


def test_a_sphere_is_found_and_a_cloud_is_none() -> None:
    assert radius_of(5 * settling(10, 4)) == pytest.approx(5.0)
    assert radius_of(np.random.default_rng(0).standard_normal((10, 4))) is None
    assert radius_of(np.empty((0, 3))) is None
    assert np.allclose(onto_sphere(np.array([[3.0, 4.0], [0.0, 0.0]]), 1.0), [[0.6, 0.8], [0.0, 0.0]])


def test_a_shuffle_keeps_the_points_and_so_the_diagrams_and_not_the_order() -> None:
    points = settling(30, 4)
    shuffled = time_shuffled(points, 1, 0)[0]
    assert np.array_equal(np.sort(shuffled, axis=0), np.sort(points, axis=0))
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    assert np.linalg.norm(np.diff(shuffled, axis=0), axis=1).mean() > 1.2 * steps
    for mine, other in zip(persistence_diagrams(points).diagrams, persistence_diagrams(shuffled).diagrams, strict=True):
        assert np.allclose(mine.births, other.births)
        assert np.allclose(mine.deaths, other.deaths)


@pytest.mark.parametrize("n", [40, 41])
def test_random_phases_keep_all_cross_spectra(n: int) -> None:
    points = settling(n, 3)

    def cross(series: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(series, axis=0)
        return np.einsum("fi,fj->fij", spectrum, spectrum.conj())

    for found in phase_randomised(points, 4, 0, sphere=False):
        assert np.allclose(cross(found), cross(points))
        assert np.allclose(found.mean(axis=0), points.mean(axis=0))


def test_on_the_sphere_a_spectrum_is_kept_to_a_few_percent() -> None:
    points = settling(128, 20, centre=6.0)
    power = np.abs(np.fft.rfft(points, axis=0)[1:]) ** 2
    found = phase_randomised(points, 20, 0)
    kept = np.abs(np.fft.rfft(found, axis=1)[:, 1:]) ** 2
    assert kept.sum(axis=(1, 2)) == pytest.approx(np.full(20, power.sum()), rel=0.05)


def test_random_phases_commute_with_rotations() -> None:
    points = settling(30, 5)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    assert np.allclose(phase_randomised(points @ turn, 3, 7), phase_randomised(points, 3, 7) @ turn)


@pytest.mark.parametrize("sphere", [True, False])
def test_walks_keep_step_lengths_and_the_start(sphere: bool) -> None:
    points = settling(50, 8) if sphere else np.cumsum(np.random.default_rng(0).standard_normal((50, 8)), axis=0)
    lengths = np.sort(np.linalg.norm(np.diff(points, axis=0), axis=1))
    for found in matched_walks(points, 4, 0):
        assert np.allclose(found[0], points[0])
        assert np.allclose(np.sort(np.linalg.norm(np.diff(found, axis=0), axis=1)), lengths)


def test_steps_of_a_walk_prefer_the_directions_of_the_run() -> None:
    points = np.cumsum(np.random.default_rng(0).standard_normal((400, 3)) * [3.0, 1.0, 0.1], axis=0)
    steps = np.diff(matched_walks(points, 1, 1)[0], axis=0)
    assert np.all(np.diff(np.sum(steps**2, axis=0)) < 0)
    assert np.sum(steps[:, 2] ** 2) < 0.01 * np.sum(steps**2)


def test_an_autoregression_keeps_memory_and_spread() -> None:
    rng = np.random.default_rng(3)
    points = np.zeros((400, 2))
    for t in range(1, 400):
        points[t] = np.array([0.9, 0.3]) * points[t - 1] + rng.standard_normal(2)
    found = matched_ar1(points, 200, 0)
    assert np.allclose(found[:, 0], points[0])

    def memory(series: np.ndarray) -> np.ndarray:
        centred = series - series.mean(axis=0)
        return np.sum(centred[1:] * centred[:-1], axis=0) / np.sum(centred**2, axis=0)

    assert np.mean([memory(one) for one in found], axis=0) == pytest.approx(memory(points), abs=0.03)
    assert found.std(axis=1).mean(axis=0) == pytest.approx(points.std(axis=0), rel=0.1)


def test_an_autoregression_forgets_a_cycle() -> None:
    turn = 2 * np.pi * np.arange(200) / 20
    points = np.stack([np.cos(turn), np.sin(turn)], axis=1)

    def turning(series: np.ndarray) -> np.ndarray:
        area = series[..., :-1, 0] * series[..., 1:, 1] - series[..., :-1, 1] * series[..., 1:, 0]
        return area.sum(axis=-1) / np.sum(series**2, axis=(-1, -2))

    assert turning(points) > 0.3
    assert abs(turning(matched_ar1(points + 3.0, 200, 0) - 3.0).mean()) < 0.05
