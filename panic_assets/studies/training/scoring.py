"""What a model's predictions are worth: the loss that training lowers, and the accuracy that is told.

The loss of classes is cross-entropy. That of vectors is the squared distance to the target, averaged over rows: its
best answer is the mean of what can follow, it is smooth at zero where the cosine is not, and for targets of length one
it does not depend on the number of dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from panic_assets.studies.records import Part
from panic_assets.studies.retrieval import distinct_targets, retrieval_credit

_MOST_ROWS = 8192  # through the model at once


def loss_of(predicted: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean loss over rows: ``y`` int64 (n,) are classes, float (n, d) are vectors."""
    if y.ndim == 1:
        return nn.functional.cross_entropy(predicted, y)
    return (predicted - y).square().sum(dim=1).mean()


@dataclass(frozen=True)
class Score:
    """``credit`` float64 (n,): of each row 1 if right, 1/k for one of k, else 0. ``cosine`` only of vectors."""

    loss: float
    credit: np.ndarray
    cosine: float | None

    @property
    def accuracy(self) -> float:
        """Share of rows that are right, 0 to 1."""
        return float(np.mean(self.credit))


class Scored:
    """A part of the data, of at least one row, ready to be predicted again and again."""

    def __init__(self, part: Part) -> None:
        self.x = torch.from_numpy(np.ascontiguousarray(part.x))
        self.y = torch.from_numpy(np.ascontiguousarray(part.y))
        self.is_classes = part.y.ndim == 1
        if not self.is_classes:
            self._targets, self._own = distinct_targets(part.y)

    def predict(self, model: nn.Sequential) -> torch.Tensor:
        """Output of the model in eval mode, (n, outputs); its mode stays as it was."""
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            predicted = torch.cat([model(rows) for rows in self.x.split(_MOST_ROWS)])
        model.train(was_training)
        return predicted

    def loss(self, model: nn.Sequential) -> float:
        """Mean loss over the rows."""
        return float(loss_of(self.predict(model), self.y))

    def score(self, model: nn.Sequential) -> Score:
        """Loss and accuracy. That of vectors is the share whose nearest target, among the part's, is the right one."""
        predicted = self.predict(model)
        loss = float(loss_of(predicted, self.y))
        if self.is_classes:
            right = (predicted.argmax(dim=1) == self.y) & predicted.isfinite().all(dim=1)
            return Score(loss, right.double().numpy(), None)
        credit = retrieval_credit(predicted.numpy(), self._targets, self._own)
        return Score(loss, credit, float(nn.functional.cosine_similarity(predicted, self.y, dim=1).mean()))
