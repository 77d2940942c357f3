"""The largest singular value of linear maps that can only be applied, not looked at: many of them side by side.

Here belongs the iteration alone. Which maps (a convolution, a network's Jacobian) is said by who calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_PATIENCE = 3


@dataclass(frozen=True)
class Largest:
    """``values`` (n,) are never above the truth but for rounding; unit ``vectors`` (n, d) reach them."""

    values: Tensor
    vectors: Tensor


def largest_singular_values(
    forward: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], Tensor],
    start: Tensor,
    steps: int = 200,
    tolerance: float = 1e-9,
) -> Largest:
    """Largest singular values of ``n`` maps at once: Lanczos iteration on each map's A^T A, with its whole history.

    The power iteration spans the same space, but keeps its last vector alone: here the best vector of the space is
    taken (Rayleigh and Ritz), which needs tens of products where the power iteration needs thousands when the two
    largest values are near one another. Each value is |A v| of a unit vector v, hence a lower bound at any time.

    Args:
        forward: (n, d) to (n, m), the i-th row by the i-th map.
        backward: (n, m) to (n, d), by the transposed maps.
        start: (n, d), random rather than special: a vector that lacks the direction sought never finds it.
        steps: most products with each of the two.
        tolerance: it ends when no value has grown by this share in three steps.
    """
    count, width = start.shape
    tiny = torch.finfo(start.dtype).tiny
    vector = start / start.norm(dim=1, keepdim=True).clamp_min(tiny)
    basis, images = start.new_empty((count, 0, width)), None
    values, still = start.new_zeros(count), 0
    weights = start.new_ones((count, 1))
    for _ in range(min(steps, width)):
        basis = torch.cat([basis, vector[:, None]], dim=1)
        image = forward(vector)
        images = image[:, None] if images is None else torch.cat([images, image[:, None]], dim=1)
        squares, ritz = torch.linalg.eigh(images @ images.mT)
        found, weights = squares[:, -1].clamp_min(0).sqrt(), ritz[:, :, -1]
        still = still + 1 if bool((found <= values * (1 + tolerance)).all()) else 0
        values = torch.maximum(found, values)
        if still == _PATIENCE:
            break
        vector = _orthogonal(backward(image), basis)
    best = (weights[:, None] @ basis)[:, 0]
    return Largest(values, best / best.norm(dim=1, keepdim=True).clamp_min(tiny))


def _orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    """The unit vector of what is new in ``vector``; zero where nothing is: rounding is no direction."""
    before = vector.norm(dim=1, keepdim=True)
    for _ in range(2):  # once leaves errors that grow from step to step
        vector = vector - ((basis @ vector[:, :, None]).mT @ basis)[:, 0]
    after = vector.norm(dim=1, keepdim=True)
    is_new = after > before * 10 * torch.finfo(vector.dtype).eps
    return torch.where(is_new, vector / after.clamp_min(torch.finfo(vector.dtype).tiny), torch.zeros_like(vector))
