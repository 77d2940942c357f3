"""The scale to cut at: nothing may happen beyond it, and it should be well below the enclosing radius where it can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.geometry import distances_of_distinct
from panic_assets.topology import contraction, rips
from panic_assets.topology.contraction import contraction_radius, enclosing_radius
from panic_assets_tests.topology.clouds import circle, figure_eight, noise, sphere, torus
from panic_assets_tests.topology.test_rips import assert_same_bars, by_simplex_tree


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(1, 4), st.floats(0.05, 1.0), st.integers(0, 2**32 - 1))
def test_nothing_is_born_or_dies_beyond_it(points: int, columns: int, candidates: float, seed: int) -> None:
    matrix = distances_of_distinct(np.random.default_rng(seed).standard_normal((points, columns)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contraction, "_CANDIDATES_PER_POINT", candidates)
        radius = contraction_radius(matrix)
    ends = np.concatenate(by_simplex_tree(matrix, 2))
    assert ends[np.isfinite(ends)].max(initial=0.0) <= radius <= enclosing_radius(matrix)


def test_points_at_equal_distances_do_not_all_remove_one_another() -> None:
    """A grid is full of ties and of points that dominate each other."""
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    matrix = distances_of_distinct(grid)
    ends = np.concatenate(by_simplex_tree(matrix, 1))
    assert ends[np.isfinite(ends)].max() <= contraction_radius(matrix) < enclosing_radius(matrix)


@pytest.mark.parametrize(
    "cloud",
    [circle(200), figure_eight(110), sphere(200), torus(15)[:210], noise(220, 12).astype(float)],
    ids=["circle", "figure eight", "sphere", "torus", "noise"],
)
def test_cutting_there_leaves_every_bar(cloud: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = distances_of_distinct(cloud)
    max_dimension = 1 if cloud.shape[1] == 12 else 2
    cut = rips.rips_bars(matrix, max_dimension)
    monkeypatch.setattr(rips, "_CONTRACTION_PAYS_POINTS", 10**9)
    assert_same_bars(cut, rips.rips_bars(matrix, max_dimension))


def test_a_path_contracts_before_one_point_reaches_all_others() -> None:
    line = np.linspace(0.0, 1.0, 50)[:, None] ** 1.3
    matrix = distances_of_distinct(line)
    assert contraction_radius(matrix) < 0.9 * enclosing_radius(matrix)


def test_one_point_is_contractible_from_the_start() -> None:
    assert contraction_radius(np.zeros((1, 1))) == 0.0
