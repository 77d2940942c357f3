"""Values by class and back: what a stable sort does, for any classes and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.codec.grouping import Grouping


def _check(classes: np.ndarray, count: int) -> None:
    values = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, classes.size).astype(np.int32)
    grouping = Grouping.by(classes, count)
    order = np.argsort(classes, kind="stable")
    made = grouping.sorted(values)
    assert np.array_equal(made, values[order])
    assert np.array_equal(grouping.unsorted(made), values)
    expected = [(number, values[classes == number]) for number in range(count) if (classes == number).any()]
    assert [number for number, _ in grouping.groups] == [number for number, _ in expected]
    assert all(np.array_equal(made[g], own) for (_, g), (_, own) in zip(grouping.groups, expected, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 64).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=300))))
def test_any_classes(drawn: tuple[int, list[int]]) -> None:
    count, classes = drawn
    _check(np.array(classes, np.uint8), count)


@pytest.mark.parametrize("size", [8191, 8192, 8193, 65_536, 200_001])
@pytest.mark.parametrize("kind", ["mixed", "sorted", "seldom"])
def test_more_than_numpy_sorts(size: int, kind: str) -> None:
    rng = np.random.default_rng(size)
    classes = rng.integers(0, 64, size).astype(np.uint8)
    if kind == "sorted":
        classes.sort()
    if kind == "seldom":
        classes = (np.arange(size) % 50_000 == 7).astype(np.uint8) * 63
    _check(classes, 64)


def test_alike_is_class_0_as_it_comes() -> None:
    values = np.arange(5)
    grouping = Grouping.alike(5)
    assert grouping.groups == ((0, slice(0, 5)),)
    assert grouping.sorted(values) is not values
    assert np.array_equal(grouping.unsorted(values), values)
    assert Grouping.alike(0).groups == ()
