"""The order of coding: every position once, and nobody sees what is not coded yet."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec import lattice

GRIDS = [(1, 1), (1, 7), (2, 2), (5, 3), (8, 8), (33, 9), (32, 64), (70, 35)]


@pytest.mark.parametrize("passes", [lattice.base_passes, lattice.detail_passes])
@pytest.mark.parametrize(("height", "width"), GRIDS)
def test_every_position_is_coded_once_and_sees_only_what_came_before(passes, height: int, width: int) -> None:
    outside, coded = height * width, np.zeros(height * width + 1, bool)
    coded[outside] = True
    for step in passes(height, width):
        assert coded[step.neighbours].all(), step.net
        assert not coded[step.targets].any()
        coded[step.targets] = True
    assert coded.all()


@pytest.mark.parametrize("passes", [lattice.base_passes, lattice.detail_passes])
def test_positions_well_inside_see_all_their_neighbours(passes) -> None:
    height, width = 128, 128
    for step in passes(height, width):
        rows, columns = np.divmod(step.targets, width)
        inside = (np.minimum(rows, columns) >= 48) & (np.maximum(rows, columns) < 80)
        assert inside.any()
        assert (step.neighbours[inside] < height * width).all()


def test_networks_see_as_many_as_they_say() -> None:
    for step in (*lattice.base_passes(64, 64)[1:], *lattice.detail_passes(64, 64)):
        assert step.neighbours.shape == (len(step.targets), lattice.NEIGHBOURS[step.net])


def test_the_surroundings_of_a_corner_are_mostly_outside() -> None:
    found = lattice.surroundings(3, 4)
    assert found.shape == (12, lattice.SURROUNDINGS)
    assert found[0].tolist() == [12, 12, 12, 12, 0, 1, 12, 4, 5]
    assert found[5].tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
