"""Statistics of distance matrices: planted groups are found, chance is not, permutations stay within their blocks."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.distance_groups import contrast, mantel


def apart(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points, axis=-1)


def planted(rng: np.random.Generator, groups: int, runs: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances of normal points in a plane, whose groups lie ``shift`` apart on a line; and the groups."""
    labels = np.repeat(np.arange(groups), runs)
    points = rng.standard_normal((groups * runs, 2))
    points[:, 0] += shift * labels
    return apart(points), labels


def test_r_squared_is_the_share_of_variance_between_groups_where_distances_are_euclidean() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    points = rng.standard_normal((9, 3)) + labels[:, None]
    found = contrast(apart(points), labels, np.zeros(9, int), 9, 50)
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    within = ((points - centres[labels]) ** 2).sum()
    assert found.r_squared.value == pytest.approx(1 - within / ((points - points.mean(axis=0)) ** 2).sum(), rel=1e-12)


def test_separation_is_that_of_its_definition() -> None:
    matrix, labels = planted(np.random.default_rng(1), 2, 4, 1.0)
    pairs = np.triu(np.ones((8, 8), bool), 1)
    same = labels[:, None] == labels
    expected = (matrix[pairs & ~same].mean() - matrix[pairs & same].mean()) / matrix[pairs].mean()
    assert contrast(matrix, labels, np.zeros(8, int), 9, 50).separation.value == pytest.approx(expected, rel=1e-12)


def test_planted_groups_are_found() -> None:
    matrix, labels = planted(np.random.default_rng(2), 3, 8, 2.0)
    found = contrast(matrix, labels, np.tile(np.arange(8), 3), 199, 200)
    assert found.p_value == 1 / 200
    assert found.separation.low > 0
    assert found.r_squared.low > 0.2


def test_without_groups_small_p_values_are_as_rare_as_they_promise() -> None:
    rng = np.random.default_rng(3)
    p_values = []
    for _ in range(200):
        matrix, labels = planted(rng, 3, 5, 0.0)
        p_values.append(contrast(matrix, labels, np.tile(np.arange(5), 3), 39, 3).p_value)
    assert 0.005 <= np.mean(np.array(p_values) <= 0.05) <= 0.1
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_blocks_keep_a_confounder_from_passing_for_an_effect() -> None:
    """Runs differ by block; labels are unevenly spread over blocks and mean nothing."""
    rng = np.random.default_rng(4)
    blocks = np.repeat([0, 1], 12)
    labels = np.concatenate([np.arange(12) < 9, np.arange(12) < 3]).astype(int)
    free, blocked = [], []
    for _ in range(20):
        points = rng.standard_normal((24, 2))
        points[:, 0] += 6.0 * blocks
        matrix = apart(points)
        free.append(contrast(matrix, labels, np.zeros(24, int), 99, 3).p_value)
        blocked.append(contrast(matrix, labels, blocks, 99, 3).p_value)
    assert np.median(free) < 0.05
    assert np.mean(np.array(blocked) <= 0.05) <= 0.2


def test_estimates_lie_in_their_intervals_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    truth = np.mean(
        [contrast(*planted(rng, 2, 150, 1.5), np.zeros(300, int), 1, 1).separation.value for _ in range(20)]
    )
    inside = []
    for _ in range(200):
        interval = contrast(*planted(rng, 2, 12, 1.5), np.zeros(24, int), 1, 300).separation
        inside.append(interval.low <= truth <= interval.high)
    assert 0.90 <= np.mean(inside) <= 0.99


def test_missing_pairs_change_little() -> None:
    rng = np.random.default_rng(6)
    matrix, labels = planted(rng, 2, 30, 1.5)
    missing = np.triu(rng.random(matrix.shape) < 0.5, 1)
    matrix_left = np.where(missing | missing.T, np.nan, matrix)
    whole, sampled = (contrast(of, labels, np.zeros(60, int), 99, 50) for of in (matrix, matrix_left))
    assert sampled.separation.value == pytest.approx(whole.separation.value, abs=0.05)
    assert sampled.r_squared.value == pytest.approx(whole.r_squared.value, abs=0.05)
    assert sampled.p_value == whole.p_value == 0.01


@pytest.mark.parametrize(
    ("matrix", "labels", "blocks", "why"),
    [
        (np.zeros((0, 0)), [], [], "two labels"),
        (np.zeros((1, 1)), [0], [0], "two labels"),
        (np.ones((3, 3)), [0, 0, 0], [0, 0, 0], "two labels"),
        (np.ones((3, 3)), [0, 1, 2], [0, 0, 0], "one of two runs"),
        (np.zeros((4, 4)), [0, 0, 1, 1], [0, 0, 0, 0], "all diagrams equal"),
        (np.full((4, 4), np.inf), [0, 0, 1, 1], [0, 0, 0, 0], "too few pairs"),
        (np.ones((4, 4)), [0, 0, 1, 1], [0, 1, 2, 3], "no two runs that differ"),
    ],
)
def test_what_can_not_be_told_is_nan_with_a_reason(matrix, labels, blocks, why: str) -> None:  # type: ignore[no-untyped-def]
    found = contrast(matrix, np.array(labels, int), np.array(blocks, int), 9, 10)
    assert np.isnan(found.p_value)
    assert found.why is not None
    assert why in found.why


def test_equal_seeds_give_equal_results() -> None:
    matrix, labels = planted(np.random.default_rng(7), 2, 6, 1.0)
    assert contrast(matrix, labels, np.zeros(12, int), 50, 50) == contrast(matrix, labels, np.zeros(12, int), 50, 50)


def test_mantel_finds_agreement_and_no_agreement() -> None:
    rng = np.random.default_rng(8)
    points = rng.standard_normal((20, 2))
    blocks = np.arange(20) % 2
    near = points + 0.3 * rng.standard_normal(points.shape)
    interval, p_value = mantel(apart(points), apart(near), blocks, 99, 200)
    assert interval.low > 0.5
    assert p_value == 0.01
    p_values = [mantel(apart(points), apart(rng.standard_normal((20, 2))), blocks, 39, 3)[1] for _ in range(60)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.15
    assert 0.35 <= np.mean(p_values) <= 0.65


def test_mantel_is_spearmans_correlation_of_pairs() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(9)
    one, other = (apart(rng.standard_normal((7, 3))) for _ in range(2))
    pairs = np.triu_indices(7, 1)
    interval, _ = mantel(one, other**3, np.zeros(7, int), 5, 5)
    assert interval.value == pytest.approx(spearmanr(one[pairs], other[pairs]).statistic, rel=1e-9)


def test_mantel_of_too_little_is_nan() -> None:
    for matrix in (np.zeros((3, 3)), np.ones((6, 6)), np.full((6, 6), np.nan)):
        interval, p_value = mantel(matrix, matrix, np.zeros(len(matrix), int), 5, 5)
        assert np.isnan([interval.value, p_value]).all()
