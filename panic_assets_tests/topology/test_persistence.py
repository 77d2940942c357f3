"""Diagrams of trajectories: known shapes, invariances, repeats, few points, threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.geometry import PointsError, distance_matrix
from panic_assets.topology.persistence import (
    Diagrams,
    SettingsError,
    diagrams_of,
    diagrams_of_distances,
    persistence_diagrams,
)
from panic_assets_tests.topology.clouds import circle, collapse, figure_eight, noise, sphere, torus

seeds = st.integers(0, 2**32 - 1)


def prominent(diagrams: Diagrams, dimension: int, share: float = 0.4) -> int:
    """How many bars are longer than ``share`` of the cloud's unit radius."""
    diagram = diagrams.diagrams[dimension]
    return int(np.count_nonzero(diagram.deaths - diagram.births > share))


def assert_same(one: Diagrams, other: Diagrams, scale: float = 1.0, tolerance: float = 1e-9) -> None:
    assert (one.points, one.distinct_points, one.status) == (other.points, other.distinct_points, other.status)
    for mine, theirs in zip(one.diagrams, other.diagrams, strict=True):
        assert mine.homology_dimension == theirs.homology_dimension
        np.testing.assert_allclose(scale * mine.births, theirs.births, rtol=tolerance, atol=tolerance * scale)
        np.testing.assert_allclose(scale * mine.deaths, theirs.deaths, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("cloud", "betti"),
    [
        (circle(60), (1, 1, 0)),
        (figure_eight(50), (1, 2, 0)),
        (sphere(120), (1, 0, 1)),
        (torus(13), (1, 2, 1)),
    ],
    ids=["circle", "figure eight", "sphere", "torus"],
)
def test_known_shapes_have_their_betti_numbers(cloud: np.ndarray, betti: tuple[int, int, int]) -> None:
    diagrams = persistence_diagrams(cloud)
    assert tuple(prominent(diagrams, k) - (k == 0) * (prominent(diagrams, 0) - 1) for k in range(3)) == betti
    assert np.isinf(diagrams.diagrams[0].deaths).sum() == 1
    assert diagrams.status == "complete"
    assert diagrams.threshold is None
    assert diagrams.seconds > 0


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 25), st.integers(1, 5), seeds)
def test_order_rotation_and_translation_change_nothing_and_scaling_scales(points: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cloud = rng.standard_normal((points, columns))
    diagrams = persistence_diagrams(cloud)
    rotation = np.linalg.qr(rng.standard_normal((columns, columns)))[0]
    assert_same(diagrams, persistence_diagrams(cloud[rng.permutation(points)]))
    assert_same(diagrams, persistence_diagrams(cloud @ rotation + rng.standard_normal(columns)))
    assert_same(diagrams, persistence_diagrams(cloud * 1000.0), scale=1000.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), seeds)
