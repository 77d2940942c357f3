"""Between which bounds the Lipschitz constant (l2) of a whole network lies, and what its layers contribute.

Here belong the walk through a network and the search among inputs. Norms of single layers are in ``operator_norms``.

From above: the product of the layers' norms and of the constants of activations; a residual block adds one to that of
its inside. This holds for all inputs there are, and is loose. From below: the largest norm that the Jacobian has at the
inputs tried. This is reached, but larger ones may exist elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from panic_assets.studies.measures.errors import MeasureError
from panic_assets.studies.measures.krylov import Largest, largest_singular_values
from panic_assets.studies.measures.operator_norms import conv_norm, linear_norm, pool_norm
from panic_assets.studies.training.models import Residual, weighted

#: Largest slope of each activation, rounded up where it is no round number. GELU's x Phi(x) is steepest at the root of
#: two: Phi(x) + x phi(x) there. The slope of SiLU's x s(x) is s(x) (1 + x (1 - s(x))), which is largest at 2.3994.
_SLOPES: dict[type[nn.Module], float] = {
    nn.ReLU: 1.0,
    nn.Tanh: 1.0,
    nn.GELU: 1.1289042,
    nn.SiLU: 1.0998394,
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Dropout: 1.0,
}
_TANH_GELU_SLOPE = 1.1289931
_ROUNDING = 1e-9
_REFINED = 4
_ROUNDS = 6
_TRIES = 8


@dataclass(frozen=True)
class Layer:
    """A layer with weights. ``operator_norm`` is exact; ``fft_bound`` is None where the layer is no convolution.

    ``reshaped_sigma`` is the largest singular value of the weight as a matrix, which spectral normalisation bounds.
    """

    name: str
    kind: str
    reshaped_sigma: float
    operator_norm: float
    fft_bound: float | None = None

    @property
    def bound(self) -> float:
        """What enters the upper bound: a norm that is proven, not one that an iteration has come near from below."""
        return self.operator_norm if self.fft_bound is None else self.fft_bound


@dataclass(frozen=True)
class Bounds:
    """``lower`` <= Lipschitz constant <= ``upper``. ``local`` (n,) are norms of the Jacobian at the inputs given."""

    layers: tuple[Layer, ...]
    upper: float
    lower: float
    local: np.ndarray


def lipschitz(model: nn.Sequential, x: np.ndarray, seed: int = 0) -> Bounds:
    """Bounds of a network's Lipschitz constant in l2.

    Args:
        model: of the layers that studies build, in eval mode.
        x: float (n, ...), the inputs at which the Jacobian is looked at; n >= 1.
        seed: of the starting vectors and of the search.

    Returns:
        The lower bound starts at all of ``x``. From the four inputs with the largest norms a search goes on: eight
        neighbours at random, from the best of which it continues, half as far away where none is better, six rounds.

    Raises:
        MeasureError: a layer whose norm is not known; weights that are no finite numbers; no inputs.
    """
    if not len(x):
        raise MeasureError("no inputs to look at the Jacobian: give at least one row of x")
    layers = named_layers(model, x[:1])
    upper = _factor(model, dict(zip(weighted(model).values(), layers, strict=True)))
    inputs = torch.as_tensor(x, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    local = jacobian_norms(model, inputs, draw, tolerance=1e-4)
    lower = _searched(deepcopy(model).double(), inputs.double(), local, draw)
    # Both are equal where the network is linear: there, and no further, rounding must not turn them round.
    lower = min(lower, upper) if lower <= upper * (1 + _ROUNDING) else lower
    return Bounds(layers, upper, lower, local.numpy().astype(float))


def named_layers(model: nn.Sequential, x: np.ndarray) -> tuple[Layer, ...]:
    """Norms of all layers with weights, in the order in which data pass them; ``x`` (1, ...) tells sizes of pictures.

    Raises:
        MeasureError: weights that are no finite numbers, named by their layer.
    """
    sizes: dict[str, tuple[int, int]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=name: _note(sizes, name, given[0]))
        for name, module in weighted(model).items()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            model(torch.as_tensor(x, dtype=torch.float32))
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for name, module in weighted(model).items():
        if not bool(torch.isfinite(module.weight).all()):
            raise MeasureError(f"layer {name}: weights that are no finite numbers have no norm; training diverged")
        found.append(_layer(name, module, sizes.get(name)))
    return tuple(found)


def _note(sizes: dict[str, tuple[int, int]], name: str, given: Tensor) -> None:
    sizes[name] = (given.shape[-2], given.shape[-1])


def _layer(name: str, module: nn.Linear | nn.Conv2d, size: tuple[int, int] | None) -> Layer:
    if isinstance(module, nn.Linear):
        norm = linear_norm(module.weight)
        return Layer(name, "linear", norm, norm)
    assert size is not None, name
    norms = conv_norm(module, size)
    return Layer(name, "convolution", norms.reshaped, norms.exact, norms.fft_bound)


def _factor(module: nn.Module, layers: Mapping[nn.Module, Layer]) -> float:
    """By how much a module can stretch differences."""
    if isinstance(module, nn.Sequential):
        return prod(_factor(child, layers) for child in module.children())
    if isinstance(module, Residual):
        return 1.0 + _factor(module.inner, layers)
    if module in layers:
        return layers[module].bound
    if isinstance(module, nn.AvgPool2d):
        return pool_norm(module)
    if isinstance(module, nn.GELU) and module.approximate == "tanh":
        return _TANH_GELU_SLOPE
    if type(module) in _SLOPES:
        return _SLOPES[type(module)]
    known = sorted(kind.__name__ for kind in (*_SLOPES, nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Sequential, Residual))
    raise MeasureError(f"the norm of a {type(module).__name__} is not known; known are {', '.join(known)}")


def jacobian_norms(
    model: Callable[[Tensor], Tensor], x: Tensor, draw: torch.Generator, tolerance: float = 1e-9
) -> Tensor:
    """Largest singular value of the Jacobian at each row of ``x``, (n,); rows must not depend on one another.

    Never above the truth but for rounding. The iteration works on the smaller of the two sides, so that a network of
    ten outputs needs ten products at most.
    """
    outputs, pull = torch.func.vjp(model, x)[:2]
    wide, narrow = prod(x.shape[1:]), prod(outputs.shape[1:])
    # The transpose of the transpose: five times as fast as torch's forward mode, which starts anew with each vector.
    push = torch.func.vjp(lambda u: torch.func.vjp(model, x)[1](u)[0], torch.zeros_like(outputs))[1]

    def down(vectors: Tensor) -> Tensor:
        return push(vectors.reshape(x.shape))[0].flatten(1)

    def up(vectors: Tensor) -> Tensor:
        return pull(vectors.reshape(outputs.shape))[0].flatten(1)

    side, pair = (wide, (down, up)) if wide <= narrow else (narrow, (up, down))
    start = torch.randn((len(x), side), generator=draw, dtype=x.dtype)
    with torch.no_grad():
        found: Largest = largest_singular_values(*pair, start, tolerance=tolerance)
    return found.values


def _searched(model: Any, x: Tensor, local: Tensor, draw: torch.Generator) -> float:
    """The largest norm found near the inputs that promise most, in double precision."""
    best = local.nan_to_num(nan=-1.0).topk(min(_REFINED, len(x))).indices
    places = x[best]
    norms = jacobian_norms(model, places, draw)
    reach = 0.25 * float((x - x.mean(dim=0)).flatten(1).norm(dim=1).mean())
    reaches = torch.full((len(places),), reach if reach > 0 else 1.0, dtype=x.dtype)
    for _ in range(_ROUNDS):
        steps = torch.randn((_TRIES, *places.shape), generator=draw, dtype=x.dtype)
        steps = steps / steps.flatten(2).norm(dim=2).reshape(_TRIES, -1, *[1] * (x.dim() - 1))
        tried = places + steps * reaches.reshape(-1, *[1] * (x.dim() - 1))
        found = jacobian_norms(model, tried.flatten(0, 1), draw, tolerance=1e-4).reshape(_TRIES, -1)
        top = found.max(dim=0)
        is_better = top.values > norms
        chosen = tried[top.indices, torch.arange(len(places))]
        places = torch.where(is_better.reshape(-1, *[1] * (x.dim() - 1)), chosen, places)
        norms = torch.maximum(norms, top.values)
        reaches = torch.where(is_better, reaches, reaches / 2)
    return float(jacobian_norms(model, places, draw).max().clamp_min(norms.max()))
