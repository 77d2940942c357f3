"""Drift against cosines that are known, and which model tells it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from panic_assets.codec.drift import Drift, embedder_of
from panic_assets.errors import PanicError
from panic_assets.models.registry import load_registry


def _corner(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """The first pixel's red and green."""
    return np.array([picture[0, 0, :2] for picture in pictures], np.float32)


def _picture(red: int, green: int) -> np.ndarray:
    return np.full((2, 2, 3), (red, green, 0), np.uint8)


def test_it_is_one_minus_the_cosine_of_each_pair_whatever_the_lengths() -> None:
    drift = Drift(_corner, [_picture(100, 0), _picture(50, 50), _picture(0, 9)])
    moved = drift.of([_picture(7, 0), _picture(200, 0), _picture(30, 0)])
    assert moved == pytest.approx([0, 1 - 2**-0.5, 1])


def test_each_original_has_one_copy() -> None:
    with pytest.raises(PanicError, match="1 copies of 2 originals"):
        Drift(_corner, [_picture(1, 1), _picture(2, 1)]).of([_picture(1, 1)])


def test_the_experiments_own_embedder_is_taken_if_it_sees_pictures_and_comes_with_the_package() -> None:
    known = load_registry()
    assert embedder_of(["DummyText", "MiniLM", "DummyVision"], known).name == "DummyVision"
    assert embedder_of(["TinyScenes", "TinyCLIP"], known).name == "TinyCLIP"
    for names in ([], ["DummyText"], ["a model of long ago"], ["OpenCLIP"]):
        assert embedder_of(names, known).name == "TinyCLIP"
