"""Recurrence: the quantities against a count by hand and by brute force, and what known systems give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.continuation import Continuation
from panic_assets.dynamics.recurrence import (
    RECURRENCE,
    by_lag,
    compute,
    quantify,
    rate_radius,
    recurrence_matrix,
    typical_distance,
)
from panic_assets.geometry import distance_matrix
from panic_assets_tests.dynamics.systems import corpus, cycle, trajectory, walk


def brute(matrix: np.ndarray, theiler: int) -> dict[str, float]:
    """Marwan's sums, pair by pair and line by line."""
    n = len(matrix)
    diagonal, vertical, hits, pairs = [], [], 0, 0
    for lag in range(theiler + 1, n):
        length = 0
        for i in range(n - lag):
            pairs, hits = pairs + 1, hits + matrix[i, i + lag]
            if matrix[i, i + lag]:
                length += 1
            elif length:
                diagonal.append(length)
                length = 0
        if length:
            diagonal.append(length)
    for j in range(n):
        length = 0
        for i in range(n):
            if matrix[i, j] and abs(i - j) > theiler:
                length += 1
            elif length:
                vertical.append(length)
                length = 0
        if length:
            vertical.append(length)
    nan = float("nan")
    long, tall = [x for x in diagonal if x >= 2], [x for x in vertical if x >= 2]
    shares = [long.count(x) / len(long) for x in set(long)]
    return {
        "recurrence_rate": hits / pairs if pairs else nan,
        "determinism": sum(long) / sum(diagonal) if diagonal else nan,
        "mean_diagonal": sum(long) / len(long) if long else nan,
        "longest_diagonal": max(diagonal, default=nan),
        "diagonal_entropy": -sum(p * np.log(p) for p in shares) if long else nan,
        "laminarity": sum(tall) / sum(vertical) if vertical else nan,
        "trapping_time": sum(tall) / len(tall) if tall else nan,
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14), st.integers(0, 3), st.floats(0, 1), st.integers(0, 10**6))
def test_every_quantity_equals_a_count_line_by_line(n: int, theiler: int, density: float, seed: int) -> None:
    drawn = np.random.default_rng(seed).random((n, n)) < density
    matrix = np.triu(drawn, 1) | np.triu(drawn, 1).T | np.eye(n, dtype=bool)
    found = quantify(matrix, theiler)
    for name, value in brute(matrix, theiler).items():
        assert getattr(found, name) == pytest.approx(value, nan_ok=True), name


def test_a_matrix_small_enough_to_count_by_hand() -> None:
    # Two points visited in turn: a b a b a. Lag 2 has the diagonal of length 3, lag 4 that of length 1.
    matrix = np.equal.outer(np.array([0, 1, 0, 1, 0]), np.array([0, 1, 0, 1, 0]))
    found = quantify(matrix, theiler=0)
    assert found.recurrence_rate == pytest.approx(4 / 10)
    assert found.determinism == pytest.approx(3 / 4)
    assert (found.mean_diagonal, found.longest_diagonal, found.diagonal_entropy) == (3.0, 3.0, 0.0)
    assert found.laminarity == 0.0
    assert np.isnan(found.trapping_time)


def test_an_exact_cycle_recurs_at_its_period_alone() -> None:
    distances = distance_matrix(cycle(100, 7))
    places = np.arange(1, 200, 2)
    lags, rates = by_lag(recurrence_matrix(distances, 0.0), places)
    assert set(lags[rates == 1]) == set(range(14, 200, 14))
    assert set(rates) == {0.0, 1.0}
    found = quantify(recurrence_matrix(distances, 0.0))
    assert found.determinism == 1.0
    assert found.longest_diagonal == 93
    assert found.laminarity == 0.0


def test_a_constant_run_is_one_vertical_line() -> None:
    found = quantify(np.ones((50, 50), dtype=bool), theiler=1)
    assert found.recurrence_rate == 1.0
    # All but the corner of the matrix, which is a line of one.
    assert found.determinism == pytest.approx(1 - 1 / (48 * 49 / 2))
    assert found.laminarity == pytest.approx(1.0, abs=0.002)
    assert found.longest_diagonal == 48


def test_the_radius_of_a_rate_gives_that_rate() -> None:
    distances = distance_matrix(walk(120))
    radius = rate_radius(distances, 0.05)
    rate = quantify(recurrence_matrix(distances, radius)).recurrence_rate
    assert 0.05 <= rate < 0.0505
    assert np.isnan(rate_radius(distances[:2, :2], 0.05))


def test_the_typical_distance_is_between_runs_and_not_within() -> None:
    one, other = np.zeros((50, 4)), np.zeros((50, 4))
    other[:, 0] = 3.0
    runs = [trajectory(0, one), trajectory(1, other)]
    assert typical_distance(runs) == 3.0
    assert typical_distance(runs[:1]) == 0.0
    assert np.isnan(typical_distance([]))


def test_rows_of_runs_networks_and_prompts(tmp_path: Path) -> None:
    runs = [trajectory(k, walk(40, step=0.2, seed=k), prompt=k % 2) for k in range(6)]
    found = compute(corpus(tmp_path, runs))
    one = {r.statistic: r.value for r in found.runs if r.run_number == 3}
    assert one["rate_recurrence_rate"] == pytest.approx(0.05, abs=0.003)
    assert one["space_radius"] == pytest.approx(np.sqrt(2) / 2, rel=0.05)
    whole = {g.statistic: g for g in found.groups if g.group.prompt_number == -1}
    values = [r.value for r in found.runs if r.statistic == "rate_determinism"]
    row = whole["rate_determinism"]
    assert row.estimate.value == pytest.approx(np.mean(values))
    assert row.estimate.low <= row.estimate.value <= row.estimate.high
    assert row.runs == 6
    assert {g.group.prompt_number for g in found.groups} == {-1, 0, 1}
    starts = next(c for c in found.curves if c.curve == "return_to_start")
    assert list(starts.x[:3]) == [3, 5, 7]
    assert starts.values[0] == 1.0
    assert starts.values[-1] < 1.0


def test_a_run_stopped_at_its_cycle_is_continued_unless_told_otherwise(tmp_path: Path) -> None:
    stopped = trajectory(0, np.concatenate([walk(5), cycle(8, 7)]), cycle=(10, 14))
    others = [trajectory(k, walk(60, seed=k)) for k in (1, 2)]
    made = corpus(tmp_path, [stopped, *others])

    def determinism(choice: Continuation) -> float:
        rows = compute(made, continuation=choice).runs
        return next(r.value for r in rows if r.run_number == 0 and r.statistic == "rate_determinism") or 0.0

    assert determinism(Continuation(True)) > 0.95
    assert determinism(Continuation(False)) < 0.5


@pytest.mark.parametrize("points", [1, 2, 3, 20])
def test_small_and_equal_runs_are_told_without_errors(tmp_path: Path, points: int) -> None:
    found = compute(corpus(tmp_path, [trajectory(0, np.ones((points, 3)))]))
    found.tables("small", RECURRENCE.name)
    rates = [r.value for r in found.runs if r.statistic == "space_recurrence_rate"]
    assert np.array_equal(rates, [1.0 if points > 2 else np.nan], equal_nan=True)
