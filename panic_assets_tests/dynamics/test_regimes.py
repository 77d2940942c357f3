"""Regimes: known systems get the right label, and the label says how firmly it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.corpus import Trajectory
from panic_assets.dynamics.recurrence import typical_distance
from panic_assets.dynamics.regimes import (
    REGIMES_ANALYSIS,
    RULE,
    UNDETERMINED,
    Features,
    classify,
    classify_all,
    compute,
    features_of,
    growth_exponent,
    perturbations,
    return_depth,
)
from panic_assets.geometry import distance_matrix
from panic_assets_tests.dynamics.systems import corpus, cycle, on_sphere, settling, trajectory, walk


def ensemble(kind: str, runs: int = 8, points: int = 100) -> list[Trajectory]:
    """Runs of one system, each from its own random place."""
    makers = {
        "fixed point": lambda k: np.repeat(walk(1, seed=k), points, axis=0),
        "settling": lambda k: settling(points, seed=k),
        "noisy fixed point": lambda k: cycle(points, 1, 0.03, seed=k),
        "cycle": lambda k: cycle(points, 7, seed=k),
        "noisy cycle": lambda k: cycle(points, 7, 0.3, seed=k),
        "two-cycle": lambda k: cycle(points, 2, 0.1, seed=k),
        "walk": lambda k: walk(points, step=0.15, seed=k),
        "jumps": lambda k: walk(points, step=30.0, seed=k),
    }
    return [trajectory(k, makers[kind](k)) for k in range(runs)]


@pytest.mark.parametrize(
    ("kind", "regime"),
    [
        ("fixed point", "contractive"),
        ("settling", "contractive"),
        ("noisy fixed point", "contractive"),
        ("cycle", "oscillatory"),
        ("noisy cycle", "oscillatory"),
        ("two-cycle", "oscillatory"),
        ("walk", "exploratory"),
        ("jumps", "exploratory"),
    ],
)
def test_known_systems_get_their_label_and_keep_it(tmp_path: Path, kind: str, regime: str) -> None:
    found = compute(corpus(tmp_path, ensemble(kind)))
    found.tables("small", REGIMES_ANALYSIS.name)
    assert {r.label for r in found.runs if r.statistic == "regime"} == {regime}
    assert min(r.value or 0.0 for r in found.runs if r.statistic == "stability") >= 0.95
    whole = {g.statistic: g for g in found.groups if g.group.prompt_number == -1}
    assert whole[f"share_{regime}"].estimate.value == 1.0
    assert whole["label_stability"].estimate.value >= 0.95
    assert (whole["label_stability"].details or {})["label"] == regime


def test_two_planted_regimes_are_told_apart_by_network(tmp_path: Path) -> None:
    wanderers = ensemble("walk")
    circlers = [
        replace(one, run=replace(one.run, number=8 + k, network="C -> D", models=("C", "D")))
        for k, one in enumerate(ensemble("noisy cycle"))
    ]
    found = compute(corpus(tmp_path, [*wanderers, *circlers]))
    labels = {
        g.group.network: (g.details or {})["label"]
        for g in found.groups
        if g.statistic == "label_stability" and g.group.prompt_number == -1
    }
    assert labels == {"A -> B": "exploratory", "C -> D": "oscillatory"}


def test_a_network_of_halves_has_no_label_of_its_own(tmp_path: Path) -> None:
    mixed = ensemble("walk", 4) + [replace(t, run=replace(t.run, number=9 + k))
                                   for k, t in enumerate(ensemble("cycle", 4))]  # fmt: skip
    found = compute(corpus(tmp_path, mixed))
    (row,) = [g for g in found.groups if g.statistic == "label_stability" and g.group.prompt_number == -1]
    assert (row.details or {})["label"] == UNDETERMINED
    assert row.estimate.value < 0.9


def test_exact_cycles_decide_however_short_the_run_is() -> None:
    short = Features(1.0, 2.0, *[float("nan")] * 5)
    assert classify(short) == "contractive"
    assert classify(replace(short, cycle_turns=3.0)) == "oscillatory"
    assert classify(replace(short, cycle_turns=0.0)) == UNDETERMINED


def test_a_run_on_the_edge_of_a_threshold_is_not_stable() -> None:
    settled = Features(0.0, 100.0, 0.02, 0.02, 0.0, 0.0, 1.0)
    edge = replace(settled, tail_spread=0.095, step=0.09)
    table = np.array([list(vars(one).values()) for one in (settled, edge)])
    agreeing = (classify_all(table, RULE, perturbations()) == "contractive").mean(axis=0)
    assert agreeing[0] == 1.0
    assert 0.1 < agreeing[1] < 0.6


def test_growth_is_a_half_for_a_walk_and_nothing_for_noise() -> None:
    generator = np.random.default_rng(0)
    free = np.cumsum(generator.standard_normal((400, 768)), axis=0)
    assert growth_exponent(distance_matrix(free)) == pytest.approx(0.5, abs=0.02)
    assert growth_exponent(distance_matrix(generator.standard_normal((400, 768)))) == pytest.approx(0.0, abs=0.02)
    straight = np.outer(np.arange(100.0), np.ones(3))
    assert growth_exponent(distance_matrix(straight)) == pytest.approx(1.0)
    assert growth_exponent(np.zeros((50, 50))) == 0.0
    assert np.isnan(growth_exponent(np.zeros((5, 5))))


def test_return_depth_is_one_for_a_cycle_and_small_for_a_walk() -> None:
    assert return_depth(distance_matrix(cycle(50, 7))) == pytest.approx(1.0)
    assert return_depth(distance_matrix(walk(50))) < 0.2
    assert return_depth(distance_matrix(on_sphere(np.random.default_rng(0).standard_normal((50, 768))))) < 0.2
    assert return_depth(np.zeros((50, 50))) == 0.0


@pytest.mark.parametrize("points", [1, 3, 9])
def test_short_runs_are_undetermined(points: int) -> None:
    runs = ensemble("walk", 3, points)
    assert classify(features_of(runs[0], typical_distance(runs))) == UNDETERMINED


def test_runs_that_are_all_one_point_settle(tmp_path: Path) -> None:
    found = compute(corpus(tmp_path, [trajectory(k, np.ones((30, 4))) for k in range(2)]))
    assert {r.label for r in found.runs if r.statistic == "regime"} == {"contractive"}
