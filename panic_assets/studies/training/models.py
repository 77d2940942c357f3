"""The models that trials train, and their first weights.

Here belong architectures. They are made of a few kinds of layers alone, so that what measures a model can walk it:
Linear, Conv2d, activations, Dropout, Flatten, AvgPool2d, and Residual. How weights are bounded is in ``constraints``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import nn
from torch.nn.utils import skip_init

from panic_assets.studies.records import Hyperparameters, Kind

_LEAST_SIDE = 4  # of a picture that is still pooled

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}


class Residual(nn.Module):
    """``x + inner(x)``, shapes equal."""

    def __init__(self, inner: nn.Sequential) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape of ``x``."""
        return x + self.inner(x)


def build(hyper: Hyperparameters, inputs: tuple[int, ...], outputs: int, seed: int) -> nn.Sequential:
    """A model with its first weights, in training mode.

    The weights follow from the seed and the shapes alone: arms that differ in dropout or in a constraint begin equal.

    Args:
        hyper: kind, layers, width, activation, dropout.
        inputs: shape of one row: (features,), or (channels, height, width).
        outputs: numbers that one row becomes.
        seed: of the first weights.
    """
    layers = _KINDS[hyper.kind](hyper, inputs, outputs)
    model = nn.Sequential(*layers)
    _initialise(model, stream(seed, "weights"))
    return model


def stream(seed: int, purpose: str) -> torch.Generator:
    """A stream of random numbers of its own for each purpose, so that none shifts another."""
    digest = blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def _mlp(hyper: Hyperparameters, inputs: tuple[int, ...], outputs: int) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Flatten()] if len(inputs) > 1 else []
    size = math.prod(inputs)
    for _ in range(hyper.layers):
        layers += [skip_init(nn.Linear, size, hyper.width), *_after(hyper)]
        size = hyper.width
    return [*layers, skip_init(nn.Linear, size, outputs)]


def _residual(hyper: Hyperparameters, inputs: tuple[int, ...], outputs: int) -> list[nn.Module]:
    """A layer in, blocks of x + W2 a(W1 x), a layer out."""
    layers: list[nn.Module] = [nn.Flatten()] if len(inputs) > 1 else []
    layers.append(skip_init(nn.Linear, math.prod(inputs), hyper.width))
    for _ in range(hyper.layers):
        within = skip_init(nn.Linear, hyper.width, hyper.width)
        out = skip_init(nn.Linear, hyper.width, hyper.width)
        layers.append(Residual(nn.Sequential(within, *_after(hyper), out)))
    return [*layers, skip_init(nn.Linear, hyper.width, outputs)]


def _cnn(hyper: Hyperparameters, inputs: tuple[int, ...], outputs: int) -> list[nn.Module]:
    """Convolutions of 3 x 3 that keep the side, each followed by a pooling to half of it while there is enough."""
    if len(inputs) != 3:
        raise ValueError(f"a cnn takes rows of shape (channels, height, width), not {inputs}")
    channels, height, width = inputs
    layers: list[nn.Module] = []
    for _ in range(hyper.layers):
        layers += [skip_init(nn.Conv2d, channels, hyper.width, 3, padding=1), *_after(hyper)]
        channels = hyper.width
        if min(height, width) >= _LEAST_SIDE:
            layers.append(nn.AvgPool2d(2))
            height, width = height // 2, width // 2
    return [*layers, nn.Flatten(), skip_init(nn.Linear, channels * height * width, outputs)]


def _after(hyper: Hyperparameters) -> list[nn.Module]:
    activation = ACTIVATIONS[hyper.activation]()
    return [activation, nn.Dropout(hyper.dropout)] if hyper.dropout else [activation]


def _initialise(model: nn.Module, random: torch.Generator) -> None:
    """Uniform within 1/sqrt(fan in), as PyTorch's own layers begin, but from a stream of our own."""
    with torch.no_grad():
        for layer in weighted(model).values():
            bound = 1 / math.sqrt(layer.weight[0].numel())
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=random)


def weighted(model: nn.Module) -> dict[str, nn.Linear | nn.Conv2d]:
    """Layers that have weights, in order, by their places from 1.

    Their names within the model differ between arms: dropout stands between layers and shifts them.
    """
    layers = (layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d))
    return {str(place): layer for place, layer in enumerate(layers, start=1)}


_KINDS: dict[Kind, Callable[[Hyperparameters, tuple[int, ...], int], list[nn.Module]]] = {
    "mlp": _mlp,
    "residual": _residual,
    "cnn": _cnn,
}
