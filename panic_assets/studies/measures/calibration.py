"""Whether a classifier is right as often as it says: calibration errors, Brier score, log loss. None for vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

_BINS = 15
_LEAST = 1e-12  # a probability of zero given to what happened counts as this


@dataclass(frozen=True)
class Calibration:
    """``ece``: expected calibration error over bins of equal width, ``ece_equal_mass``: over bins of equal counts.

    ``brier``: mean squared distance of the probabilities from the truth, 0 to 2. ``nll``: mean log loss in nats.
    """

    ece: float
    ece_equal_mass: float
    brier: float
    nll: float


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Calibration of ``probabilities`` (n, classes), whose rows add up to 1, given the true ``labels`` int (n,)."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    own = probabilities[np.arange(len(labels)), labels]
    squares = (probabilities**2).sum(axis=1) - 2 * own + 1
    return Calibration(
        calibration_error(sure, right, "width"),
        calibration_error(sure, right, "mass"),
        float(squares.mean()),
        float(-np.log(np.maximum(own, _LEAST)).mean()),
    )


def calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins_of: Literal["width", "mass"] = "width", bins: int = _BINS
) -> float:
    """Mean distance of confidence from accuracy over bins, each weighted by its rows; NaN without rows.

    Bins of equal width are (0, 1/15], ..., (14/15, 1]. Bins of equal mass hold as many rows each, but for one; rows of
    equal confidence are ordered as given.
    """
    if not len(confidence):
        return float("nan")
    if bins_of == "width":
        place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    else:
        place = np.empty(len(confidence), int)
        place[np.argsort(confidence, kind="stable")] = np.arange(len(confidence)) * bins // len(confidence)
    # The sum over a bin of (confidence - right) is its size times the distance of the two means.
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
