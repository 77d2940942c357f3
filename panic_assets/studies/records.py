"""What the parts of the studies room hand to one another: hyperparameters, a trial, an epoch, a dataset.

Here belong plain values and their identities. How a study is written down is in ``spec``, how a trial is trained in
``training``, what is measured of it in ``measures``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

Task = Literal["next_step", "prompt_recovery", "network_identification", "digits"]
Kind = Literal["mlp", "residual", "cnn"]
Mode = Literal["search", "comparison"]
State = Literal["pending", "running", "completed", "failed", "cancelled", "timed_out"]
#: States that a trial or a model run never leaves.
FINAL: frozenset[State] = frozenset({"completed", "failed", "cancelled", "timed_out"})


@dataclass(frozen=True)
class Hyperparameters:
    """All that shapes one training beside its data and its seed.

    ``coefficient`` bounds each layer's spectral norm where ``spectral_norm`` is set. ``gradient_clip`` bounds the norm
    of the gradient, None for no bound. ``layers`` counts hidden layers (or residual blocks, or convolutions), each
    ``width`` wide. ``activation`` is one of relu, tanh, gelu, silu.
    """

    kind: Kind = "mlp"
    layers: int = 2
    width: int = 64
    activation: str = "relu"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    dropout: float = 0.0
    gradient_clip: float | None = None
    spectral_norm: bool = False
    coefficient: float = 1.0
    power_iterations: int = 1
    epochs: int = 30
    batch_size: int = 64


@dataclass(frozen=True)
class Trial:
    """One training that is to be done. ``data_id`` names the data and their split, so that equal trials are equal work.

    ``pair`` is shared by the trials of all arms that are to be compared with one another: same split, same seed, same
    hyperparameters but for the arm. In a search it is the number of the trial within its arm.
    """

    study: str
    mode: Mode
    arm: str
    pair: int
    seed: int
    task: Task
    data_id: str
    hyperparameters: Hyperparameters

    @property
    def trial_id(self) -> str:
        """Identity of the trial: blake2b-128 of everything in it, as 32 hexadecimal digits."""
        return content_id(asdict(self))


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: train_loss, validation_loss, validation_accuracy and what the task adds as ``metrics``.

    ``sigmas`` are the largest singular values of the weights by layer name, those of kernels as reshaped matrices.
    Numbers may be NaN or infinite when training diverges.
    """

    number: int
    seconds: float
    metrics: dict[str, float]
    sigmas: dict[str, float]


@dataclass(frozen=True)
class Part:
    """One part of the data. ``x`` float32 (n, features) or (n, channels, h, w).

    ``y`` is int64 (n,) for classes, float32 (n, d) for vectors. ``runs`` int64 (n,) says which run (or, for digits,
    which picture) each row comes from: no run is in two parts. ``steps`` int64 (n,): sequence number of the input.
    """

    x: np.ndarray
    y: np.ndarray
    runs: np.ndarray
    steps: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """Training data of a task. ``classes`` are names of the labels, empty where the target is a vector.

    ``data_id`` is a hash of the arrays and the split.
    """

    task: Task
    train: Part
    validation: Part
    test: Part
    classes: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_classification(self) -> bool:
        """Whether the target is one of some classes."""
        return bool(self.classes)

    @property
    def data_id(self) -> str:
        """blake2b-128 over the arrays of all parts, as 32 hexadecimal digits."""
        digest = blake2b(digest_size=16)
        for part in (self.train, self.validation, self.test):
            for array in (part.x, part.y, part.runs, part.steps):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def content_id(value: Any) -> str:
    """blake2b-128 of a value's canonical JSON, as 32 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()
