"""Loops that are planted are found, autoregressions pass for what they are, and odd runs are borne."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.topology_nulls import (
    MEASURES,
    Options,
    compare_with_nulls,
    compute,
    measured,
    path_of,
    spread_of,
)
from panic_assets.dynamics.uncertainty import permutation_p
from panic_assets.topology.persistence import persistence_diagrams
from panic_assets_tests.dynamics.systems import corpus, on_sphere, trajectory
from panic_assets_tests.topology.test_surrogates import settling

H1_MAX = [measure.name for measure in MEASURES].index("h1_max_persistence")


def ring(points: int, seed: int, noise: float = 0.3) -> np.ndarray:
    """A noisy circle around a point of the unit sphere, in twelve dimensions."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(points) / 9.7
    found = noise * rng.standard_normal((points, 12)) / np.sqrt(12)
    found[:, :3] += np.stack([np.cos(angle), np.sin(angle), np.full(points, 4.0)], axis=1)
    return on_sphere(found)


def test_a_planted_circle_stands_out_of_every_null_model() -> None:
    options = Options(surrogates=19)
    observed, null = compare_with_nulls([path_of(ring(60, 0), 100)], [0], options, workers=1)
    assert null.shape == (1, 3, 19, len(MEASURES))
    for kind in range(3):
        assert permutation_p(observed[0, H1_MAX], null[0, kind, :, H1_MAX]) == pytest.approx(0.05)


def test_an_autoregression_is_significant_as_often_as_promised() -> None:
    options = Options(nulls=("phase", "ar1"), surrogates=19)
    paths = [path_of(settling(30, 6, 0.6, seed), 100) for seed in range(40)]
    observed, null = compare_with_nulls(paths, list(range(40)), options, workers=1)
    for kind in range(2):
        p = np.array([permutation_p(o[H1_MAX], n[kind, :, H1_MAX]) for o, n in zip(observed, null, strict=True)])
        assert np.mean(p <= 0.05) <= 0.15, "nominal 0.05, three standard errors above"
        assert 0.3 < p.mean() < 0.7


def test_repeats_are_dropped_and_distances_kept() -> None:
    points = ring(30, 0)
    path = path_of(points[[0, 0, 1, 2, 1, *range(3, 30), 3]], None)
    assert path.shape[0] == 30
    assert np.allclose(path @ path.T, points.astype(float) @ points.T.astype(float))
    assert path_of(points, 10).shape[0] == 10


def test_measures_do_not_depend_on_the_unit_of_distance() -> None:
    points = ring(40, 1).astype(float)
    small, large = (measured(persistence_diagrams(c * points), spread_of(c * points)) for c in (1.0, 5.0))
    assert np.allclose(small, large, equal_nan=True)


def test_findings_tell_shares_of_runs_and_odd_runs_are_borne(tmp_path: Path) -> None:
    runs = [trajectory(i, ring(40, i), network="A -> B", prompt=i % 2) for i in range(5)]
    runs += [
        trajectory(5, np.repeat(ring(1, 0), 20, axis=0), network="A -> B"),
        trajectory(6, ring(1, 9), network="C -> D"),
    ]
    options = Options(nulls=("ar1",), surrogates=19, runs_per_network=6)
    first = compute(corpus(tmp_path, runs), options)
    second = compute(corpus(tmp_path, runs), options)
    assert first.tables("small", "topology_nulls") == second.tables("small", "topology_nulls")
    rows = {(row.group.network, row.statistic): row for row in first.groups}
    share = rows["A -> B", "share_ar1_h1_max_persistence"]
    assert (share.estimate.value, share.runs) == (1.0, 5)
    assert share.p_adjusted is not None
    assert share.p_value is not None
    assert share.p_value <= share.p_adjusted < 0.05
    assert rows["A -> B", "excess_ar1_h1_max_persistence"].estimate.low > 1.0
    assert np.isnan(rows["C -> D", "share_ar1_h1_max_persistence"].estimate.value)
    told = {row.run_number: row for row in first.runs if row.statistic == "p_ar1_h1_max_persistence"}
    assert np.isnan(told[5].value or 0.0)
    assert told[5].details == {"why": "fewer than 10 distinct points", "points": 1}
    assert not any("h2" in row.statistic for row in first.runs)
