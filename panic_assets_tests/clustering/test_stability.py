"""Checks of a clustering: planted blobs come back, noise does not, outliers are where points are sparse."""

from __future__ import annotations

import numpy as np

from panic_assets.clustering.density import OUTLIER, Parameters, cluster
from panic_assets.clustering.stability import diagnostics, stability
from panic_assets_tests.clustering.test_density import blobs


def test_planted_blobs_are_recovered_from_every_subsample() -> None:
    points = blobs((100, 60, 40))
    found = stability(points, np.arange(200) % 10, cluster(points).labels, Parameters())
    assert found.agreement > 0.95
    assert (found.recovery > 0.95).all()


def test_labels_that_have_nothing_to_do_with_the_points_are_not_recovered() -> None:
    points = blobs((60, 60))
    found = stability(points, np.arange(120) // 2 % 10, np.arange(120) % 2, Parameters())
    assert abs(found.agreement) < 0.1
    assert found.recovery.max() < 0.6


def test_one_run_says_nothing() -> None:
    points = blobs((30, 30))
    found = stability(points, np.zeros(60, int), cluster(points).labels, Parameters())
    assert np.isnan(found.agreement)
    assert np.isnan(found.recovery).all()


def test_outliers_of_a_sparse_background_are_told_from_a_fringe() -> None:
    background = np.random.default_rng(0).standard_normal((40, 16)).astype(np.float32)
    points = np.concatenate([blobs((150, 150)), background])
    labels = np.repeat([0, 1, OUTLIER], [150, 150, 40])
    sparse = diagnostics(points, labels, Parameters())
    assert sparse["distance_ratio"] > 2
    labels[:40] = OUTLIER  # as if a quarter of a dense blob had been left out
    fringe = diagnostics(points[:300], labels[:300], Parameters())
    assert 0.8 < fringe["distance_ratio"] < 1.2
    assert fringe["among_members"] > 0.8
    assert sparse["outliers"] == 40
    assert [one["min_cluster_size"] for one in sparse["sweep"]] == [2, 5, 10, 20]


def test_few_points_have_diagnostics_too() -> None:
    for count in (1, 3, 20):
        assert diagnostics(blobs((count,)), np.full(count, OUTLIER), Parameters())["outliers"] == count
