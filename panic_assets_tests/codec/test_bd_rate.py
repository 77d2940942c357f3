"""Delta rate against cases that can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.codec.bd_rate import NoCommonQuality, bd_rate, difference


def test_equal_curves_differ_by_nothing() -> None:
    assert bd_rate([10, 20, 40], [30, 33, 35], [10, 20, 40], [30, 33, 35]) == pytest.approx(0)


def test_seven_tenths_of_the_bytes_are_thirty_percent_less() -> None:
    rates, qualities = np.array([100, 180, 400, 900]), [28, 31, 36, 40]
    assert bd_rate(rates * 0.7, qualities, rates, qualities) == pytest.approx(-0.3)
    assert bd_rate(rates, qualities, rates * 0.7, qualities) == pytest.approx(1 / 0.7 - 1)


def test_two_straight_lines_by_hand() -> None:
    # log2 of the rates is q and 2q for q from 0 to 2: the mean difference is -1, half the rate.
    assert bd_rate([1, 2, 4], [0, 1, 2], [1, 4, 16], [0, 1, 2]) == pytest.approx(-0.5)


def test_only_the_common_qualities_count() -> None:
    # Common: q from 1 to 2, where log2 differs by -q: -1.5 in the mean.
    assert bd_rate([1, 2, 4], [0, 1, 2], [4, 16, 64], [1, 2, 3]) == pytest.approx(2**-1.5 - 1)


def test_a_bent_curve_by_hand() -> None:
    # Monotone cubic through log2 rates (0, 0), (1, 1), (2, 3): slopes by Fritsch and Carlson 1/2, 4/3, 5/2, of which
    # Hermite's cubics have the integrals 1/2 + (1/2 - 4/3) / 12 and 2 + (4/3 - 5/2) / 12.
    integral = 0.5 + (0.5 - 4 / 3) / 12 + 2 + (4 / 3 - 2.5) / 12
    assert bd_rate([1, 2, 8], [0, 1, 2], [1, 1.0001], [0, 2]) == pytest.approx(2 ** (integral / 2) - 1, rel=1e-3)


def test_points_that_nobody_would_choose_are_left_out() -> None:
    clean = bd_rate([10, 20, 40], [30, 33, 35], [12, 30, 60], [30, 33, 36])
    assert bd_rate([10, 20, 25, 40], [30, 33, 32, 35], [12, 30, 60], [30, 33, 36]) == pytest.approx(clean)


@pytest.mark.parametrize(
    ("rates", "qualities", "told"),
    [
        ([1, 2], [50, 60], "share no interval"),
        ([1, 2], [2, 1], "1 of 2 points"),
        ([], [], "0 of 0 points"),
        ([0, 2], [1, 2], "rates above 0"),
        ([1, 2], [1, float("nan")], "rates above 0"),
        ([1, 2], [1], "as many of each"),
    ],
)
def test_curves_that_can_not_be_compared_are_refused(rates: list[float], qualities: list[float], told: str) -> None:
    with pytest.raises(NoCommonQuality, match=told):
        bd_rate(rates, qualities, [1, 2, 3], [0, 1, 2])


def test_where_the_first_curve_loses_by_hand() -> None:
    # log2 of the rates is q, against 2q - 2: dearer up to q = 2, cheaper from there; common from 1 to 4.
    found = difference([2, 4, 8, 16], [1, 2, 3, 4], [1, 4, 16, 64], [1, 2, 3, 4])
    assert (found.low, found.high) == (1, 4)
    ((start, end),) = found.lost
    assert (start, end) == (1, pytest.approx(2, abs=1e-6))
    assert found.lost_share == pytest.approx(1 / 3, abs=1e-6)
    other = difference([1, 4, 16, 64], [1, 2, 3, 4], [2, 4, 8, 16], [1, 2, 3, 4])
    ((start, end),) = other.lost
    assert (start, end) == (pytest.approx(2, abs=1e-6), 4)
    assert other.change == pytest.approx(1 / (1 + found.change) - 1)


def test_a_curve_that_is_never_dearer_loses_nowhere_and_its_rival_everywhere() -> None:
    cheap, dear = ([1, 2, 4], [0, 1, 2]), ([3, 6, 12], [0, 1, 2])
    assert difference(*cheap, *dear).lost == ()
    found = difference(*dear, *cheap)
    assert found.lost == ((0, 2),)
    assert found.lost_share == 1


def test_a_loss_in_the_middle_has_two_ends() -> None:
    found = difference([1, 6, 8], [0, 1, 2], [2, 4, 16], [0, 1, 2])
    ((start, end),) = found.lost
    assert 0 < start < 1 < end < 2
