"""Scales, ticks and marks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from panic_assets.reports.study.svg import Plot, Scale, apart, fitted, linear_ticks, mark, text


def test_ticks_are_round_and_say_no_more_than_they_must():
    assert [told for _, told in linear_ticks(0, 100, 5)] == ["0", "20", "40", "60", "80", "100"]
    assert [told for _, told in linear_ticks(-0.06, 0.02, 3)] == ["\u22120.05", "0.00"]
    assert [told for _, told in Scale(0.5, 200, 0, 100, log=True).ticks()] == ["1", "10", "100"]
    assert [told for _, told in Scale(0.9, 6, 0, 100, log=True).ticks()] == ["1", "2", "5"]


@given(
    some.lists(some.floats(allow_nan=False), min_size=1, max_size=8),
    some.booleans(),
    some.booleans(),
)
def test_a_scale_holds_every_finite_value(values: list[float], log: bool, zero: bool):
    scale = fitted(values, 10, 90, log=log, zero=zero)
    assert scale.low < scale.high
    for value in values:
        assert 10 - 1e-6 <= scale.at(value) <= 90 + 1e-6
    ticks = scale.ticks()
    if log or scale.high - scale.low > 0.01 * max(abs(scale.low), abs(scale.high)):
        assert len({told for _, told in ticks}) == len(ticks)


def test_a_scale_of_nothing_finite_is_still_one():
    assert fitted([math.nan, math.inf], 0, 10).at(0.5) == pytest.approx(4.5, abs=1)


def test_a_curve_stops_where_a_value_is_no_number():
    plot = Plot(Scale(0, 3, 0, 30), Scale(0, 1, 10, 0))
    assert plot.path([(0, 0.0), (1, math.nan), (2, 1.0), (3, 1.0)]) == "M0.0 10.0M20.0 0.0L30.0 0.0"


def test_labels_keep_apart_within_their_room():
    moved = apart([50, 50, 51, 10], 12, 0, 60)
    assert moved[3] == pytest.approx(10)
    close = sorted(moved[:3])
    assert close[1] - close[0] > 11
    assert close[2] - close[1] > 11
    assert max(moved) <= 60


def test_words_from_outside_are_escaped():
    assert "<b>" not in text(0, 0, "<b>&\"'", class_='"><b>')
    assert "<script>" not in mark(3, 1, 1, 2, "<script>")
