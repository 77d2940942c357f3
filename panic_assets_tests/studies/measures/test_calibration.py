"""Calibration errors, Brier score and log loss are what a hand finds."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.studies.measures.calibration import calibration, calibration_error


def test_by_hand_over_bins_of_equal_width_and_of_equal_mass() -> None:
    sure = np.array([0.55, 0.60, 0.95, 0.90])
    right = np.array([True, False, True, True])
    # Two bins, (0, 0.5] empty: all four rows are in the upper one.
    assert calibration_error(sure, right, "width", bins=2) == pytest.approx(abs(sure.mean() - 0.75))
    # Two rows each: |0.575 - 0.5| and |0.925 - 1|, both by half.
    assert calibration_error(sure, right, "mass", bins=2) == pytest.approx(0.5 * 0.075 + 0.5 * 0.075)


def test_the_upper_edge_belongs_to_a_bin() -> None:
    # 0.5 is the end of the first of two bins: apart from 0.9 its error can't cancel.
    assert calibration_error(np.array([0.5, 0.9]), np.array([True, False]), "width", bins=2) == pytest.approx(
        0.5 * 0.5 + 0.5 * 0.9
    )
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    found = calibration(probabilities, np.array([0, 1]))
    assert found.brier == pytest.approx(((0.09 + 0.04 + 0.01) + (0.01 + 0.49 + 0.36)) / 2)
    assert found.nll == pytest.approx(-(np.log(0.7) + np.log(0.3)) / 2)
    assert found.ece == pytest.approx((0.3 + 0.6) / 2)
    assert found.ece_equal_mass == pytest.approx((0.3 + 0.6) / 2)


def test_who_is_right_as_often_as_said_has_an_error_near_zero_and_who_boasts_has_none_near() -> None:
    random = np.random.default_rng(0)
    sure = random.uniform(0.5, 1.0, 20_000)
    right = random.random(20_000) < sure
    for bins_of in ("width", "mass"):
        assert calibration_error(sure, right, bins_of) < 0.02  # type: ignore[arg-type]
        assert calibration_error(np.full(20_000, 0.99), right, bins_of) == pytest.approx(0.24, abs=0.01)  # type: ignore[arg-type]


def test_a_certain_error_costs_a_finite_loss_and_no_rows_tell_nothing() -> None:
    assert np.isfinite(calibration(np.array([[1.0, 0.0]]), np.array([1])).nll)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
