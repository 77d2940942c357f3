"""How an answer is read from a network's outputs, and how far they are from another answer.

Classes and retrieval are read alike: by scores that are linear in the outputs, of which the largest names the answer.
So attacks have one aim and certificates one formula. Which answers count as right is said by the task's accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from panic_assets.studies.records import Dataset
from panic_assets.studies.retrieval import distinct_targets, retrieval_credit

#: Squared distances nearer than this to one another count as ties in `retrieval_credit`: neither wrong nor right.
_TIE = 1e-9
_ROUNDING = 1e-4  # of scores in single precision, far more than it is


@dataclass(frozen=True)
class Readout:
    """Scores z = outputs @ ``weight``.T + ``offset``; ``own`` (n,) is the position of the right one for each row.

    ``weight`` (answers, d) and ``offset`` (answers,) are float32. ``points`` (answers, d) are the targets, None for
    classes. Every method takes the outputs (n, d) of all rows, in order.
    """

    weight: Tensor
    offset: Tensor
    own: Tensor
    points: np.ndarray | None = None

    @cached_property
    def _all_but_own(self) -> Tensor:
        return torch.zeros(len(self.own), len(self.offset)).scatter(1, self.own[:, None], -torch.inf)

    def lead(self, outputs: Tensor) -> Tensor:
        """By how much the best wrong score leads the right one, (n,): above 0 the answer is wrong. Attacks raise it.

        Unlike the cross entropy it does not fade where the network is sure of itself.
        """
        scores = torch.addmm(self.offset, outputs, self.weight.T)
        right = (outputs * self.weight[self.own]).sum(dim=1) + self.offset[self.own]
        return (scores + self._all_but_own).max(dim=1).values - right

    def credit(self, outputs: Tensor) -> np.ndarray:
        """What the task's accuracy gives each row, float64 (n,): 1 if it is right, 1/k if k targets tie, else 0."""
        if self.points is None:
            return (outputs.argmax(dim=1) == self.own).numpy().astype(float)
        lead = self.lead(outputs)
        credit = (lead < 0).numpy().astype(float)
        close = ~(lead.abs() > _ROUNDING * (1 + outputs.abs().amax(dim=1))).numpy()
        credit[close] = retrieval_credit(outputs.numpy()[close], self.points, self.own.numpy()[close])
        return credit

    def clearance(self, outputs: Tensor) -> Tensor:
        """Distance of each row's outputs from the nearest point with another answer, (n,); 0 where it is wrong already.

        The border between two answers is a plane: (z_own - z_other) / |w_own - w_other|, the least over the others.
        """
        weight, precise = self.weight.double(), outputs.double()
        scores = precise @ weight.T + self.offset.double()
        gaps = scores.gather(1, self.own[:, None]) - scores - (0.0 if self.points is None else _TIE)
        apart = torch.cdist(weight[self.own], weight, compute_mode="donot_use_mm_for_euclid_dist")
        distances = (gaps / apart).scatter(1, self.own[:, None], torch.inf)
        return distances.amin(dim=1).clamp_min(0)


def readout_of(data: Dataset, rows: np.ndarray) -> Readout:
    """The readout of some ``rows`` of the test part: its classes, or all distinct targets of the whole part.

    With targets, the nearest wins: -|f - t|^2 is 2 f.t - |t|^2 but for what all targets share.
    """
    if data.is_classification:
        classes = len(data.classes)
        return Readout(torch.eye(classes), torch.zeros(classes), torch.as_tensor(data.test.y[rows]).long())
    targets, own = distinct_targets(data.test.y)
    points = torch.as_tensor(targets, dtype=torch.float32)
    offset = -(points.double() ** 2).sum(dim=1).float()
    return Readout(2 * points, offset, torch.as_tensor(own[rows]), targets)
