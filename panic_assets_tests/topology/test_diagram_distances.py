"""Distances between two diagrams: against other programs, against known answers, and as a metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from panic_assets.topology.diagram_distances import DiagramError, bars_of, bottleneck, wasserstein
from panic_assets.topology.persistence import persistence_diagrams
from panic_assets_tests.topology.clouds import circle, noise

Diagram = NDArray[np.float64]
NONE = np.empty((0, 2))


def random_diagram(rng: np.random.Generator, bars: int, scale: float = 1.0, digits: int | None = None) -> Diagram:
    """Bars of all lengths; rounded to ``digits``, many are equal, equally far apart, or on the diagonal."""
    births = rng.random(bars)
    diagram = np.stack([births, births + rng.exponential(0.3, bars)], axis=1)
    return scale * (diagram if digits is None else diagram.round(digits))


@st.composite
def diagrams(draw: st.DrawFn, largest: int = 12) -> Diagram:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([1e-6, 1.0, 1e9]))
    return random_diagram(rng, draw(st.integers(0, largest)), scale, draw(st.sampled_from([None, 1])))


def without_diagonal(diagram: Diagram) -> Diagram:
    return diagram[diagram[:, 0] < diagram[:, 1]]


def size(*given: Diagram) -> float:
    """The unit of rounding errors: the sum of all coordinates."""
    return sum(float(np.abs(diagram).sum()) for diagram in given)


@settings(max_examples=60, deadline=None)
@given(diagrams(), diagrams(), st.sampled_from([1.0, 2.0, 3.0]))
def test_wasserstein_distances_are_those_of_optimal_transport(one: Diagram, other: Diagram, p: float) -> None:
    transport = pytest.importorskip("gudhi.wasserstein")
    pytest.importorskip("ot")
    # With huge coordinates POT may stop early, so both are brought to 1 before and the result back.
    unit = max(1e-12, float(one.max(initial=0.0)), float(other.max(initial=0.0)))
    expected = transport.wasserstein_distance(one / unit, other / unit, order=p, internal_p=np.inf)
    # Powers are compared, because a root makes the rounding errors of a sum near zero large.
    assert (wasserstein(one, other, p) / unit) ** p == pytest.approx(expected**p, rel=1e-9, abs=1e-13)


@settings(max_examples=60, deadline=None)
@given(diagrams(), diagrams(), st.sampled_from([1.0, 2.0]))
def test_wasserstein_distances_are_those_of_hera(one: Diagram, other: Diagram, p: float) -> None:
    from gudhi.hera import wasserstein_distance

    one, other = without_diagonal(one), without_diagonal(other)
    if np.array_equal(bars_of(one).finite, bars_of(other).finite):
        return  # the auction never comes to a relative error of nothing
    expected = wasserstein_distance(one, other, order=p, internal_p=np.inf, delta=1e-10)
    assert wasserstein(one, other, p) == pytest.approx(expected, rel=1e-9, abs=1e-12 * size(one, other))


@settings(max_examples=100, deadline=None)
@given(diagrams(30), diagrams(30))
def test_bottleneck_distances_are_those_of_hera(one: Diagram, other: Diagram) -> None:
    from gudhi.hera import bottleneck_distance

    expected = bottleneck_distance(without_diagonal(one), without_diagonal(other), 0.0)
    assert bottleneck(one, other) == pytest.approx(expected, rel=1e-9, abs=1e-12 * size(one, other))


DISTANCES = [wasserstein, lambda a, b: wasserstein(a, b, 2.0), bottleneck]
any_distance = pytest.mark.parametrize("distance", DISTANCES, ids=["wasserstein 1", "wasserstein 2", "bottleneck"])


@any_distance
@settings(max_examples=40, deadline=None)
@given(diagrams(), diagrams(), diagrams())
def test_they_are_metrics(distance, one: Diagram, other: Diagram, third: Diagram) -> None:  # type: ignore[no-untyped-def]
    rounding = 1e-13 * size(one, other, third)
    assert distance(one, one[::-1]) == 0
    assert distance(one, other) == pytest.approx(distance(other, one), abs=rounding)
    assert distance(one, third) <= distance(one, other) + distance(other, third) + rounding
    assert distance(one, other) > 0 or np.array_equal(bars_of(one).finite, bars_of(other).finite)


@any_distance
@settings(max_examples=25, deadline=None)
@given(diagrams(), diagrams(), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_bars_of_length_zero_change_nothing(distance, one: Diagram, other: Diagram, more: int, seed: int) -> None:  # type: ignore[no-untyped-def]
    points = np.random.default_rng(seed).random((more, 1)).repeat(2, axis=1)
    assert distance(np.concatenate([one, points]), other) == distance(one, other)


@pytest.mark.parametrize(
    ("one", "other", "first", "second", "largest"),
    [
        (NONE, NONE, 0, 0, 0),
        ([(0, 2)], NONE, 1, 1, 1),
        ([(0, 2), (0, 4)], NONE, 3, np.sqrt(5), 2),
        ([(0, 10)], [(1, 12)], 2, 2, 2),
        ([(0, 2)], [(10, 14)], 3, np.sqrt(5), 2),
        # Two pairs at 2, or one at 0 and one at 4: the sum does not care, the largest does.
        ([(0, 20), (0, 22)], [(0, 22), (0, 24)], 4, np.sqrt(8), 2),
        # Deaths alone do not tell these apart.
        ([(0, 10)], [(4, 10)], 4, 4, 4),
    ],
)
def test_small_diagrams_have_distances_that_can_be_seen(one, other, first, second, largest) -> None:  # type: ignore[no-untyped-def]
    assert wasserstein(one, other) == pytest.approx(first)
    assert wasserstein(one, other, 2) == pytest.approx(second)
    assert bottleneck(one, other) == pytest.approx(largest)


@any_distance
def test_infinite_bars_are_matched_by_birth_and_never_to_the_diagonal(distance) -> None:  # type: ignore[no-untyped-def]
    one = [(0, np.inf), (5, np.inf), (1, 3)]
    assert distance(one, [(5, np.inf), (0.5, np.inf), (1, 3)]) == 0.5
    assert distance(one, [(0, np.inf), (1, 3)]) == np.inf
    assert distance([(0, np.inf)], NONE) == np.inf


def test_powers_of_huge_and_tiny_numbers_do_not_overflow() -> None:
    for scale in (1e-200, 1e200):
        assert wasserstein([(0, 2 * scale)], [(0, 3 * scale), (0, scale)], 3) == pytest.approx(
            scale * 1.125 ** (1 / 3), rel=1e-12
        )


def test_near_diagrams_keep_their_difference() -> None:
    rng = np.random.default_rng(0)
    one = np.stack([rng.random(50), 100 + rng.random(50)], axis=1)
    assert wasserstein(one, one + np.array([0, 1e-9]), 2) == pytest.approx(np.sqrt(50) * 1e-9, rel=1e-4)


def test_diagrams_move_no_more_than_their_points() -> None:
    """Stability: moving each point by at most e moves the Rips diagram by at most 2 e in the bottleneck distance."""
    cloud = circle(40)
    moved = cloud + 0.01 * noise(40, 2)
    for one, other in zip(persistence_diagrams(cloud).diagrams, persistence_diagrams(moved).diagrams, strict=True):
        bars = [np.stack([diagram.births, diagram.deaths], axis=1) for diagram in (one, other)]
        assert bottleneck(*bars) <= 0.02 + 1e-12


@pytest.mark.parametrize(
    ("diagram", "message"),
    [
        ([1.0, 2.0], r"shape \(2,\)"),
        ([[1.0, 2.0, 3.0]], r"shape \(1, 3\)"),
        ([[0.0, 1.0], [2.0, 1.0]], "bar 1 of a diagram is born at 2.0 and dies at 1.0"),
        ([[np.nan, 1.0]], "bar 0"),
        ([[0.0, np.nan]], "bar 0"),
        ([[-np.inf, 1.0]], "bar 0"),
    ],
)
def test_what_is_no_diagram_is_refused(diagram: list[list[float]], message: str) -> None:
    with pytest.raises(DiagramError, match=message):
        wasserstein(diagram, NONE)
    with pytest.raises(DiagramError, match=message):
        bottleneck(NONE, diagram)


@pytest.mark.parametrize("p", [0.5, np.inf, np.nan])
def test_powers_out_of_range_are_refused(p: float) -> None:
    with pytest.raises(DiagramError, match="p is"):
        wasserstein(NONE, NONE, p)
