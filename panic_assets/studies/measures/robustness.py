"""What changes of its inputs do to a network's accuracy, and up to which size it is proven that they do nothing.

Here belong accuracies by attack, norm and epsilon, certified radii and the area under such a curve. How inputs are
changed is in ``attacks``, how answers are read in ``readout``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from panic_assets.studies.measures.attacks import Norm, Target, fgsm, noise, pgd
from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.readout import Readout, readout_of
from panic_assets.studies.records import Dataset, Part
from panic_assets.studies.spec_sections import Evaluation
from panic_assets.studies.training.scoring import loss_of

CLEAN, CERTIFIED = "none", "certified"
_PIXELS = (0.0, 1.0)


@dataclass(frozen=True)
class Robust:
    """Accuracy and mean loss of ``rows`` inputs under an attack. ``loss`` is NaN where only the accuracy is known.

    The attack ``none`` has the norm ``none`` and epsilon 0. For ``certified``, ``accuracy`` is the share of inputs that
    no change whatever within epsilon can turn.
    """

    attack: str
    norm: str
    epsilon: float
    accuracy: float
    loss: float
    rows: int


@dataclass(frozen=True)
class Ground:
    """The rows on which robustness is measured. ``radius`` (n,) is certified, in l2, in units of the inputs."""

    target: Target
    readout: Readout
    x: Tensor
    y: Tensor
    radius: np.ndarray

    def score(self, x: Tensor) -> tuple[float, float]:
        """The task's accuracy, 0 to 1, and the loss that training lowers, on changed inputs."""
        with torch.no_grad():
            outputs = self.target.model(x)
            return float(self.readout.credit(outputs).mean()), float(loss_of(outputs, self.y))


def chosen_rows(part: Part, most: int) -> np.ndarray:
    """Positions of at most ``most`` rows, evenly spread over the part, so that all its runs have a say.

    Raises:
        MeasureError: the part has no rows.
    """
    if not len(part):
        raise MeasureError("the test part has no rows to measure on: give it a larger share in data.split")
    return np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).round().astype(int))


def ground(model: nn.Module, data: Dataset, rows: np.ndarray, upper: float) -> Ground:
    """Prepare ``rows`` of the test part for attacks on ``model``, whose Lipschitz constant is at most ``upper``.

    Pictures of digits have pixels from 0 to 1, and attacked ones have too; embeddings may be changed anyhow.
    """
    part = data.test
    readout = readout_of(data, rows)
    x = torch.as_tensor(part.x[rows], dtype=torch.float32)
    y = torch.as_tensor(part.y[rows])
    target = Target(model, readout.lead, _PIXELS if data.task == "digits" else None)
    return Ground(target, readout, x, y, certified_radius(model, readout, x, upper))


def certified_radius(model: nn.Module, readout: Readout, x: Tensor, upper: float) -> np.ndarray:
    """Length, float (n,), of the changes in l2 that can't turn a right answer; 0 for wrong ones.

    Outputs move by at most ``upper`` times the change, so that it is their distance from the nearest other answer over
    ``upper``. For classes this is margin / (root 2 * upper); for targets it is never below
    (distance of the nearest other - distance of the own) / (2 * upper), and above it where they are not in one line.
    """
    with torch.no_grad():
        clearance = readout.clearance(model(x)).numpy()
    return clearance / upper if upper > 0 else np.where(clearance > 0, np.inf, 0.0)


def certified_accuracy(radius: np.ndarray, epsilon: float) -> float:
    """Share of rows whose right answer no change of length ``epsilon`` can turn."""
    return float((radius > epsilon).mean())


def accuracy_under(ground: Ground, evaluation: Evaluation, seed: int) -> list[Robust]:
    """Accuracy without a change, under each attack in each norm at each epsilon, and as certified in l2.

    A change that did harm within a smaller epsilon is within a larger one as well: PGD's accuracy never rises with it.
    Random numbers come from ``seed`` alone, so that arms of a pair meet the same noise.
    """
    found = [_row(ground, CLEAN, "none", 0.0, ground.x)]
    for norm in evaluation.norms:
        epsilons = evaluation.epsilons[norm]
        for attack in evaluation.attacks:
            found += _CURVES[attack](ground, evaluation, norm, epsilons, torch.Generator().manual_seed(seed))
        if norm == "l2":
            found += [
                Robust(CERTIFIED, norm, epsilon, certified_accuracy(ground.radius, epsilon), np.nan, len(ground.x))
                for epsilon in epsilons
            ]
    return found


def robust_area(rows: Sequence[Robust], attack: str, norm: str) -> float:
    """Area under accuracy against epsilon, from 0 to the largest, over the largest: a mean accuracy, from 0 to 1.

    By trapezoids; NaN without any epsilon above 0.
    """
    clean = [(0.0, row.accuracy) for row in rows if row.attack == CLEAN]
    curve = [(row.epsilon, row.accuracy) for row in rows if (row.attack, row.norm) == (attack, norm) and row.epsilon]
    points = sorted(clean + curve)
    if not curve or not clean:
        return float("nan")
    epsilon, accuracy = np.array(points).T
    return float(np.trapezoid(accuracy, epsilon) / epsilon[-1])


def _row(ground: Ground, attack: str, norm: str, epsilon: float, x: Tensor) -> Robust:
    return Robust(attack, norm, epsilon, *ground.score(x), len(x))


def _fgsm_curve(
    ground: Ground, evaluation: Evaluation, norm: Norm, epsilons: Sequence[float], draw: torch.Generator
) -> Iterator[Robust]:
    for epsilon in epsilons:
        yield _row(ground, "fgsm", norm, epsilon, fgsm(ground.target, ground.x, norm, epsilon))


def _pgd_curve(
    ground: Ground, evaluation: Evaluation, norm: Norm, epsilons: Sequence[float], draw: torch.Generator
) -> Iterator[Robust]:
    worst, most = ground.x, ground.target.reached(ground.x)
    for epsilon in epsilons:
        changed = pgd(
            ground.target,
            ground.x,
            norm,
            epsilon,
            steps=evaluation.pgd_steps,
            restarts=evaluation.pgd_restarts,
            generator=draw,
        )
        reached = ground.target.reached(changed)
        is_worse = reached > most
        worst = torch.where(is_worse.reshape(-1, *[1] * (worst.dim() - 1)), changed, worst)
        most = torch.maximum(most, reached)
        yield _row(ground, "pgd", norm, epsilon, worst)


def _noise_curve(
    ground: Ground, evaluation: Evaluation, norm: Norm, epsilons: Sequence[float], draw: torch.Generator
) -> Iterator[Robust]:
    for epsilon in epsilons:
        draws = [
            _row(ground, "noise", norm, epsilon, noise(ground.target, ground.x, norm, epsilon, draw))
            for _ in range(evaluation.noise_draws)
        ]
        accuracy, loss = (float(np.mean([getattr(row, name) for row in draws])) for name in ("accuracy", "loss"))
        yield Robust("noise", norm, epsilon, accuracy, loss, len(ground.x))


_CURVES = {"fgsm": _fgsm_curve, "pgd": _pgd_curve, "noise": _noise_curve}
