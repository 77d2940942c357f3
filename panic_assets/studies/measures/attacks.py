"""Changes of inputs that do harm: one step along the gradient, many steps, and noise for comparison.

Here belong the attacks alone; what they do to a network's accuracy is in ``robustness``. All take rows that don't
depend on one another and give changed inputs of the same shape. But for noise, they stay within ``epsilon``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["l2", "linf"]
Box = tuple[float, float] | None


@dataclass(frozen=True)
class Target:
    """What is attacked: ``aim`` of the outputs of ``model``, (n,), is to be raised.

    ``box`` are the least and largest value of an input, None for no limits: pixels have such, embeddings don't.
    """

    model: Callable[[Tensor], Tensor]
    aim: Callable[[Tensor], Tensor]
    box: Box = None

    def within(self, x: Tensor) -> Tensor:
        """``x``, cut to the box. An input in the box is never moved farther from another one by this."""
        return x if self.box is None else x.clamp(*self.box)

    def slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The aim at ``x`` (n,), and its gradient there."""
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            reached = self.aim(self.model(x))
            (gradient,) = torch.autograd.grad(reached.sum(), x)
        return reached.detach(), gradient

    def reached(self, x: Tensor) -> Tensor:
        """The aim at ``x``, (n,)."""
        with torch.no_grad():
            return self.aim(self.model(x))


def fgsm(target: Target, x: Tensor, norm: Norm, epsilon: float) -> Tensor:
    """One step of length ``epsilon`` that is best for a linear network: the gradient's signs (linf), or itself (l2)."""
    _, gradient = target.slope(x)
    return target.within(x + epsilon * _steepest(gradient, norm))


def pgd(
    target: Target,
    x: Tensor,
    norm: Norm,
    epsilon: float,
    *,
    steps: int = 20,
    restarts: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Many smaller steps, each brought back to within ``epsilon``; for each row the best point of all that were met.

    The first of ``restarts`` starts at ``x`` itself, others at random points of the ball, drawn by ``generator``.
    Steps are 2.5 * epsilon / steps long.
    """
    length = 2.5 * epsilon / steps
    best, most = x.clone(), target.reached(x)
    for start in range(restarts):
        here = x if start == 0 else target.within(x + _in_ball(x, norm, epsilon, generator))
        for _ in range(steps):
            reached, gradient = target.slope(here)
            best, most = _better(best, most, here, reached)
            here = target.within(x + _projected(here + length * _steepest(gradient, norm) - x, norm, epsilon))
        best, most = _better(best, most, here, target.reached(here))
    return best


def noise(target: Target, x: Tensor, norm: Norm, epsilon: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise, in the mean square as long as ``epsilon``: the whole row in l2, each number of it in linf."""
    scale = epsilon / x[0].numel() ** 0.5 if norm == "l2" else epsilon
    return target.within(x + scale * torch.randn(x.shape, generator=generator))


def _better(best: Tensor, most: Tensor, here: Tensor, reached: Tensor) -> tuple[Tensor, Tensor]:
    is_better = reached > most
    return torch.where(_rows(is_better, here), here, best), torch.where(is_better, reached, most)


def _steepest(gradient: Tensor, norm: Norm) -> Tensor:
    if norm == "linf":
        return gradient.sign()
    return gradient / _rows(_length(gradient).clamp_min(torch.finfo(gradient.dtype).tiny), gradient)


def _projected(change: Tensor, norm: Norm, epsilon: float) -> Tensor:
    if norm == "linf":
        return change.clamp(-epsilon, epsilon)
    return change * _rows((epsilon / _length(change).clamp_min(1e-30)).clamp_max(1.0), change)


def _in_ball(x: Tensor, norm: Norm, epsilon: float, generator: torch.Generator | None) -> Tensor:
    """Evenly distributed in the ball."""
    if norm == "linf":
        return epsilon * (2 * torch.rand(x.shape, generator=generator) - 1)
    direction = _steepest(torch.randn(x.shape, generator=generator), norm)
    radius = torch.rand(len(x), generator=generator) ** (1 / x[0].numel())
    return epsilon * direction * _rows(radius, x)


def _length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def _rows(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
