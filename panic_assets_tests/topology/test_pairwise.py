"""Many pairs: symmetric, equal diagrams once, the same on any number of threads."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from panic_assets.topology import pairwise as module
from panic_assets.topology.diagram_distances import DiagramError, bottleneck, wasserstein
from panic_assets.topology.pairwise import Kind, distances_of_pairs, pairwise
from panic_assets_tests.topology.test_diagram_distances import random_diagram

ONE = {
    "wasserstein_1": wasserstein,
    "wasserstein_2": lambda a, b: wasserstein(a, b, 2.0),
    "bottleneck": bottleneck,
}


def some(count: int, equal_births: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    made = []
    for bars in rng.integers(0, 15, count):
        diagram = random_diagram(rng, int(bars))
        made.append(diagram * [0.0, 1.0] if equal_births else diagram)
    return [*made, made[0][::-1], made[1]]


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("equal_births", [True, False])
def test_the_matrix_holds_the_distance_of_each_pair(kind: Kind, equal_births: bool) -> None:
    diagrams = some(8, equal_births)
    matrix = pairwise(diagrams, kind)
    assert np.array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    assert matrix[0, -2] == matrix[1, -1] == 0
    expected = [[ONE[kind](a, b) for b in diagrams] for a in diagrams]
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-12)


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_THREADS_PAY_BARS", 0)
    for equal_births in (True, False):
        diagrams = some(12, equal_births)
        whole = pairwise(diagrams, workers=1)
        monkeypatch.setattr(module, "_PAIRS_AT_ONCE", 5)
        monkeypatch.setattr(module, "_PAIRS_OF_EQUAL_BIRTHS_AT_ONCE", 5)
        np.testing.assert_allclose(pairwise(diagrams, workers=3), whole, rtol=1e-13, atol=1e-13)


def test_equal_diagrams_are_computed_once_and_progress_counts_distinct_pairs() -> None:
    diagrams = [*some(5, False)[:5]] * 6
    told: list[tuple[int, int]] = []
    matrix = pairwise(diagrams, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (10, 10)
    assert np.array_equal(matrix[:5, :5], matrix[5:10, 20:25])


def test_infinite_bars_keep_their_meaning_on_the_fast_way() -> None:
    whole = np.array([[0, 1.0], [0, 2.0], [0, np.inf]])
    other = np.array([[0, 2.0], [0, np.inf]])
    late = np.array([[0, 2.0], [0.25, np.inf]])
    cut = np.array([[0, 1.0], [0, np.inf], [0, np.inf]])
    found = distances_of_pairs([whole, other, late, cut], np.array([[0, 1], [1, 0], [1, 2], [0, 3], [3, 3]]))
    assert found.tolist() == [0.5, 0.5, 0.25, np.inf, 0.0]


def test_nothing_gives_nothing() -> None:
    assert pairwise([]).shape == (0, 0)
    assert pairwise([np.empty((0, 2))] * 3).tolist() == np.zeros((3, 3)).tolist()


def test_what_can_not_be_is_refused() -> None:
    with pytest.raises(DiagramError, match="diagram 1: a diagram has shape"):
        pairwise([np.empty((0, 2)), np.ones(3)])
    with pytest.raises(DiagramError, match="kind is 'cosine'; it must be one of wasserstein_1"):
        pairwise([], "cosine")  # type: ignore[arg-type]
    with pytest.raises(DiagramError, match="workers is 0"):
        pairwise([], workers=0)
