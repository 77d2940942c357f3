"""Distances: exact zeros where rows repeat, never elsewhere, and plain words for unusable points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from panic_assets.geometry import PointsError, checked_points, distance_matrix, distinct_rows
from panic_assets_tests.topology.clouds import collapse, noise

clouds = hnp.arrays(
    dtype=st.sampled_from([np.float32, np.float64]),
    shape=hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-1000, 1000, width=32),
)


@settings(max_examples=60, deadline=None)
@given(clouds)
def test_a_matrix_agrees_with_the_differences_and_is_zero_exactly_on_equal_rows(points: np.ndarray) -> None:
    matrix = distance_matrix(points)
    expected = cdist(points.astype(float), points.astype(float))
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=0)
    assert matrix.dtype == np.float64
    assert np.array_equal(matrix, matrix.T)
    assert np.array_equal(matrix == 0, (points[:, None] == points[None]).all(axis=2))


def test_repeats_of_a_settled_run_have_distance_zero() -> None:
    points = collapse(300, transient=75)
    matrix = distance_matrix(points)
    assert np.array_equal(matrix[100], matrix[104])
    assert matrix[100, 104] == 0
    assert np.count_nonzero(np.tril(matrix == 0, k=-1)) == np.count_nonzero(
        np.tril((points[:, None, :8] == points[None, :, :8]).all(axis=2), k=-1)
    )


def test_unit_vectors_that_are_not_quite_unit_keep_thirteen_digits() -> None:
    points = noise(120, 768)
    np.testing.assert_allclose(distance_matrix(points), cdist(points.astype(float), points.astype(float)), rtol=1e-13)


def test_points_near_together_and_far_from_the_origin_keep_their_distance() -> None:
    points = np.array([[1e6, 0.0], [1e6 + 1e-6, 0.0], [1e6, 2e-6]])
    expected = cdist(points, points)
    np.testing.assert_allclose(distance_matrix(points), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_very_small_and_very_large_points_neither_underflow_nor_overflow(size: float) -> None:
    points = noise(6, 5).astype(np.float64)
    np.testing.assert_allclose(distance_matrix(points * size), size * distance_matrix(points), rtol=1e-12)


def test_minus_zero_is_zero() -> None:
    assert distance_matrix(np.array([[0.0, 1.0], [-0.0, 1.0]])).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_distinct_rows_come_in_order_of_first_occurrence() -> None:
    first, which = distinct_rows(np.array([[2.0], [1.0], [2.0], [3.0], [1.0]]))
    assert first.tolist() == [0, 1, 3]
    assert which.tolist() == [0, 1, 0, 2, 1]


def test_no_points_give_an_empty_matrix() -> None:
    assert distance_matrix(np.empty((0, 3), np.float32)).shape == (0, 0)


def test_the_points_given_are_left_alone() -> None:
    points = noise(5, 3).astype(np.float64)
    before = points.copy()
    distance_matrix(points)
    assert np.array_equal(points, before)


def test_rows_that_are_not_finite_are_named() -> None:
    points = noise(9, 4)
    points[[1, 2, 3, 4, 6, 8], 0] = [np.nan, np.inf, -np.inf, np.nan, np.nan, np.nan]
    with pytest.raises(PointsError, match=r"row 1, 2, 3, 4, 6 and 1 more of 9"):
        distance_matrix(points)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        (np.zeros((3, 2), dtype=int), "dtype int64"),
    ],
)
def test_arrays_of_another_kind_are_refused(points: np.ndarray, message: str) -> None:
    with pytest.raises(PointsError, match=message):
        checked_points(points)
