"""Points that join frozen clusters: which, how far out, and what must not change."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.clustering.assigning import Atlas, nearest_of, neighbours
from panic_assets.clustering.density import OUTLIER, Parameters, cluster
from panic_assets_tests.clustering.test_density import blobs


def atlas_of(points: np.ndarray) -> Atlas:
    found = cluster(points)
    return Atlas.of(points, found.labels, found.probabilities, Parameters())


def test_points_of_a_blob_join_its_cluster_and_far_ones_none() -> None:
    atlas = atlas_of(blobs((300, 200)))
    labels, probabilities = atlas.assign(np.concatenate([blobs((60, 40), seed=9), -np.eye(16, dtype=np.float32)[5:9]]))
    assert set(labels[:60]) <= {0, OUTLIER}
    assert set(labels[60:100]) <= {1, OUTLIER}
    assert (labels[:100] != OUTLIER).mean() > 0.8
    assert labels[100:].tolist() == [OUTLIER] * 4
    assert ((probabilities > 0) == (labels != OUTLIER)).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_a_repeat_of_an_outlier_is_an_outlier_and_that_of_a_member_within_reach_a_member(seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal((20, 48)).astype(np.float32)
    points = np.concatenate([blobs((40, 40), 48, seed=seed), noise])
    found = cluster(points)
    labels, probabilities = atlas_of(points).assign(points)
    assert np.array_equal(labels, found.labels)
    assert np.array_equal(probabilities, found.probabilities)


def test_nothing_frozen_and_nothing_new() -> None:
    empty = np.empty((0, 4), np.float32)
    nothing = Atlas.of(empty, np.empty(0, np.int32), np.empty(0, np.float32), Parameters())
    assert nothing.assign(np.ones((2, 4)))[0].tolist() == [OUTLIER] * 2
    assert len(atlas_of(blobs((20, 20))).assign(np.empty((0, 16)))[0]) == 0


def test_neighbours_are_those_of_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    some, points = generator.standard_normal((50, 6)), generator.standard_normal((70, 6))
    full = np.linalg.norm(some[:, None] - points, axis=2)
    distances, indices = neighbours(some, points, 4)
    assert np.allclose(distances, np.sort(full, axis=1)[:, :4])
    assert np.array_equal(indices, np.argsort(full, axis=1)[:, :4])
    blocks = list(nearest_of(some, points))
    assert np.array_equal(np.concatenate([nearest for _, nearest, _ in blocks]), full.argmin(axis=1))
