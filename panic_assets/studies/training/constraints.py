"""The bound on the spectral norm of a model's weights: put on, looked at, and made part of the weights.

Here belongs what holds a layer's largest singular value at the coefficient. What that means for the whole model is
measured in ``measures``. A kernel (out, in, h, w) is bounded as the matrix (out, in * h * w), whose norm is not that of
the convolution.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from panic_assets.studies.records import Hyperparameters
from panic_assets.studies.training.models import weighted

_WEIGHT = "weight"


class Scaled(nn.Module):
    """The weight times a number."""

    def __init__(self, coefficient: float) -> None:
        super().__init__()
        self.coefficient = coefficient

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Shape of ``weight``."""
        return weight * self.coefficient


def constrain(model: nn.Sequential, hyper: Hyperparameters) -> None:
    """Hold each layer's largest singular value at ``hyper.coefficient`` while the model trains, if ``hyper`` says so.

    It is estimated by power iteration (Miyato and others, Spectral Normalization for GANs, 2018), ``power_iterations``
    at each step; `fold` makes it exact. Draws its first vectors from torch's global stream.
    """
    if not hyper.spectral_norm:
        return
    for layer in weighted(model).values():
        parametrizations.spectral_norm(layer, _WEIGHT, n_power_iterations=hyper.power_iterations)
        if hyper.coefficient != 1:
            parametrize.register_parametrization(layer, _WEIGHT, Scaled(hyper.coefficient))


def fold(model: nn.Sequential, hyper: Hyperparameters) -> None:
    """Make the bound part of plain weights, by exact singular values, and end training: the model goes into eval mode.

    Afterwards each largest singular value is the coefficient but for rounding, whatever power iteration had come to.
    """
    model.eval()
    if not hyper.spectral_norm:
        return
    for layer in weighted(model).values():
        raw = _raw(layer).detach().clone()
        parametrize.remove_parametrizations(layer, _WEIGHT, leave_parametrized=True)
        sigma = _sigma(raw)
        with torch.no_grad():
            layer.weight.copy_(raw * (hyper.coefficient / sigma) if sigma > 0 else raw)


def layer_sigmas(model: nn.Sequential) -> dict[str, float]:
    """Exact largest singular value of each layer's effective weights, by the layer's name; NaN if they are not finite.

    Those of kernels are of the matrix (out, in * h * w). The model's power iteration is not advanced.
    """
    was_training = model.training
    model.eval()  # reading a weight in training mode would iterate
    sigmas = {name: _sigma(layer.weight.detach()) for name, layer in weighted(model).items()}
    model.train(was_training)
    return sigmas


def _raw(layer: nn.Module) -> torch.Tensor:
    """The parameter that a bounded layer's weight is made from."""
    return dict(layer.named_parameters())[f"parametrizations.{_WEIGHT}.original"]


def _sigma(weight: torch.Tensor) -> float:
    matrix = weight.flatten(1)
    return float(torch.linalg.matrix_norm(matrix, ord=2)) if bool(matrix.isfinite().all()) else float("nan")
