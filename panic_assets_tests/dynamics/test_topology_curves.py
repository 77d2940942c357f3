"""The analysis of curves on a lake: which means come out for which runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.corpus import Corpus
from panic_assets.dynamics.topology_curves import SCALES, topology_curves
from panic_assets.lake import Lake
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.dynamics.test_diagram_contrasts import NETWORKS, censor, corpus, found, runs
from panic_assets_tests.topology.test_stage import put, rows_of


def test_mean_curves_and_features_are_means_over_runs(tmp_path: Path) -> None:
    made = runs()
    held = corpus(tmp_path, made)
    findings = topology_curves(held, 50)
    betti = {(c.group.network, c.curve): c for c in findings.curves}
    assert len(betti) == len(findings.curves) == 2 * 3 * 3
    circles = betti[NETWORKS[0], "betti_h1"]
    assert len(circles.x) == len(circles.values) == SCALES
    assert circles.values.max() == pytest.approx(1.0, abs=0.4)
    assert circles.low is not None
    assert circles.high is not None
    assert (circles.low <= circles.values + 1e-12).all()
    assert (circles.values <= circles.high + 1e-12).all()
    components = betti[NETWORKS[1], "betti_h0"].values
    assert (components[0], components[-1]) == (16.0, 1.0)
    assert (np.diff(components) <= 0).all()
    features = held.lake.read("persistence_features", "small", where={"homology_dimension": 1}).to_pylist()
    numbers = {run.number for run in made if run.network == NETWORKS[0]}
    expected = np.mean([row["total_persistence"] for row in features if row["run_number"] in numbers])
    row = found(findings, "total_persistence_h1", network=NETWORKS[0])
    assert row.estimate.value == pytest.approx(expected)
    assert row.estimate.low < expected < row.estimate.high
    prompts = {row.group.prompt_number for row in findings.groups}
    assert prompts == {-1, 0, 1}


def test_censored_diagrams_are_left_out_and_counted(tmp_path: Path) -> None:
    held = corpus(tmp_path, runs())
    censor(held, 3)
    row = found(topology_curves(held, 20), "entropy_h0", network=NETWORKS[0])
    assert row.runs == 5
    assert "1 others" in row.method


def test_one_network_and_one_run_are_no_trouble(tmp_path: Path) -> None:
    for number, made in enumerate((runs(networks=1), runs(1, (7,), 1), [])):
        findings = topology_curves(corpus(tmp_path / str(number), made), 20)
        findings.tables("small", "topology_curves")
        assert {row.group.network for row in findings.groups} == ({NETWORKS[0]} if made else set())


def test_runs_that_never_move_have_flat_curves(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    made = runs(1)
    put(lake, *(rows_of(np.ones((5, 2)), run.number) for run in made))
    persist_experiment(lake, "small")
    held = Corpus("small", tuple(made), {}, lake)
    findings = topology_curves(held, 20)
    (still,) = [c for c in findings.curves if (c.group.network, c.curve) == (NETWORKS[0], "betti_h0")]
    assert set(still.values) == {1.0}
