"""Features that help are found, features that don't are not, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from panic_assets.dynamics.added_value import (
    compare_features,
    fold_list,
    partial_correlation_of_runs,
    partial_rank_correlation,
    predictions,
)


def planted(seed: int, runs: int = 60, own: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two classes that the base half tells apart; added features follow the base, and say ``own`` of their own."""
    rng = np.random.default_rng(seed)
    prompts = np.arange(runs) % 10
    codes = (np.arange(runs) // 10) % 2
    base = rng.standard_normal((runs, 4)) + 0.5 * rng.standard_normal((10, 4))[prompts]
    base[:, 0] += codes
    added = base @ rng.standard_normal((4, 6)) + rng.standard_normal((runs, 6))
    added[:, 0] += own * codes
    return base, added, np.array([f"network {code}" for code in codes]), prompts


def test_the_classifier_is_that_of_a_library() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((90, 5)) * [1, 10, 0.1, 1, 1]
    labels = rng.choice(3, 90, p=[0.6, 0.3, 0.1])
    features[:, 0] += labels
    tests = [np.arange(0, 30), np.arange(30, 60), np.arange(60, 90)]
    found = predictions(features, labels, tests)
    for test in tests:
        train = np.setdiff1d(np.arange(90), test)
        mean, deviation = features[train].mean(axis=0), features[train].std(axis=0)
        oracle = RidgeClassifier(alpha=1.0, class_weight="balanced").fit(
            (features[train] - mean) / deviation, labels[train]
        )
        assert np.array_equal(found[test], oracle.predict((features[test] - mean) / deviation))


def test_a_run_is_never_told_by_its_own_label() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.standard_normal((400, 3)), rng.integers(0, 2, 400)
    tests, _ = fold_list(labels, np.arange(400), 5, 0)
    assert sorted(np.concatenate(tests)) == list(range(400))
    assert np.mean(predictions(features, labels, tests) == labels) == pytest.approx(0.5, abs=0.08)


def test_prompts_are_kept_together_where_they_can_be() -> None:
    labels, prompts = np.arange(40) % 2, np.repeat(np.arange(8), 5)
    tests, together = fold_list(labels, prompts, 5, 0)
    assert together
    assert all(not set(prompts[test]) & set(np.delete(prompts, test)) for test in tests)
    assert not fold_list(labels, np.zeros(40, int), 5, 0)[1]


def test_features_that_help_are_found() -> None:
    gain = compare_features(*planted(0, own=4.0), permutations=39)
    assert gain is not None
    assert gain.gain.low > 0
    assert gain.p <= 0.05
    assert gain.both.value > 0.9 > gain.base.value


def test_features_with_nothing_of_their_own_gain_nothing() -> None:
    covered, signs, significant = [], [], []
    for seed in range(100):
        gain = compare_features(*planted(seed), permutations=19 if seed < 40 else 0)
        assert gain is not None
        covered.append(gain.gain.low <= 0 <= gain.gain.high)
        signs.append(gain.gain.low > 0)
        if seed < 40:
            significant.append(gain.p <= 0.05)
    assert 0.9 <= np.mean(covered) <= 0.995
    assert np.mean(signs) <= 0.04
    assert np.mean(significant) <= 0.15, "nominal 0.05, three standard errors above"


def test_what_can_not_be_compared_is_none() -> None:
    base, added, labels, prompts = planted(0, runs=20)
    assert compare_features(base, added, np.full(20, "one"), prompts) is None
    assert compare_features(base, added, np.array(["a"] * 16 + ["b"] * 4), prompts) is None
    assert compare_features(base[:0], added[:0], labels[:0], prompts[:0]) is None


def test_missing_and_flat_features_are_borne() -> None:
    base, added, labels, prompts = planted(0)
    base[::3, 1], base[:, 2], added[:, 1] = np.nan, 7.0, np.nan
    assert compare_features(base, added, labels, prompts, permutations=5) is not None


def test_partial_correlation_takes_off_what_is_given() -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(2000)
    x, y = common + 0.5 * rng.standard_normal(2000), common + 0.5 * rng.standard_normal(2000)
    assert np.corrcoef(x, y)[0, 1] > 0.7
    assert abs(partial_rank_correlation(x, y, common[:, None])) < 0.1
    assert partial_rank_correlation(x, np.exp(x), common[:, None]) > 0.9
    assert np.isnan(partial_rank_correlation(common, y, common[:, None]))


def test_partial_correlation_covers_nothing_at_its_nominal_rate() -> None:
    covered, significant = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        given = rng.standard_normal((30, 3))
        x, y = (given @ rng.standard_normal(3) + rng.standard_normal(30) for _ in range(2))
        estimate, p, runs = partial_correlation_of_runs(x, y, given, permutations=99, resamples=150)
        assert runs == 30
        covered.append(estimate.low <= 0 <= estimate.high)
        significant.append(p <= 0.05)
    assert 0.9 <= np.mean(covered) <= 0.99
    assert 0.0 <= np.mean(significant) <= 0.1


def test_too_few_runs_have_no_partial_correlation() -> None:
    estimate, p, runs = partial_correlation_of_runs(np.arange(5.0), np.arange(5.0), np.full((5, 3), np.nan))
    assert np.isnan([estimate.value, estimate.low, p]).all()
    assert runs == 0
