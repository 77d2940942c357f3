"""Numbers and names as people read them."""

from __future__ import annotations

import math

import pytest

from panic_assets.reports.study.words import alike, arm_words, duration, measure_of, number, power_of_ten, signed, size


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (30.0, "30"),
        (0.012345, "0.0123"),
        (-1.4, "\u22121.40"),
        (123456.0, "123,456"),
        (1.23e-6, "1.2\u00d710\u207b\u2076"),
        (math.inf, "\u221e"),
        (math.nan, "\u2013"),
        (None, "\u2013"),
    ],
)
def test_a_number_is_told_with_its_digits(value, told):
    assert number(value) == told


def test_a_difference_has_its_sign():
    assert [signed(value) for value in (0.5, -0.5, 0.0)] == ["+0.500", "\u22120.500", "0"]


def test_numbers_read_together_have_equal_decimals():
    assert alike((-1.3812, -1.9234, -0.83), spread=1.09, sign=True) == ["\u22121.38", "\u22121.92", "\u22120.83"]
    assert alike((0.00001, None, math.nan), spread=0.5, sign=True) == ["0.000", "\u2013", "\u2013"]
    assert alike((12_345.6,), spread=4000.0) == ["12,350"]
    assert alike((0.5,), spread=math.nan) == ["0.500"]


def test_metrics_come_in_units_and_unknown_ones_by_their_names():
    assert (measure_of("test_accuracy").unit, measure_of("test_accuracy").factor) == ("% of rows", 100)
    assert measure_of("robust_area_pgd_l2").better == "higher"
    assert measure_of("step_seconds").unit == "ms"
    assert measure_of("robust_area_").label == "robust area "
    assert measure_of("robust_area_x_y_z").label == "robust area x y z"


def test_names_and_amounts_are_short():
    assert arm_words("a" * 40) == "a" * 23 + "\u2026"
    assert [duration(value) for value in (None, 850, 12_300, 250_000)] == ["\u2013", "850 ms", "12.3 s", "4 min 10 s"]
    assert [size(value) for value in (None, 12, 1200, 51_234, 3e12)] == ["\u2013", "12 B", "1.2 kB", "51 kB", "3000 GB"]
    assert [power_of_ten(power) for power in (-3, 0, 4)] == ["10\u207b\u00b3", "1", "10\u2074"]
