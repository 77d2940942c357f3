"""The limit on a diagram's processor time: it is kept, and something smaller is computed instead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from panic_assets.geometry import distances_of_distinct
from panic_assets.topology import rips
from panic_assets.topology.budget import Children, PersistenceError, outcome_of, outcome_within
from panic_assets.topology.persistence import diagrams_of
from panic_assets_tests.topology.clouds import circle, noise

COSTLY = distances_of_distinct(noise(300, 768).astype(np.float64))
EASY = distances_of_distinct(circle(80))


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as shared:
        yield shared


def test_a_diagram_within_its_budget_is_the_exact_one(children: Children) -> None:
    inside, outside = outcome_within(EASY, 2, np.inf, 60.0, children), outcome_of(EASY, 2, np.inf)
    assert (inside.status, inside.threshold) == ("complete", None)
    for one, other in zip(inside.bars, outside.bars, strict=True):
        assert np.array_equal(one, other)


def test_a_threshold_that_was_asked_for_is_kept(children: Children) -> None:
    outcome = outcome_within(EASY, 2, 0.5, 60.0, children)
    assert (outcome.status, outcome.threshold) == ("thresholded", 0.5)


def test_an_error_in_the_child_is_raised_here_and_the_next_diagram_still_comes(children: Children) -> None:
    with pytest.raises(PersistenceError, match="80 distinct points: "):
        children.compute(EASY, -1, np.inf, 60.0)
    assert children.compute(EASY, 0, np.inf, 60.0)[0] is not None


def test_noise_exceeds_a_small_budget_and_gets_a_threshold() -> None:
    """Exact H2 of 300 independent points takes minutes; the other trajectory is not disturbed."""
    costly, easy = diagrams_of([noise(300, 768), circle(80)], 2, workers=1, budget_seconds=3.0)
    assert costly.status == "thresholded"
    assert costly.threshold == pytest.approx(np.quantile(COSTLY[np.tril_indices(300, k=-1)], 0.1))
    assert len(costly.diagrams) == 3
    assert costly.seconds > 3.0
    assert (easy.status, easy.threshold, len(easy.diagrams)) == ("complete", None, 3)


def test_when_nothing_fits_components_remain_exact() -> None:
    with Children() as children:
        outcome = outcome_within(COSTLY, 2, np.inf, 1e-6, children)
    assert (outcome.status, outcome.threshold) == ("incomplete", None)
    assert len(outcome.bars) == 1
    assert np.array_equal(outcome.bars[0], rips.rips_bars(COSTLY, 0)[0])
    assert len(outcome.bars[0]) == 300


def test_few_points_need_no_child() -> None:
    class NoChildren(Children):
        def compute(self, *_: object) -> None:  # type: ignore[override]
            raise AssertionError("a child was asked")

    matrix = distances_of_distinct(noise(60, 5).astype(np.float64))
    assert outcome_within(matrix, 2, np.inf, 1e-6, NoChildren()).status == "complete"
