"""What a model of the next step does when it is fed its own outputs: whether it settles, cycles, and follows the truth.

Here belongs the iterated map. How well single steps are predicted is measured while training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from panic_assets.studies.records import Part

_ITERATIONS = 256
_TOLERANCE = 1e-4  # of the mean length of inputs
_SAME = 100 * _TOLERANCE  # end points nearer than this are one: a settled run may still be some steps from its own
_LONGEST_CYCLE = 32
_MOST_APART = 64
_FARTHEST = 1e6  # times the mean length of inputs


@dataclass(frozen=True)
class Horizon:
    """Mean cosine to the truth ``steps`` ahead, of the model and of its input (persistence), over ``rows`` inputs."""

    steps: int
    cosine: float
    persistence: float
    rows: int


@dataclass(frozen=True)
class Rollout:
    """What iterated inputs come to after 256 steps.

    Shares of all inputs: ``settled`` (the last step is shorter than 1e-4 of the mean length of inputs), ``cycled`` (not
    settled, but as near as that to where it was 2 to 32 steps ago), ``escaped`` (a million times as long as inputs, or
    no number). ``end_points``: how many distinct points the settled ones are at. ``horizons`` by rising steps.
    """

    settled: float
    cycled: float
    escaped: float
    end_points: int
    rows: int
    horizons: tuple[Horizon, ...]


def rollout(model: nn.Module, part: Part, rows: np.ndarray, horizon: int) -> Rollout:
    """Iterate ``model`` from some ``rows`` of a part and compare up to ``horizon`` steps with what really came.

    The truth k steps ahead is known where the part holds the input k - 1 steps later in the same run.
    """
    start = torch.as_tensor(part.x[rows], dtype=torch.float32)
    scale = float(start.norm(dim=1).mean()) or 1.0
    ahead = truths(part, rows, horizon)
    horizons: list[Horizon] = []
    recent: list[Tensor] = [start]
    # Escape is for good, though the map may be told to go on from where no numbers are left.
    escaped = torch.zeros(len(start), dtype=torch.bool)
    with torch.no_grad():
        for step in range(1, max(_ITERATIONS, horizon) + 1):
            here = torch.where(escaped[:, None], recent[-1], model(recent[-1]))
            escaped |= ~(here.norm(dim=1) <= _FARTHEST * scale)
            here = torch.where(escaped[:, None], recent[-1], here)
            recent = [*recent[-_LONGEST_CYCLE:], here]
            if step in ahead:
                horizons.append(_compared(step, here, start, torch.as_tensor(part.y), ahead[step], ~escaped))
    near = torch.stack([(here - before).norm(dim=1) < _TOLERANCE * scale for before in reversed(recent[:-1])])
    settled = near[0] & ~escaped
    cycled = near[1:].any(dim=0) & ~settled & ~escaped
    return Rollout(
        float(settled.float().mean()),
        float(cycled.float().mean()),
        float(escaped.float().mean()),
        len(distinct_points(here[settled].numpy(), _SAME * scale)),
        len(start),
        tuple(horizons),
    )


def truths(part: Part, rows: np.ndarray, horizon: int) -> Mapping[int, np.ndarray]:
    """By number of steps ahead: for each of ``rows``, the row of the part whose target is the truth; -1 if unknown.

    Numbers of steps for which nothing is known are left out.
    """
    following = np.append(_followers(part), -1)  # of the unknown, which is the last, too
    found = {1: np.asarray(rows)}
    for steps in range(2, horizon + 1):
        found[steps] = following[found[steps - 1]]
        if (found[steps] < 0).all():
            del found[steps]
            break
    return found


def distinct_points(points: np.ndarray, apart: float) -> np.ndarray:
    """Those of ``points`` (n, d) that are farther than ``apart`` from all taken before them, in order."""
    left, taken = points, []
    while len(left):
        taken.append(left[0])
        left = left[np.linalg.norm(left - left[0], axis=1) > apart]
    return np.array(taken).reshape(len(taken), points.shape[1])


def _followers(part: Part) -> np.ndarray:
    """For each row, int (n,), the row of its run whose input is its target; -1 where there is none.

    How many rows on in its run that is, is seen from the data: sequence numbers of one modality are as far apart as the
    network's ring has it, and data may foretell several steps at once.
    """
    order = np.lexsort((part.steps, part.runs))
    found, most = np.full(len(part), -1), 0
    for apart in range(1, min(_MOST_APART, len(part) - 1) + 1):
        row, later = order[:-apart], order[apart:]
        fits = (part.runs[row] == part.runs[later]) & (part.y[row] == part.x[later]).all(axis=1)
        if fits.sum() > most:
            most = int(fits.sum())
            found = np.full(len(part), -1)
            found[row[fits]] = later[fits]
    return found


def _compared(step: int, here: Tensor, start: Tensor, y: Tensor, ahead: np.ndarray, usable: Tensor) -> Horizon:
    known = torch.as_tensor(ahead >= 0)
    truth = y[torch.as_tensor(ahead[ahead >= 0])]
    cosine: Callable[[Tensor, Tensor], Tensor] = nn.functional.cosine_similarity
    own = torch.where(usable[known], cosine(here[known], truth), torch.zeros(len(truth)))
    return Horizon(step, float(own.mean()), float(cosine(start[known], truth).mean()), len(truth))
