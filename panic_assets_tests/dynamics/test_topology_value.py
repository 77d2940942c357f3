"""Where only the shape differs, topology is found to help; where it repeats what is known, it is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.corpus import Corpus, Trajectory
from panic_assets.dynamics.findings import GroupStatistic
from panic_assets.dynamics.topology_value import (
    BASELINE,
    Options,
    baseline_features,
    compute,
    dwell_times,
    final_drift,
)
from panic_assets.topology.features import diagram_features
from panic_assets.topology.persistence import diagrams_of
from panic_assets_tests.dynamics.systems import corpus, on_sphere, trajectory

QUICK = Options(permutations=39)


def shaped(kind: str, seed: int, points: int = 40) -> np.ndarray:
    """A circle, or a way to and fro of the same spread and the same steps, with noise; no two points equal."""
    rng = np.random.default_rng(seed)
    turns = np.arange(points) / rng.uniform(9, 11) + rng.random()
    if kind == "circle":
        flat = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
    else:
        # A triangle wave of root mean square 1 has steps as long as the circle's if its period is 1.12 times as long.
        flat = np.sqrt(3) * (4 * np.abs(turns / 1.12 % 1 - 0.5) - 1)[:, None] * [0.8, 0.6]
    lifted = np.column_stack([rng.uniform(0.7, 1.3) * flat, np.full(points, 4.0), np.zeros((points, 5))])
    return on_sphere(lifted + 0.05 * rng.standard_normal((points, 8)))


def with_features(folder: Path, runs: list[Trajectory]) -> Corpus:
    made = corpus(folder, runs)
    found = diagrams_of([one.vectors for one in runs], 1, workers=1)
    place = {"experiment": "small", "embedding_model": "Model", "modality": "text"}
    rows = [
        place | {"run_number": one.run.number} | asdict(diagram_features(diagram))
        for one, diagrams in zip(runs, found, strict=True)
        for diagram in diagrams.diagrams
    ]
    with made.lake.writer("persistence_features", "small") as writer:
        writer.append(rows)
        writer.commit()
    return made


def gains(made: Corpus) -> dict[str, GroupStatistic]:
    rows = compute(made, QUICK).groups
    return {row.group.contrast: row for row in rows if row.statistic == "topology_gain"}


def test_topology_helps_where_only_the_shape_differs(tmp_path: Path) -> None:
    kinds = ("circle", "to and fro")
    runs = [trajectory(i, shaped(kinds[i % 2], i), network=kinds[i % 2], prompt=(i // 2) % 10) for i in range(60)]
    row = gains(with_features(tmp_path / "lake", runs))["target=network"]
    assert row.estimate.low > 0.05
    assert row.p_value is not None
    assert row.p_value <= 0.05
    assert row.details is not None
    assert row.details["finding"].startswith("Topology says more than duplicates and dwell times about the network")


def test_topology_does_not_help_where_networks_are_alike(tmp_path: Path) -> None:
    runs = [trajectory(i, shaped("circle", i), network=f"net {i % 2}", prompt=(i // 2) % 10) for i in range(60)]
    found = gains(with_features(tmp_path / "lake", runs))
    row = found["target=network"]
    assert row.estimate.low <= 0 <= row.estimate.high
    assert row.details is not None
    assert "nothing that can be shown" in row.details["finding"]
    unknown = found["target=stop_reason"]
    assert unknown.details is not None
    assert unknown.details["why"] == "fewer than two classes of at least five runs"


def test_without_diagrams_or_with_few_runs_it_says_so(tmp_path: Path) -> None:
    runs = [trajectory(i, shaped("circle", i, max(1, 5 * i))) for i in range(3)]
    found = compute(corpus(tmp_path / "lake", runs), QUICK).groups
    assert all(np.isnan(row.estimate.value) for row in found)
    assert {row.details["why"] for row in found if row.details and row.statistic == "topology_gain"} == {
        "no persistence features"
    }
    assert compute(corpus(tmp_path / "other", []), QUICK).groups == []


def test_loops_are_correlated_with_what_runs_do(tmp_path: Path) -> None:
    runs = [trajectory(i, shaped("circle", i), network="net") for i in range(20)]
    found = {row.statistic: row for row in compute(with_features(tmp_path / "lake", runs), QUICK).groups}
    for name in ("loops_with_drift", "loops_with_recurrence"):
        assert -1 <= found[name].estimate.low <= found[name].estimate.value <= found[name].estimate.high <= 1
        assert found[name].runs == 20


def test_baseline_features_count_repeats_and_dwells() -> None:
    assert dwell_times(np.array([0, 0, 1, 0, 2, 2, 2])).tolist() == [2, 1, 1, 3]
    square = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], dtype=np.float32)
    told = dict(zip(BASELINE, baseline_features(square), strict=True))
    assert told == pytest.approx(
        {
            "distinct_share": 0.5,
            "mean_dwell": 4 / 3,
            "longest_dwell": 2,
            "mean_step": 2 / 3,
            "spread": np.sqrt(3 / 16),
            "length": 4,
        }
    )
    assert np.isnan(baseline_features(square[:0])).all()
    assert final_drift(trajectory(0, square)) == 0.0
