"""Accuracy of vectors: credit, ties, and rows that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.studies import retrieval
from panic_assets.studies.leakage import seen_share, unseen
from panic_assets.studies.records import Part
from panic_assets.studies.retrieval import distinct_targets, retrieval_credit

TARGETS = np.array([[0, 0], [2, 0], [0, 2]], np.float32)


def test_credit_goes_to_the_nearest_target_and_is_shared_by_equally_near_ones() -> None:
    predicted = np.array([[0.1, 0.1], [1.9, 0.5], [1, 0], [1, 1], [1, 0]], np.float32)
    credit = retrieval_credit(predicted, TARGETS, np.array([0, 0, 1, 2, 2]))
    assert credit.tolist() == [1, 0, 0.5, pytest.approx(1 / 3), 0]


def test_a_prediction_that_is_not_finite_has_no_credit() -> None:
    predicted = np.array([[np.nan, 0], [np.inf, 0], [2, 0]], np.float32)
    with np.errstate(invalid="ignore"):
        assert retrieval_credit(predicted, TARGETS, np.array([0, 1, 1])).tolist() == [0, 0, 1]


def test_targets_lose_their_repeats_and_keep_their_order() -> None:
    y = np.array([[1, 0], [0, 1], [1, 0], [-0.0, 1]], np.float32)
    targets, own = distinct_targets(y)
    assert targets.tolist() == [[1, 0], [0, 1]]
    assert own.tolist() == [0, 1, 0, 1]


def test_credit_is_the_same_in_pieces_and_agrees_with_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 5)).astype(np.float32)
    predicted = y + rng.normal(size=y.shape).astype(np.float32)
    targets, own = distinct_targets(y)
    whole = retrieval_credit(predicted, targets, own)
    distances = ((predicted[:, None].astype(float) - targets[None].astype(float)) ** 2).sum(axis=2)
    assert np.array_equal(whole, distances.argmin(axis=1) == own)
    assert 0 < whole.mean() < 1
    monkeypatch.setattr(retrieval, "_MOST_DISTANCES", 7 * len(targets))
    assert np.array_equal(retrieval_credit(predicted, targets, own), whole)


def test_inputs_of_training_are_told_from_unseen_ones() -> None:
    def part(x: np.ndarray) -> Part:
        rows = np.arange(len(x))
        return Part(x, rows, rows, rows)

    train = part(np.array([[1, 2], [0, 3]], np.float32))
    test = part(np.array([[-0.0, 3], [1, 2.5], [1, 2], [1, 2]], np.float32))
    assert unseen(test, train).tolist() == [False, True, False, False]
    assert seen_share(test, train) == 0.75
