"""Iterated maps of which it is known what they do: draw in, turn, run away, tell apart two basins."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from panic_assets.studies.measures.rollout import distinct_points, rollout, truths
from panic_assets.studies.records import Part
from panic_assets_tests.studies.measures.make import linear, part, trajectories


def on_circle(rows: int = 12) -> Part:
    angles = np.linspace(0, 6, rows)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return part(points, points)


def test_a_contraction_settles_at_its_one_fixed_point() -> None:
    found = rollout(linear(0.5 * np.eye(2), [0.5, 0.0]), on_circle(), np.arange(12), 1)
    assert (found.settled, found.cycled, found.escaped, found.end_points) == (1.0, 0.0, 0.0, 1)


def test_a_turn_by_a_fifth_cycles() -> None:
    angle = 2 * np.pi / 5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = rollout(linear(turn), on_circle(), np.arange(12), 1)
    assert (found.settled, found.cycled, found.escaped, found.end_points) == (0.0, 1.0, 0.0, 0)


def test_a_turn_that_never_comes_back_does_neither() -> None:
    angle = 2 * np.pi * 0.6180339887
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = rollout(linear(turn), on_circle(), np.arange(12), 1)
    assert (found.settled, found.cycled, found.escaped) == (0.0, 0.0, 0.0)


def test_an_expansion_escapes_and_harms_no_number() -> None:
    found = rollout(linear(1e30 * np.eye(2)), on_circle(), np.arange(12), 1)
    assert (found.settled, found.cycled, found.escaped, found.end_points) == (0.0, 0.0, 1.0, 0)
    assert all(np.isfinite(at.cosine) for at in found.horizons)


def test_two_basins_have_two_end_points() -> None:
    model = nn.Sequential(*linear(3 * np.eye(2)), nn.Tanh()).eval()
    x = np.array([[0.5, 0.5], [-0.5, -0.5], [0.9, 0.7], [-0.2, -0.8]])
    found = rollout(model, part(x, x), np.arange(4), 1)
    assert (found.settled, found.end_points) == (1.0, 2)


def test_the_truth_ahead_is_that_of_the_same_run_at_the_stride_of_its_modality() -> None:
    rows = trajectories(runs=3, length=6, seed=0, stride=2)
    ahead = truths(rows, np.arange(18), horizon=20)
    assert sorted(ahead) == [1, 2, 3, 4, 5, 6]
    assert ahead[3].tolist() == [2, 3, 4, 5, -1, -1, 8, 9, 10, 11, -1, -1, 14, 15, 16, 17, -1, -1]
    assert ahead[6].tolist() == [5, -1, -1, -1, -1, -1, 11, -1, -1, -1, -1, -1, 17, -1, -1, -1, -1, -1]


def test_a_wider_horizon_of_the_data_is_seen_from_them() -> None:
    once = trajectories(runs=2, length=9, seed=1, stride=1)
    rows = [row for row in range(18) if row % 9 < 7]
    wide = Part(once.x[rows], once.y[[row + 2 for row in rows]], once.runs[rows], once.steps[rows])
    ahead = truths(wide, np.arange(14), horizon=5)
    assert sorted(ahead) == [1, 2, 3]
    assert ahead[2].tolist() == [3, 4, 5, 6, -1, -1, -1, 10, 11, 12, 13, -1, -1, -1]


def test_runs_of_rings_of_different_lengths_are_followed_each_at_its_own_stride() -> None:
    slow, fast = trajectories(runs=1, length=4, seed=2, stride=3), trajectories(runs=1, length=4, seed=3, stride=1)
    both = [
        np.concatenate(fields)
        for fields in zip(*([p.x, p.y, p.runs + n, p.steps] for n, p in enumerate((slow, fast))), strict=True)
    ]
    assert truths(Part(*both), np.arange(8), horizon=9)[4].tolist() == [3, -1, -1, -1, 7, -1, -1, -1]


def test_a_run_at_its_fixed_point_is_followed_step_by_step() -> None:
    still = part(np.ones((5, 2)), np.ones((5, 2)), runs=np.zeros(5, int))
    assert truths(still, np.arange(5), horizon=3)[2].tolist() == [1, 2, 3, 4, -1]


def test_inputs_that_are_nobodys_target_have_a_truth_one_step_ahead_alone() -> None:
    random = np.random.default_rng(0)
    rows = part(random.normal(size=(6, 2)), random.normal(size=(6, 2)), runs=np.zeros(6, int))
    assert sorted(truths(rows, np.arange(6), horizon=5)) == [1]


def test_the_true_map_follows_the_truth_at_every_horizon_and_persistence_does_not() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    path = [np.random.default_rng(1).normal(size=(5, 4))]
    for _ in range(8):
        path.append(path[-1] @ turn.T)
    steps = np.stack(path, axis=1).astype(np.float32)
    rows = Part(
        steps[:, :-1].reshape(-1, 4), steps[:, 1:].reshape(-1, 4), np.repeat(np.arange(5), 8), np.tile(np.arange(8), 5)
    )
    found = rollout(linear(turn), rows, np.arange(40), 8)
    assert [at.steps for at in found.horizons] == list(range(1, 9))
    assert [at.rows for at in found.horizons] == [40, 35, 30, 25, 20, 15, 10, 5]
    assert [at.cosine for at in found.horizons] == pytest.approx([1.0] * 8, abs=1e-4)
    first = found.horizons[0]
    cosine = (rows.x * rows.y).sum(1) / np.linalg.norm(rows.x, axis=1) / np.linalg.norm(rows.y, axis=1)
    assert first.persistence == pytest.approx(cosine.mean(), abs=1e-5) != 1.0


def test_points_nearer_than_said_are_one() -> None:
    points = np.array([[0.0, 0.0], [0.05, 0.0], [1.0, 0.0], [0.0, 0.02]])
    assert distinct_points(points, 0.1).tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert distinct_points(points[:0], 0.1).shape == (0, 2)
