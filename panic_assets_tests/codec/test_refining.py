"""How finely a layer is coded: nearer with every part of the way, on pictures of small and of large errors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from panic_assets.codec import lossless, refining
from panic_assets.codec.bitstream import coefficients
from panic_assets.codec.refining import LADDER, Layer, Way, part_of_the_way, with_step

PARTS = 12


def _missing(spread: float, side: int = 64, channels: int = 3) -> np.ndarray:
    """Errors that are larger at edges, as those of transforms are."""
    rng = np.random.default_rng(round(10 * spread))
    y, x = np.mgrid[:side, :side]
    is_edge = np.abs(np.hypot(x - 30, y - 25) % 24 - 12) < 2
    return np.rint(rng.laplace(0, spread, (channels, side, side)) * (0.4 + is_edge)).astype(np.int32)


def _told(missing: np.ndarray, layer: Layer) -> tuple[float, int]:
    left = missing - lossless.restore(layer.coefficients, layer.levels, layer.step)
    return float(np.square(left).sum()), len(coefficients.encode(layer.coefficients, layer.levels))


@pytest.mark.parametrize(("spread", "side", "channels"), [(3, 64, 3), (10, 64, 3), (40, 50, 1), (6, 190, 1)])
def test_every_part_of_the_way_is_nearer_and_has_more_bytes(spread: float, side: int, channels: int) -> None:
    missing = _missing(spread, side, channels)
    layers = [part_of_the_way(missing, Way(part, PARTS)) for part in range(1, PARTS + 1)]
    told = [_told(missing, layer) for layer in layers if layer]
    assert len(told) == PARTS
    assert told[0][0] < np.square(missing).sum()
    for (error, size), (nearer, larger) in pairwise(told):
        assert nearer < error
        assert larger > size
    assert layers[-1] is not None
    assert layers[-1].step == LADDER[-1][0] == 2


def test_parts_are_about_equal_in_decibels() -> None:
    missing = _missing(10)
    errors = [
        _told(missing, layer)[0]
        for part in range(1, PARTS + 1)
        if (layer := part_of_the_way(missing, Way(part, PARTS)))
    ]
    rises = -np.diff(10 * np.log10([float(np.square(missing).sum()), *errors]))
    assert rises.min() > 0.4 * rises.mean()
    assert rises.max() < 1.8 * rises.mean()


def test_nothing_is_added_where_nothing_comes_nearer() -> None:
    none, little = np.zeros((3, 20, 30), np.int32), np.zeros((3, 20, 30), np.int32)
    little[0, 5, 5] = 1
    for missing in (none, little):
        assert part_of_the_way(missing, Way(3, PARTS)) is None
        assert with_step(missing, 90) is None
    assert with_step(none, 1) is not None


def test_a_step_is_taken_as_it_is() -> None:
    missing = _missing(10)
    layer = with_step(missing, 7)
    assert layer is not None
    assert layer.step == 7
    exact = with_step(missing, 1)
    assert exact is not None
    assert np.array_equal(lossless.restore(exact.coefficients, exact.levels, 1), missing)


def test_the_sample_of_a_large_picture_is_of_all_of_it() -> None:
    missing = np.zeros((1, 512, 512), np.int32)
    missing[0, 256:] = 9
    seen = refining._sampled(missing)
    assert seen.size <= 1 << 15
    assert 3 < seen.mean() < 6
    narrow = np.ones((3, 1, 60_000), np.int32)
    assert refining._sampled(narrow) is narrow
