"""The file of a trained model: plain weights and what they belong to, in one safetensors file.

Here belongs writing it whole and reading it back. No code is in the file: its layers are told by name, from a short
list, so that a checkpoint of unknown origin can be opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors_in
from torch import nn
from torch.nn.utils import skip_init

from panic_assets.errors import PanicError
from panic_assets.studies.records import Hyperparameters, Trial
from panic_assets.studies.training.models import ACTIVATIONS, Residual

# One key for all: the order of several is not the same each time, and equal checkpoints shall be equal bytes.
_KEY = "panic"
_VERSION = 1


class CheckpointError(PanicError):
    """A checkpoint that can't be read; the message names the file and what to do."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; train the trial again (delete the file and run its study)")


@dataclass(frozen=True)
class _Layer:
    """How a layer is told: ``fields`` of it as JSON values, and ``make``, which takes them."""

    made_as: type[nn.Module]
    fields: Callable[[Any], Sequence[Any]] = lambda layer: ()
    make: Callable[..., nn.Module] | None = None


_LAYERS = {
    "linear": _Layer(
        nn.Linear,
        lambda layer: (layer.in_features, layer.out_features),
        lambda inputs, outputs: skip_init(nn.Linear, inputs, outputs),
    ),
    "convolution": _Layer(
        nn.Conv2d,
        lambda layer: (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding),
        lambda inputs, outputs, size, stride, padding: skip_init(
            nn.Conv2d, inputs, outputs, tuple(size), stride=tuple(stride), padding=tuple(padding)
        ),
    ),
    "dropout": _Layer(nn.Dropout, lambda layer: (layer.p,)),
    "average_pool": _Layer(nn.AvgPool2d, lambda layer: (layer.kernel_size,)),
    "flatten": _Layer(nn.Flatten),
    "residual": _Layer(
        Residual, lambda layer: (_described(layer.inner),), lambda inner: Residual(nn.Sequential(*_built(inner)))
    ),
} | {name: _Layer(kind) for name, kind in ACTIVATIONS.items()}


def save(path: Path, model: nn.Sequential, trial: Trial, metrics: Mapping[str, float]) -> None:
    """Write a checkpoint whole: under another name, then renamed. Equal models of equal trials give equal bytes.

    Args:
        path: a ``.safetensors`` file; its folder exists.
        model: with plain weights, as training gives it.
        trial: what the model was trained for.
        metrics: finite numbers.

    Raises:
        OSError: the disk refuses; ``path`` is as before.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(model.state_dict().items())}
    told = {
        "version": _VERSION,
        "trial": asdict(trial),
        "metrics": dict(metrics),
        "layers": _described(model),
        "weights": _digest(weights),
    }
    content = tensors_in.save(weights, {_KEY: json.dumps(told, sort_keys=True, allow_nan=False)})
    aside = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> tuple[nn.Sequential, Trial]:
    """The model of a checkpoint, in eval mode with plain weights on the CPU, and its trial.

    Raises:
        CheckpointError: the file is missing, damaged, or none of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})[_KEY])
            weights = {name: file.get_tensor(name) for name in sorted(file.keys())}
        version = told["version"]
        if version != _VERSION:
            raise CheckpointError(path, f"is of version {version}, not {_VERSION}")
        if _digest(weights) != told["weights"]:
            raise CheckpointError(path, "is damaged: its weights are not those that were saved")
        model = nn.Sequential(*_built(told["layers"]))
        model.load_state_dict(weights, strict=True)
        values = told["trial"]
        trial = Trial(**values | {"hyperparameters": Hyperparameters(**values["hyperparameters"])})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(path, f"can't be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(path, f"is no checkpoint of a trial: {error}") from error
    return model.eval(), trial


def checksum(path: Path) -> tuple[str, int]:
    """Of the file's content: (SHA-256 as 64 hexadecimal digits, bytes)."""
    content = path.read_bytes()
    return sha256(content).hexdigest(), len(content)


def _described(model: nn.Sequential) -> list[list[Any]]:
    """Each layer as its name and fields."""
    names = {layer.made_as: name for name, layer in _LAYERS.items()}
    return [[names[type(layer)], *_LAYERS[names[type(layer)]].fields(layer)] for layer in model]


def _built(layers: Sequence[Sequence[Any]]) -> list[nn.Module]:
    """The layers of a description, weights undefined."""
    kinds = [(_LAYERS[name], fields) for name, *fields in layers]
    return [(kind.make or kind.made_as)(*fields) for kind, fields in kinds]


def _digest(weights: Mapping[str, torch.Tensor]) -> str:
    digest = sha256()
    for name, tensor in weights.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
