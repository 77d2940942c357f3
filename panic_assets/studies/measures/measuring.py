"""All measures of one trained model, as metrics of its trial and as rows of the lake's tables.

Here belongs the order of measuring and the names. What each measure is stands in its own module.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from panic_assets.studies.measures.calibration import calibration
from panic_assets.studies.measures.lipschitz import Bounds, lipschitz
from panic_assets.studies.measures.robustness import Ground, Robust, accuracy_under, chosen_rows, ground, robust_area
from panic_assets.studies.measures.rollout import Rollout, rollout
from panic_assets.studies.records import Dataset, Trial
from panic_assets.studies.spec_sections import Evaluation

_WHOLE = -1
_PICTURES = 64  # rows at which the Jacobian of a network of pictures is looked at: each costs as much as 50 vectors


@dataclass(frozen=True)
class Measured:
    """What was measured. ``metrics`` by name; ``coefficient`` is that of spectral normalisation, None without it."""

    metrics: dict[str, float]
    bounds: Bounds
    robust: tuple[Robust, ...]
    rollout: Rollout | None
    coefficient: float | None = None

    def lipschitz_rows(self) -> list[dict[str, Any]]:
        """Rows of table ``lipschitz``, without study and trial."""
        rows = [_norm_row(_WHOLE, "", "upper", self.bounds.upper), _norm_row(_WHOLE, "", "lower", self.bounds.lower)]
        if self.coefficient is not None:
            rows.append(_norm_row(_WHOLE, "", "coefficient", self.coefficient))
        for number, layer in enumerate(self.bounds.layers):
            for quantity in ("reshaped_sigma", "operator_norm", "fft_bound"):
                value = getattr(layer, quantity)
                if value is not None:
                    rows.append(_norm_row(number, layer.name, quantity, value))
        return rows

    def robustness_rows(self) -> list[dict[str, Any]]:
        """Rows of table ``robustness``, without study and trial.

        The attack ``rollout`` has the norm ``none``; its epsilon is the number of steps ahead.
        """
        rows = []
        for one in self.robust:
            rows.append(_robust_row(one.attack, one.norm, one.epsilon, "accuracy", one.accuracy, one.rows))
            if np.isfinite(one.loss):
                rows.append(_robust_row(one.attack, one.norm, one.epsilon, "loss", one.loss, one.rows))
        if self.rollout:
            for at in self.rollout.horizons:
                rows.append(_robust_row("rollout", "none", at.steps, "cosine", at.cosine, at.rows))
                rows.append(_robust_row("rollout", "none", at.steps, "persistence_cosine", at.persistence, at.rows))
            for name in ("settled", "cycled", "escaped", "end_points"):
                value = float(getattr(self.rollout, name))
                rows.append(_robust_row("rollout", "none", 0.0, name, value, self.rollout.rows))
        return rows


def measure(model: nn.Sequential, trial: Trial, data: Dataset, evaluation: Evaluation) -> Measured:
    """Measure a trained model on the test part. The model is not changed.

    Args:
        model: as `build` makes it and a checkpoint holds it: plain weights.
        trial: tells the seed of attacks and noise, which arms of a pair share.
        data: what it was trained on.
        evaluation: norms, epsilons, attacks, most rows, horizon.

    Raises:
        MeasureError: a layer whose norm is not known; weights that are no finite numbers; an empty test part.
    """
    still = deepcopy(model).eval().requires_grad_(False)
    rows = chosen_rows(data.test, evaluation.most_rows)
    is_of_pictures = data.test.x.ndim > 2
    inputs = data.test.x[chosen_rows(data.test, _PICTURES) if is_of_pictures else rows]
    bounds = lipschitz(still, inputs)
    on = ground(still, data, rows, bounds.upper)
    robust = accuracy_under(on, evaluation, trial.seed)
    rolled = rollout(still, data.test, rows, evaluation.horizon) if data.task == "next_step" else None
    hyper = trial.hyperparameters
    return Measured(
        _metrics(bounds, on, robust, rolled, evaluation) | (_calibration(on) if data.is_classification else {}),
        bounds,
        tuple(robust),
        rolled,
        hyper.coefficient if hyper.spectral_norm else None,
    )


def _metrics(
    bounds: Bounds, on: Ground, robust: list[Robust], rolled: Rollout | None, evaluation: Evaluation
) -> dict[str, float]:
    areas = {
        f"robust_area_{attack}_{norm}": robust_area(robust, attack, norm)
        for norm in evaluation.norms
        for attack in evaluation.attacks
    }
    rolls = {"rollout_settled": rolled.settled, "rollout_cosine": rolled.horizons[-1].cosine} if rolled else {}
    return {
        "lipschitz_upper": bounds.upper,
        "lipschitz_lower": bounds.lower,
        "certified_radius_median": float(np.median(on.radius)),
        **areas,
        **rolls,
    }


def _calibration(on: Ground) -> dict[str, float]:
    with torch.no_grad():
        probabilities = on.target.model(on.x).double().softmax(dim=1).numpy()
    return asdict(calibration(probabilities, on.y.numpy()))


def _norm_row(layer: int, name: str, quantity: str, value: float) -> dict[str, Any]:
    return {"layer": layer, "layer_name": name, "quantity": quantity, "value": value}


def _robust_row(attack: str, norm: str, epsilon: float, metric: str, value: float, rows: int) -> dict[str, Any]:
    return {"attack": attack, "norm": norm, "epsilon": epsilon, "metric": metric, "value": value, "rows": rows}
