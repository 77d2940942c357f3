"""Memory: the two numbers come back, and shuffles keep them and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.memory import NO_MEMORY, Memory, Shuffled, expected_ratios, fit_memory, lag_ratios
from panic_assets.geometry import distance_matrix
from panic_assets_tests.dynamics.systems import autoregression


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 1.0), st.integers(5, 80), st.lists(st.integers(30, 90), min_size=1, max_size=3))
def test_ratios_without_noise_give_the_memory_back(share: float, hundredths: int, sizes: list[int]) -> None:
    truth = Memory(share, hundredths / 100)
    found = fit_memory(expected_ratios(truth, sizes), sizes)
    assert found.phi == pytest.approx(truth.phi, abs=0.011)
    assert found.share == pytest.approx(share, rel=0.02)


def test_expected_ratios_are_those_of_a_long_series_in_parts() -> None:
    generator = np.random.default_rng(0)
    parts = [slice(0, 12), slice(12, 40)]
    found = lag_ratios(distance_matrix(autoregression(40, 20_000, 0.6, generator)), parts)
    assert found == pytest.approx(expected_ratios(Memory(1.0, 0.6), [12, 28]), abs=0.02)


def test_shuffles_keep_memory_and_spread_and_lose_the_change() -> None:
    generator = np.random.default_rng(1)
    distances = distance_matrix(autoregression(80, 2000, 0.7, generator))
    kept = fit_memory(lag_ratios(distances, [slice(0, 80)]), [80])
    for copy in Shuffled(distances, kept).draw(5, generator):
        again = fit_memory(lag_ratios(copy, [slice(0, 80)]), [80])
        assert again.inflation == pytest.approx(kept.inflation, rel=0.25)
        assert np.mean(copy**2) == pytest.approx(np.mean(distances**2), rel=0.1)
        assert not np.allclose(copy, distances, rtol=0.01)


def test_without_memory_points_are_shuffled() -> None:
    distances = distance_matrix(np.random.default_rng(2).standard_normal((9, 3)))
    (copy,) = Shuffled(distances, NO_MEMORY).draw(1, np.random.default_rng(0))
    assert np.array_equal(np.sort(copy, axis=None), np.sort(distances, axis=None))


def test_what_does_not_move_has_no_memory() -> None:
    assert fit_memory(lag_ratios(np.zeros((20, 20)), [slice(0, 20)]), [20]).inflation == 1.0
    assert NO_MEMORY.inflation == 1.0
