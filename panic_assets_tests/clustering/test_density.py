"""Density clustering on planted blobs: what is found, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.clustering.density import OUTLIER, Clustering, ClusteringError, Parameters, cluster


def blobs(sizes: tuple[int, ...], dimension: int = 16, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    """Points near orthogonal directions, float32; the first ``sizes[0]`` rows are near the first one, and so on."""
    centres = np.repeat(np.eye(dimension)[: len(sizes)], sizes, axis=0)
    return (centres + spread * np.random.default_rng(seed).standard_normal(centres.shape)).astype(np.float32)


def partition(labels: np.ndarray) -> set[frozenset[int]]:
    """Clusters as sets of rows, without their numbers."""
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in range(labels.max(initial=-1) + 1)}


def cosine_medoid(points: np.ndarray, members: np.ndarray) -> int:
    """By its definition: the distinct member of the largest mean cosine to the others."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    distinct = np.unique(unit[members], axis=0)
    best = distinct[np.argmax((distinct @ distinct.T).mean(1))]
    return int(members[np.argmax(unit[members] @ best)])


def test_planted_blobs_are_found_and_numbered_by_size() -> None:
    sizes = (20, 60, 40)
    found = cluster(blobs(sizes))
    assert partition(found.labels) == {frozenset(range(20)), frozenset(range(20, 80)), frozenset(range(80, 120))}
    assert [int((found.labels == k).sum()) for k in range(3)] == [60, 40, 20]
    assert (found.distinct, found.outlier_share) == (120, 0.0)
    assert found.labels.dtype == np.int32
    assert found.probabilities.dtype == np.float32
    assert found.medoids.dtype == np.int64
    assert ((found.probabilities > 0) & (found.probabilities <= 1)).all()


def test_blobs_are_found_in_many_dimensions_with_and_without_components() -> None:
    points = blobs((30, 30), dimension=300, spread=0.02)
    expected = {frozenset(range(30)), frozenset(range(30, 60))}
    assert partition(cluster(points).labels) == expected
    assert partition(cluster(points, Parameters(components=None)).labels) == expected


def test_medoids_are_members_of_their_cluster_and_lie_at_its_heart() -> None:
    points = blobs((30, 50, 20))
    found = cluster(points)
    assert len(found.medoids) == 3
    for number, medoid in enumerate(found.medoids.tolist()):
        assert found.labels[medoid] == number
        assert medoid == cosine_medoid(points, np.flatnonzero(found.labels == number))


def test_what_lies_apart_is_an_outlier() -> None:
    far = -np.eye(16, dtype=np.float32)[5:9] * 3
    found = cluster(np.concatenate([blobs((40, 40)), far]))
    assert found.labels[80:].tolist() == [OUTLIER] * 4
    assert (found.labels[:80] != OUTLIER).all()
    assert found.probabilities[80:].tolist() == [0.0] * 4
    assert found.outlier_share == pytest.approx(4 / 84)


def test_length_does_not_matter() -> None:
    points = blobs((30, 30))
    stretched = points * np.exp2(np.arange(60) % 7)[:, None]  # powers of two, which keep the direction to the bit
    assert np.array_equal(cluster(points).labels, cluster(stretched.astype(np.float32)).labels)


def test_copies_are_clustered_as_one_and_get_one_label() -> None:
    points = blobs((30, 30))
    alone = cluster(points)
    copied = cluster(np.concatenate([points, np.repeat(points[:1], 500, axis=0)]))
    assert partition(copied.labels[:60]) == partition(alone.labels)
    assert set(copied.labels[60:].tolist()) == {copied.labels[0]}
    assert copied.distinct == alone.distinct == 60
    # Numbers go by outputs, copies included; the medoid is that of the distinct points.
    assert copied.labels[0] == 0
    assert copied.medoids[0] == alone.medoids[alone.labels[0]]


def test_many_copies_of_few_points_make_no_cluster() -> None:
    found = cluster(np.repeat(blobs((4,)), 100, axis=0))
    assert (found.distinct, len(found.medoids), found.outlier_share) == (4, 0, 1.0)


def test_equal_data_give_equal_results() -> None:
    points = np.random.default_rng(1).standard_normal((300, 64)).astype(np.float32)
    first, second = cluster(points), cluster(points.copy())
    for name in ("labels", "probabilities", "medoids"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_the_order_of_rows_does_not_matter(seed: int, planted: bool) -> None:
    generator = np.random.default_rng(seed)
    points = blobs((25, 35, 15), seed=seed) if planted else generator.standard_normal((90, 48)).astype(np.float32)
    points = np.concatenate([points, points[:10]])
    order = generator.permutation(len(points))
    straight, shuffled = cluster(points), cluster(points[order])
    assert np.array_equal(straight.labels[order], shuffled.labels)
    assert np.array_equal(straight.probabilities[order], shuffled.probabilities)
    assert np.array_equal(points[straight.medoids], points[order][shuffled.medoids])


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_too_few_points_are_outliers(count: int) -> None:
    found = cluster(blobs((count,)))
    assert found.labels.tolist() == [OUTLIER] * count
    assert found.probabilities.tolist() == [0.0] * count
    assert (len(found.medoids), found.distinct) == (0, count)
    assert found.outlier_share == (1.0 if count else 0.0)


def test_all_equal_points_are_one_point() -> None:
    found = cluster(np.ones((50, 8), np.float32))
    assert (found.distinct, found.outlier_share) == (1, 1.0)
    assert found.labels.tolist() == [OUTLIER] * 50


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_rows_without_a_direction_are_refused_by_number(bad: float) -> None:
    points = blobs((20,))
    points[7] = bad
    with pytest.raises(ClusteringError, match="row 7 of 20"):
        cluster(points)


def test_the_smallest_cluster_grows_with_the_points() -> None:
    assert Parameters().smallest(100) == 5
    assert Parameters().smallest(10_000) == 20
    points = blobs((12, 40))
    assert len(cluster(points, Parameters(floor=12)).medoids) == 2
    few = cluster(points, Parameters(floor=20))
    assert not any(group <= frozenset(range(12)) for group in partition(few.labels))


def test_parameters_as_plain_values_are_those_that_decide() -> None:
    assert Parameters(floor=7).as_dict() == {
        "share": 0.002,
        "floor": 7,
        "min_samples": 3,
        "components": 32,
        "selection": "eom",
        "landmarks": 20_000,
    }


def test_share_of_outliers_of_nothing() -> None:
    empty = np.empty(0)
    assert Clustering(empty.astype(np.int32), empty.astype(np.float32), empty.astype(np.int64), 0).outlier_share == 0.0
