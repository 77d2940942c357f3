"""Change points: found where they were planted in 768 dimensions, and seldom where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from panic_assets.dynamics.change_points import (
    CHANGE_POINTS,
    Search,
    compute,
    find_changes,
    memory_between_changes,
    split_statistic,
)
from panic_assets.geometry import distance_matrix
from panic_assets_tests.dynamics.systems import autoregression, corpus, cycle, on_sphere, trajectory, walk

DIMENSIONS = 768


def shifted(points: int, at: int, signal: float, phi: float = 0.0, seed: int = 0) -> np.ndarray:
    """Unit vectors about a common direction, with noise of about 0.6, whose mean moves by ``signal`` at a step."""
    generator = np.random.default_rng(seed)
    centre, elsewhere = on_sphere(generator.standard_normal((2, DIMENSIONS)))
    noise = 0.6 * autoregression(points, DIMENSIONS, phi, generator) / np.sqrt(DIMENSIONS)
    noise[at:] += signal * elsewhere
    return on_sphere(centre + noise)


def test_the_statistic_equals_its_definition() -> None:
    cloud = np.random.default_rng(0).standard_normal((12, 3))
    found = split_statistic(distance_matrix(cloud), 3)
    assert np.isneginf(found[[0, 1, 2, 10, 11]]).all()
    for k in range(3, 10):
        left, right = cloud[:k], cloud[k:]
        within = [cdist(part, part).sum() / (len(part) * (len(part) - 1)) for part in (left, right)]
        expected = k * (12 - k) / 12 * (2 * cdist(left, right).mean() - sum(within))
        assert found[k] == pytest.approx(expected)


@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_a_planted_change_is_found_within_two_steps(phi: float) -> None:
    """50 captions, 768 dimensions, a move of a third of a unit vector."""
    hits = 0
    for seed in range(30):
        found = find_changes(distance_matrix(shifted(50, 23, 0.33, phi, seed))).places
        hits += len(found) == 1 and abs(found[0] - 23) <= 2
    assert hits >= 26


def test_two_regimes_with_two_changes() -> None:
    cloud = np.concatenate([shifted(80, 40, 0.5, seed=1), shifted(40, 40, 0.0, seed=1)])
    found = find_changes(distance_matrix(cloud)).places
    assert len(found) == 2
    assert abs(found[0] - 40) <= 1
    assert abs(found[1] - 80) <= 1


@pytest.mark.parametrize(("points", "dimensions", "phi"), [(50, 768, 0.0), (50, 768, 0.3), (60, 32, 0.5), (60, 2, 0.0)])
def test_runs_without_a_change_seldom_seem_to_have_one(points: int, dimensions: int, phi: float) -> None:
    generator = np.random.default_rng(11)
    wrong = 0
    for _ in range(60):
        series = autoregression(points, dimensions, phi, generator)
        wrong += bool(find_changes(distance_matrix(series)).places)
    # At 5 %, 60 runs give at most 9 in 999 of 1000 cases.
    assert wrong <= 9


@pytest.mark.parametrize(("share", "phi"), [(1.0, 0.0), (1.0, 0.3), (1.0, 0.6), (0.5, 0.7)])
def test_memory_is_told_with_and_without_a_change(share: float, phi: float) -> None:
    generator = np.random.default_rng(4)
    slow, noise = (autoregression(100, DIMENSIONS, p, generator) for p in (phi, 0.0))
    series = np.sqrt(share) * slow + np.sqrt(1 - share) * noise
    expected = 1 + 2 * share * phi / (1 - phi)
    assert memory_between_changes(distance_matrix(series)).inflation == pytest.approx(expected, rel=0.25)
    series[60:] += 2.0
    assert memory_between_changes(distance_matrix(series)).inflation == pytest.approx(expected, rel=0.25)


def test_a_walk_is_too_slow_to_be_judged() -> None:
    found = find_changes(distance_matrix(walk(100)))
    assert found.places == ()
    assert found.trials[0].untested
    assert found.trials[0].memory.inflation > 10


def test_cycles_and_constant_runs_have_no_change() -> None:
    assert find_changes(distance_matrix(cycle(60, 3))).places == ()
    assert find_changes(np.zeros((60, 60))).places == ()
    assert find_changes(np.zeros((3, 3))).trials[0].untested
    assert find_changes(np.zeros((0, 0))).places == ()


def test_settling_into_one_output_is_a_change() -> None:
    start = shifted(30, 30, 0.0)
    cloud = np.concatenate([start, np.repeat(start[-1:], 30, axis=0)])
    found = find_changes(distance_matrix(cloud)).places
    assert found
    assert abs(found[0] - 30) <= 2


def test_rows_tell_places_in_invocations_and_how_many_runs_change(tmp_path: Path) -> None:
    runs = [trajectory(k, shifted(50, 20, 0.5 if k < 4 else 0.0, seed=k)) for k in range(5)]
    runs.append(trajectory(5, walk(50)))
    found = compute(corpus(tmp_path, runs))
    found.tables("small", CHANGE_POINTS.name)
    firsts = {r.run_number: r.value for r in found.runs if r.statistic == "first_change"}
    assert all(abs((firsts[k] or 0) - 41) <= 4 for k in range(4))
    whole = {g.statistic: g for g in found.groups if g.group.prompt_number == -1}
    assert whole["share_with_change"].estimate.value == pytest.approx(0.8)
    assert whole["share_with_change"].runs == 5, "the walk was not judged"
    assert whole["share_tested"].estimate.value == pytest.approx(5 / 6)
    curve = next(c for c in found.curves if c.group.prompt_number == -1)
    assert curve.values[0] == 0.0
    assert curve.values[-1] == pytest.approx(0.8)
    walked = next(r for r in found.runs if r.run_number == 5 and r.statistic == "changes")
    assert walked.value is not None
    assert np.isnan(walked.value)
    assert "too slow" in (walked.details or {})["why"]


def test_the_same_run_gives_the_same_answer() -> None:
    distances = distance_matrix(shifted(50, 23, 0.3))
    assert find_changes(distances) == find_changes(distances)
    assert find_changes(distances, Search(seed=1)).trials[0].start == 0
