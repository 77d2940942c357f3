"""Rips persistence: the same bars as two independent ways to compute them, whichever way is taken inside."""

from __future__ import annotations

from itertools import combinations

import gudhi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.geometry import distances_of_distinct
from panic_assets.topology import rips
from panic_assets.topology.contraction import enclosing_radius
from panic_assets_tests.topology.clouds import noise, sphere, torus


def by_simplex_tree(matrix: np.ndarray, max_dimension: int, threshold: float = np.inf) -> list[np.ndarray]:
    """The explicit complex, every simplex of it, without a cut at the enclosing radius."""
    # Without persistence_dim_max, gudhi leaves out the highest dimension of a complex that has no larger simplex.
    tree = gudhi.RipsComplex(distance_matrix=matrix, max_edge_length=threshold).create_simplex_tree(max_dimension + 1)
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0, persistence_dim_max=True)
    bars = [tree.persistence_intervals_in_dimension(k).reshape(-1, 2) for k in range(max_dimension + 1)]
    return [of_dimension[np.lexsort((of_dimension[:, 1], of_dimension[:, 0]))] for of_dimension in bars]


def by_column_reduction(matrix: np.ndarray, max_dimension: int) -> list[np.ndarray]:
    """The textbook algorithm on the boundary matrix over two elements: columns as sets of row numbers."""

    def value(simplex: tuple[int, ...]) -> float:
        return max((matrix[i, j] for i, j in combinations(simplex, 2)), default=0.0)

    simplices = [s for k in range(1, max_dimension + 3) for s in combinations(range(len(matrix)), k)]
    simplices.sort(key=lambda s: (value(s), len(s), s))
    position = {simplex: i for i, simplex in enumerate(simplices)}
    with_lowest: dict[int, set[int]] = {}
    unpaired: set[int] = set()
    bars: list[list[tuple[float, float]]] = [[] for _ in range(max_dimension + 2)]
    for i, simplex in enumerate(simplices):
        column = {position[face] for face in combinations(simplex, len(simplex) - 1) if face}
        while column and max(column) in with_lowest:
            column ^= with_lowest[max(column)]
        if not column:
            unpaired.add(i)
            continue
        lowest = max(column)
        with_lowest[lowest] = column
        unpaired.remove(lowest)
        if value(simplices[lowest]) < value(simplex):
            bars[len(simplices[lowest]) - 1].append((value(simplices[lowest]), value(simplex)))
    for i in unpaired:
        bars[len(simplices[i]) - 1].append((value(simplices[i]), np.inf))
    return [np.array(sorted(of_dimension)).reshape(-1, 2) for of_dimension in bars[: max_dimension + 1]]


def assert_same_bars(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2), st.integers(0, 2**32 - 1))
def test_bars_agree_with_the_textbook_algorithm(points: int, columns: int, max_dimension: int, seed: int) -> None:
    matrix = distances_of_distinct(np.random.default_rng(seed).standard_normal((points, columns)))
    assert_same_bars(rips.rips_bars(matrix, max_dimension), by_column_reduction(matrix, max_dimension))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 18), st.integers(2, 6), st.sampled_from([np.inf, 2.0, 1.0, 0.1]), st.integers(0, 2**32 - 1))
def test_bars_agree_with_the_explicit_complex(points: int, columns: int, threshold: float, seed: int) -> None:
    matrix = distances_of_distinct(np.random.default_rng(seed).standard_normal((points, columns)))
    assert_same_bars(rips.rips_bars(matrix, 2, threshold), by_simplex_tree(matrix, 2, threshold))


def test_ties_in_the_distances_do_not_matter() -> None:
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    matrix = distances_of_distinct(grid)
    assert_same_bars(rips.rips_bars(matrix, 2), by_simplex_tree(matrix, 2))


@pytest.mark.parametrize(
    ("cloud", "pays"), [(noise(150, 768).astype(float), False), (torus(13), False), (sphere(200)[:, :2], True)]
)
def test_collapse_is_chosen_by_shape_and_both_ways_give_the_same_bars(
    cloud: np.ndarray, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = distances_of_distinct(cloud)
    radius = 0.8 * enclosing_radius(matrix)
    outwards = np.argsort(matrix.mean(axis=1), kind="stable")
    assert rips._collapse_pays(matrix, outwards, enclosing_radius(matrix)) is pays
    ways = []
    for choice in (True, False):
        monkeypatch.setattr(rips, "_collapse_pays", lambda *_, choice=choice: choice)
        ways.append(rips.rips_bars(matrix, 2 if len(matrix) > 160 else 1, radius))
    assert_same_bars(*ways)


def test_a_large_cloud_is_collapsed_whatever_its_shape() -> None:
    matrix = distances_of_distinct(noise(300, 8).astype(float))
    assert rips._collapse_pays(matrix, np.arange(300), enclosing_radius(matrix)) is True