def test_repeated_points_add_no_bars(points: int, repeats: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cloud = rng.standard_normal((points, 3))
    once, often = persistence_diagrams(cloud), persistence_diagrams(cloud[list(range(points)) + [0] * repeats])
    assert (often.points, often.distinct_points) == (points + repeats, points)
    for mine, theirs in zip(once.diagrams, often.diagrams, strict=True):
        np.testing.assert_allclose(mine.deaths, theirs.deaths, rtol=1e-12)


def test_a_run_that_settles_into_an_exact_cycle_has_no_spurious_bars() -> None:
    diagrams = persistence_diagrams(collapse(300, transient=75))
    assert diagrams.distinct_points == len(diagrams.diagrams[0].deaths) == 79
    for diagram in diagrams.diagrams:
        assert (diagram.deaths - diagram.births > 1e-3).all()


def test_bars_are_sorted_and_have_a_length() -> None:
    for diagram in persistence_diagrams(torus(8)).diagrams:
        bars = list(zip(diagram.births, diagram.deaths, strict=True))
        assert bars == sorted(bars)
        assert all(birth < death for birth, death in bars)
        assert diagram.births.dtype == diagram.deaths.dtype == np.float64


@pytest.mark.parametrize(("points", "status"), [(0, "too_few_points"), (1, "too_few_points"), (2, "complete")])
def test_few_points_have_the_bars_they_can_have(points: int, status: str) -> None:
    diagrams = persistence_diagrams(np.arange(2.0 * points).reshape(points, 2))
    assert diagrams.status == status
    assert [len(diagram.deaths) for diagram in diagrams.diagrams] == [points, 0, 0]
    assert diagrams.diagrams[0].deaths.tolist() == [np.sqrt(8.0)] * (points - 1) + [np.inf] * (points > 0)


def test_a_run_that_never_moves_is_one_point() -> None:
    diagrams = persistence_diagrams(np.ones((5, 3), np.float32))
    assert (diagrams.points, diagrams.distinct_points, diagrams.status) == (5, 1, "complete")
    assert diagrams.diagrams[0].deaths.tolist() == [np.inf]


def test_only_the_dimensions_asked_for_are_computed() -> None:
    assert [diagram.homology_dimension for diagram in persistence_diagrams(circle(20), 0).diagrams] == [0]
    assert [diagram.homology_dimension for diagram in persistence_diagrams(circle(20), 1).diagrams] == [0, 1]


def test_a_threshold_that_hides_something_is_told() -> None:
    diagrams = persistence_diagrams(circle(60), threshold=0.5)
    assert (diagrams.status, diagrams.threshold) == ("thresholded", 0.5)
    assert diagrams.diagrams[1].deaths.tolist() == [np.inf]


def test_a_threshold_that_hides_nothing_is_not() -> None:
    whole, cut = persistence_diagrams(circle(60)), persistence_diagrams(circle(60), threshold=3.0)
    assert cut.threshold is None
    assert_same(whole, cut, tolerance=0)


def test_a_matrix_gives_what_its_points_give() -> None:
    cloud = collapse(60, transient=30, dimensions=5)
    assert_same(persistence_diagrams(cloud), diagrams_of_distances(distance_matrix(cloud)))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), "square"),
        (np.array([[0.0, np.nan], [np.nan, 0.0]]), "finite"),
        (np.array([[0.0, -1.0], [-1.0, 0.0]]), "not negative"),
        (np.array([[1.0, 1.0], [1.0, 0.0]]), "diagonal"),
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
    ],
)
def test_what_is_no_distance_matrix_is_refused(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(PointsError, match=message):
        diagrams_of_distances(matrix)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingsError, match="max_dimension is -1"):
        persistence_diagrams(circle(5), -1)
    with pytest.raises(SettingsError, match="threshold is nan"):
        persistence_diagrams(circle(5), threshold=float("nan"))
    with pytest.raises(SettingsError, match="workers is 0"):
        diagrams_of([], workers=0)
    with pytest.raises(SettingsError, match="budget_seconds is 0"):
        diagrams_of([], budget_seconds=0)


def test_threads_give_the_results_of_one_and_keep_the_order() -> None:
    clouds = [noise(points, 6, seed=points) for points in (40, 3, 0, 25, 31, 1, 18, 40)]
    told: dict[int, Diagrams] = {}
    threaded = diagrams_of(clouds, workers=3, on_done=told.__setitem__)
    single = diagrams_of(clouds, workers=1)
    assert [diagrams.points for diagrams in threaded] == [len(cloud) for cloud in clouds]
    assert [told[position] for position in range(len(clouds))] == threaded
    for cloud, one, other in zip(clouds, single, threaded, strict=True):
        assert_same(one, other, tolerance=0)
        assert_same(one, persistence_diagrams(cloud), tolerance=1e-12)


def test_trajectories_are_drawn_only_as_threads_become_free() -> None:
    drawn, finished = [], []

    def clouds() -> Iterator[np.ndarray]:
        for position in range(20):
            drawn.append(position)
            assert len(drawn) - len(finished) <= 2 * 2
            yield circle(10)

    assert len(diagrams_of(clouds(), workers=2, on_done=lambda position, _: finished.append(position))) == 20


def test_an_unusable_trajectory_is_named_by_its_position() -> None:
    with pytest.raises(PointsError, match=r"trajectory 1: points has NaN or infinity in row 0, 1, 2 of 3"):
        diagrams_of([circle(10), np.full((3, 2), np.nan)], workers=1)
