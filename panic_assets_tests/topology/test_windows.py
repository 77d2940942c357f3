"""Delay embeddings of known series: circles score high, their period is found, and nothing moving scores nothing."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.topology.persistence import persistence_diagrams
from panic_assets.topology.windows import (
    Period,
    autocorrelation,
    leading_components,
    period_of,
    periodicity_score,
    sliding_windows,
    window_cloud,
    window_of,
)


def turning(points: int, period: float, noise: float = 0.0) -> np.ndarray:
    angle = 2 * np.pi * np.arange(points) / period
    shaken = noise * np.random.default_rng(0).standard_normal((points, 3))
    return np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) + shaken


def score(series: np.ndarray) -> float:
    return periodicity_score(persistence_diagrams(window_cloud(series, 100)[0], 1).diagrams[1])


@pytest.mark.parametrize("period", [5.0, 7.3, 12.0, 25.0])
def test_the_period_of_a_noisy_circle_is_found(period: float) -> None:
    found = period_of(turning(120, period, 0.3))
    assert found.length == pytest.approx(period, rel=0.04)
    assert 0.6 < found.strength <= 1.0


def test_what_has_no_period_gets_none() -> None:
    assert np.isnan(period_of(np.linspace(0, 1, 60)[:, None]).length)
    assert np.isnan(period_of(np.ones((60, 2))).length)


def test_autocorrelation_is_that_of_the_definition() -> None:
    series = np.random.default_rng(0).standard_normal((31, 3))
    centred = series - series.mean(axis=0)
    expected = [np.mean(np.sum(centred[: 31 - lag] * centred[lag:], axis=1)) for lag in range(11)]
    assert np.allclose(autocorrelation(series), np.array(expected) / expected[0])


def test_a_clean_circle_scores_what_geometry_says() -> None:
    # Windows of one period of a sampled circle lie on a great circle, neighbours 2 sin(pi / 20) apart.
    expected = 1 - 2 * np.sin(np.pi / 20) / np.sqrt(3)
    assert score(turning(120, 20)) == pytest.approx(expected, abs=0.03)


def test_noise_lowers_the_score_and_drift_does_not_hide_a_cycle() -> None:
    assert score(turning(120, 12)) > score(turning(120, 12, 0.3)) > 0.4
    drifting = turning(120, 12)
    drifting[:, 2] = np.linspace(0, 3, 120)
    assert score(drifting) > 0.6


def test_nothing_that_moves_one_way_or_not_at_all_scores() -> None:
    assert score(np.ones((50, 3))) == 0.0
    assert score(np.linspace(0, 1, 60)[:, None] * [1.0, 2.0]) < 1e-6
    still = np.full((40, 3), 0.1) + 1e-17 * np.random.default_rng(0).standard_normal((40, 3))
    assert score(leading_components(still, 2)[0]) == 0.0


def test_exact_cycles_of_three_points_or_of_unrelated_ones_have_no_loop() -> None:
    assert score(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])[np.arange(60) % 3]) < 1e-6
    assert score(turning(60, 5)) > 0.1
    assert score(np.eye(5)[np.arange(60) % 5]) < 1e-6, "stations that are all equally far apart"


def test_windows_are_centred_scaled_and_complete() -> None:
    series = np.random.default_rng(0).standard_normal((20, 2))
    windows = sliding_windows(series, 5)
    assert windows.shape == (16, 10)
    assert np.allclose(np.linalg.norm(windows, axis=1), 1.0)
    assert np.allclose(windows.reshape(16, 2, 5).sum(axis=2), 0.0)
    part = series[3:8] - series[3:8].mean(axis=0)
    assert np.allclose(windows[3].reshape(2, 5).T, part / np.linalg.norm(part))


def test_a_window_is_a_period_within_bounds() -> None:
    nan = float("nan")
    assert [window_of(Period(length, 1.0), 60) for length in (2.0, 7.4, 40.0, nan)] == [4, 7, 20, 20]


def test_leading_components_keep_the_variance_they_say() -> None:
    points = np.random.default_rng(0).standard_normal((50, 4)) * [3.0, 2.0, 0.5, 0.1]
    scores, held = leading_components(points, 2)
    assert scores.shape == (50, 2)
    assert held == pytest.approx(scores.var(axis=0).sum() / points.var(axis=0).sum())
    assert leading_components(np.ones((5, 3)), 2)[1] == 1.0
