"""Curves and images of diagrams have the values of their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.topology.diagram_distances import DiagramError, wasserstein
from panic_assets.topology.persistence import persistence_diagrams
from panic_assets.topology.vectorisations import betti_curve, landscapes, persistence_image, silhouette
from panic_assets_tests.topology.clouds import figure_eight
from panic_assets_tests.topology.test_diagram_distances import random_diagram

DIAGRAM = np.array([[0, 2.0], [0.5, 1.5], [0, np.inf]])
NONE = np.empty((0, 2))
SCALES = np.linspace(0, 3, 13)


def tents(diagram: np.ndarray) -> np.ndarray:
    finite = diagram[np.isfinite(diagram[:, 1])]
    return np.maximum(0, np.minimum(SCALES - finite[:, :1], finite[:, 1:] - SCALES))


def test_a_betti_curve_counts_bars_from_birth_to_just_before_death() -> None:
    assert betti_curve(DIAGRAM, [-1, 0, 0.5, 1.49, 1.5, 2, 9]).tolist() == [0, 2, 3, 3, 2, 1, 1]
    assert betti_curve(NONE, SCALES).tolist() == [0.0] * 13


def test_the_curve_of_a_figure_eight_shows_two_loops() -> None:
    loops = persistence_diagrams(figure_eight(50)).diagrams[1]
    assert betti_curve(np.stack([loops.births, loops.deaths], axis=1), [0.5, 1.0]).tolist() == [2.0, 2.0]


def test_two_curves_differ_by_no_more_than_wasserstein_says() -> None:
    """The area between two Betti curves is at most twice the 1-Wasserstein distance."""
    rng = np.random.default_rng(0)
    fine = np.linspace(0, 5, 20001)
    for _ in range(5):
        one, other = random_diagram(rng, 9), random_diagram(rng, 7)
        area = np.abs(betti_curve(one, fine) - betti_curve(other, fine)).mean() * 5
        assert area <= 2 * wasserstein(one, other) + 0.01


def test_landscapes_are_the_largest_tents() -> None:
    expected = np.sort(tents(DIAGRAM), axis=0)[::-1]
    np.testing.assert_allclose(landscapes(DIAGRAM, SCALES, 3), np.vstack([expected, np.zeros(13)]), atol=1e-12)
    assert landscapes(NONE, SCALES, 2).tolist() == np.zeros((2, 13)).tolist()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_silhouette_is_the_weighted_mean_of_tents(power: float) -> None:
    expected = np.average(tents(DIAGRAM), axis=0, weights=np.array([2.0, 1.0]) ** power)
    np.testing.assert_allclose(silhouette(DIAGRAM, SCALES, power), expected, atol=1e-12)
    assert not silhouette(NONE, SCALES).any()


def test_an_image_has_its_mass_at_birth_and_length_weighted_by_length() -> None:
    image = persistence_image([[0.25, 1.0], [0.75, 1.0]], (0, 1), (0, 1), 0.04, 41)
    rows, columns = np.unravel_index(np.argsort(image.ravel())[::-1][:1], image.shape)
    assert (rows / 40, columns / 40) == (pytest.approx(0.75, abs=0.02), pytest.approx(0.25, abs=0.02))
    left, right = image[:, :20].sum(), image[:, 21:].sum()
    assert left / right == pytest.approx(3.0, rel=1e-3)
    assert left / 40**2 == pytest.approx(0.75, rel=1e-2)
    assert not persistence_image(NONE, (0, 1), (0, 1), 0.1).any()


def test_what_is_no_diagram_is_refused() -> None:
    with pytest.raises(DiagramError, match="shape"):
        betti_curve([1.0], SCALES)
