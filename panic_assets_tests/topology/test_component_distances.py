"""The fast way for equal births gives what the assignment gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.topology import component_distances
from panic_assets.topology.component_distances import equal_birth_distances
from panic_assets.topology.diagram_distances import wasserstein

deaths = st.lists(
    st.floats(0, 1e6, allow_subnormal=False) | st.integers(0, 6).map(float) | st.floats(0.5, 0.6), max_size=12
)


def bars(of_diagram: np.ndarray, birth: float = 0.0) -> np.ndarray:
    return np.stack([np.full(len(of_diagram), birth), of_diagram], axis=1)


@settings(max_examples=150, deadline=None)
@given(st.lists(deaths, min_size=2, max_size=6))
def test_distances_are_those_of_the_best_assignment(lists: list[list[float]]) -> None:
    diagrams = [np.array(one) for one in lists]
    pairs = np.stack(np.triu_indices(len(diagrams)), axis=1)
    found = equal_birth_distances(diagrams, pairs)
    for (a, b), distance in zip(pairs, found, strict=True):
        rounding = 1e-14 * (diagrams[a].sum() + diagrams[b].sum())
        assert distance == pytest.approx(wasserstein(bars(diagrams[a]), bars(diagrams[b])), rel=1e-9, abs=rounding)


@pytest.mark.parametrize("entries", [1, 1000, 1 << 20])
def test_batches_of_any_size_give_the_same(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    diagrams = [2.0 + rng.gamma(3.0, 0.2, size) for size in rng.integers(0, 80, 20)]
    pairs = np.stack(np.triu_indices(20), axis=1)
    monkeypatch.setattr(component_distances, "_ENTRIES", entries)
    found = equal_birth_distances(diagrams, pairs, birth=2.0)
    expected = [wasserstein(bars(diagrams[a], 2.0), bars(diagrams[b], 2.0)) for a, b in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_pairing_by_rank_would_be_wrong() -> None:
    """One long bar against none and two short ones: the best matching leaves ranks aside."""
    one, other = np.array([10.0, 1.0]), np.array([100.0, 10.0, 1.0])
    assert equal_birth_distances([one, other], np.array([[0, 1]]))[0] == pytest.approx(50.0)
    assert np.abs(np.array([10.0, 1.0, 0.0]) - other).sum() > 50


def test_no_pairs_and_no_bars_are_no_trouble() -> None:
    assert equal_birth_distances([], np.empty((0, 2), dtype=np.intp)).shape == (0,)
    assert equal_birth_distances([np.empty(0), np.empty(0)], np.array([[0, 1]])).tolist() == [0.0]
