"""Planted cycles are told from autoregressions; the shuffle alone would not do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.uncertainty import permutation_p
from panic_assets.dynamics.windows import Options, compute, null_scores, score_all
from panic_assets.topology.surrogates import isometric
from panic_assets.topology.windows import leading_components
from panic_assets_tests.dynamics.systems import corpus, trajectory
from panic_assets_tests.dynamics.test_topology_nulls import ring
from panic_assets_tests.topology.test_surrogates import settling

OPTIONS = Options(most_points=50)


def p_values(runs: list[np.ndarray], null: str) -> np.ndarray:
    series = [leading_components(isometric(one), OPTIONS.components)[0] for one in runs]
    scores = [one.score for one in score_all(series, OPTIONS.most_points, workers=1)]
    drawn = null_scores(series, list(range(len(runs))), null, OPTIONS, workers=1)
    return np.array([permutation_p(score, values) for score, values in zip(scores, drawn, strict=True)])


@pytest.mark.parametrize("null", ["ar1", "shuffle"])
def test_a_noisy_cycle_stands_out_of_both_null_models(null: str) -> None:
    assert np.all(p_values([ring(80, seed, 0.8) for seed in range(3)], null) == pytest.approx(0.05))


def test_an_autoregression_stands_out_of_the_shuffle_and_not_of_its_own_kind() -> None:
    runs = [settling(60, 6, 0.85, seed) for seed in range(40)]
    assert np.mean(p_values(runs, "ar1") <= 0.05) <= 0.15, "nominal 0.05, three standard errors above"
    assert np.mean(p_values(runs[:15], "shuffle") <= 0.05) > 0.2, "why the shuffle alone is no evidence of a cycle"


def test_findings_give_periods_in_invocations_and_bear_odd_runs(tmp_path: Path) -> None:
    runs = [trajectory(i, ring(60, i), network="A -> B", prompt=i % 2) for i in range(4)]
    runs += [
        trajectory(4, np.repeat(ring(1, 0), 30, axis=0), network="C -> D", cycle=(0, 2)),
        trajectory(5, ring(3, 0), network="C -> D"),
        trajectory(6, settling(60, 6)[:, :6], network="E -> F"),
    ]
    found = compute(corpus(tmp_path, runs), OPTIONS)
    period = {row.run_number: row.value for row in found.runs if row.statistic == "period"}
    assert period[0] == pytest.approx(2 * 9.7, abs=0.6), "a caption comes every second invocation"
    score = {row.run_number: row.value for row in found.runs if row.statistic == "score"}
    assert score[4] == 0.0
    assert np.isnan(score[5] or 0.0)
    groups = {(row.group.network, row.group.prompt_number, row.statistic): row for row in found.groups}
    assert groups["A -> B", -1, "share_ar1"].estimate.value == 1.0
    assert groups["A -> B", -1, "score"].estimate.low > 0.4
    again = compute(corpus(tmp_path, runs), OPTIONS)
    assert found.tables("small", "windows") == again.tables("small", "windows")
