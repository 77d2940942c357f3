"""Losses and scores: known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from panic_assets.studies.records import Part
from panic_assets.studies.training import scoring
from panic_assets.studies.training.scoring import Scored, loss_of


def part(x: list[list[float]], y: np.ndarray) -> Part:
    rows = np.arange(len(x))
    return Part(np.array(x, np.float32), y, rows, rows)


def identity(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Identity()) if size else nn.Sequential()


def test_the_loss_of_vectors_is_the_squared_distance_whatever_the_dimension() -> None:
    y = torch.eye(4)
    assert float(loss_of(torch.zeros(4, 4), y)) == 1
    assert float(loss_of(-y, y)) == 4
    assert float(loss_of(torch.zeros(9, 9), torch.eye(9))) == 1


def test_the_loss_of_classes_is_cross_entropy() -> None:
    assert float(loss_of(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1]))) == pytest.approx(math.log(3))


def test_classes_are_right_where_the_largest_output_is_theirs() -> None:
    scored = Scored(part([[2, 1, 0], [0, 1, 2], [0, 3, 1], [np.nan, 0, 0]], np.array([0, 1, 1, 0])))
    model = identity(3)
    score = scored.score(model)
    assert score.credit.tolist() == [1, 0, 1, 0]
    assert score.accuracy == 0.5
    assert score.cosine is None
    assert model.training  # looked at in eval mode, and given back as it was


def test_vectors_are_right_where_the_nearest_target_is_theirs() -> None:
    y = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    score = Scored(part([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]], y)).score(identity(2))
    assert score.credit.tolist() == [1, 0, 0.5]
    assert score.loss == pytest.approx((0.02 + 0.72 + 0.5) / 3)
    assert score.cosine == pytest.approx(np.mean([0.9 / math.hypot(0.9, 0.1), 0.4 / math.hypot(0.6, 0.4), 0.5**0.5]))


def test_many_rows_go_through_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    made = part(rng.normal(size=(50, 4)).tolist(), rng.integers(0, 4, 50))
    model = nn.Sequential(nn.Linear(4, 4))
    whole = Scored(made).predict(model)
    monkeypatch.setattr(scoring, "_MOST_ROWS", 7)
    assert torch.allclose(Scored(made).predict(model), whole)
