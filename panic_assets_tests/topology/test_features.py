"""Features: their definitions, checked by hand and against scipy, and their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from panic_assets.topology.features import Features, diagram_features, features
from panic_assets.topology.persistence import Diagram, persistence_diagrams
from panic_assets_tests.topology.clouds import circle


def diagram(*bars: tuple[float, float]) -> Diagram:
    births, deaths = np.array(bars, dtype=np.float64).reshape(-1, 2).T
    return Diagram(1, births, deaths)


def test_features_by_hand() -> None:
    found = diagram_features(diagram((0.0, 1.0), (0.5, 2.5), (1.0, 2.0), (1.0, np.inf)))
    expected = 0.5 * np.log(2) + 0.5 * np.log(4)
    assert found == Features(
        homology_dimension=1,
        bars=4,
        infinite_bars=1,
        total_persistence=4.0,
        max_persistence=2.0,
        entropy=pytest.approx(expected),
        entropy_normalised=pytest.approx(expected / np.log(3)),
    )


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        ([], Features(1, 0, 0, 0.0, 0.0, None, None)),
        ([(0.0, np.inf)], Features(1, 1, 1, 0.0, 0.0, None, None)),
        ([(1.0, 3.0)], Features(1, 1, 0, 2.0, 2.0, 0.0, None)),
        ([(1.0, 3.0), (2.0, 2.0)], Features(1, 1, 0, 2.0, 2.0, 0.0, None)),
        ([(0.0, 2.0), (1.0, 3.0)], Features(1, 2, 0, 4.0, 2.0, pytest.approx(np.log(2)), pytest.approx(1.0))),
    ],
    ids=["no bars", "one infinite", "one finite", "one of length zero", "two equal"],
)
def test_edges(bars: list[tuple[float, float]], expected: Features) -> None:
    assert diagram_features(diagram(*bars)) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30), st.floats(1e-3, 1e3))
def test_entropy_is_scipys_in_nats_and_ignores_the_unit(lengths: list[float], unit: float) -> None:
    found = diagram_features(diagram(*((0.0, length) for length in lengths)))
    scaled = diagram_features(diagram(*((0.0, unit * length) for length in lengths)))
    assert found.entropy == pytest.approx(entropy(lengths), abs=1e-12)
    assert scaled.entropy == pytest.approx(found.entropy, abs=1e-9)
    assert found.entropy_normalised is not None
    assert 0.0 <= found.entropy_normalised <= 1.0


def test_every_dimension_has_its_features() -> None:
    found = features(persistence_diagrams(circle(40)))
    assert [each.homology_dimension for each in found] == [0, 1, 2]
    assert (found[0].bars, found[0].infinite_bars) == (40, 1)
    assert found[1].max_persistence > 1.0
