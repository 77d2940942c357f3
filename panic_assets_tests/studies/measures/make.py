"""Small networks and data for the tests of measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from panic_assets.studies.records import Dataset, Hyperparameters, Mode, Part, Task, Trial
from panic_assets.studies.training.models import build
from panic_assets.studies.training.scoring import loss_of


def network(
    hyper: Hyperparameters, inputs: tuple[int, ...], outputs: int, seed: int = 0, gain: float = 1.0
) -> nn.Sequential:
    """A network as trials build it, in eval mode, its weights times ``gain``."""
    model = build(hyper, inputs, outputs, seed).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.mul_(gain)
    return model


def linear(weight: np.ndarray, bias: Sequence[float] | None = None) -> nn.Sequential:
    """The map of x to weight @ x + bias."""
    layer = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False)
    layer.weight.copy_(torch.as_tensor(weight))
    layer.bias.copy_(torch.as_tensor(bias if bias is not None else np.zeros(len(weight))))
    return nn.Sequential(layer).eval()


def part(x: np.ndarray, y: np.ndarray, runs: np.ndarray | None = None, steps: np.ndarray | None = None) -> Part:
    """Rows of one run each, unless said otherwise."""
    every = np.arange(len(x))
    target = y.astype(np.int64 if y.ndim == 1 else np.float32)
    return Part(x.astype(np.float32), target, every if runs is None else runs, every if steps is None else steps)


def trajectories(runs: int, length: int, seed: int, features: int = 6, stride: int = 2) -> Part:
    """Next steps of runs that turn on a sphere and are drawn to a pole; numbered as those of one modality are."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(features, features)))[0]
    here, path = random.normal(size=(runs, features)), []
    for _ in range(length + 1):
        here = 0.8 * here @ turn + 0.4 * np.eye(features)[0] + 0.1 * random.normal(size=here.shape)
        here /= np.linalg.norm(here, axis=1, keepdims=True)
        path.append(here.astype(np.float32))
    steps = np.stack(path, axis=1)
    number = np.repeat(np.arange(runs), length)
    return Part(
        steps[:, :-1].reshape(-1, features),
        steps[:, 1:].reshape(-1, features),
        number,
        np.tile(np.arange(length) * stride + 1, runs),
    )


def next_steps(seed: int = 0) -> Dataset:
    return Dataset(
        "next_step", trajectories(20, 10, seed), trajectories(4, 10, seed + 1), trajectories(6, 10, seed + 2), ()
    )


def blobs(
    task: Task = "network_identification", classes: int = 3, shape: tuple[int, ...] = (5,), seed: int = 0
) -> Dataset:
    """Classes around points of their own; values from 0 to 1, as pixels have."""
    random = np.random.default_rng(seed)
    middles = random.random((classes, *shape))

    def drawn(rows: int) -> Part:
        y = random.integers(0, classes, rows)
        return part(np.clip(middles[y] + 0.15 * random.normal(size=(rows, *shape)), 0, 1), y)

    return Dataset(task, drawn(200), drawn(60), drawn(80), tuple("abcdefghij"[:classes]))


def trained(model: nn.Sequential, data: Dataset, steps: int = 150) -> nn.Sequential:
    """The model after some steps over all of the training part."""
    model.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    x, y = torch.as_tensor(data.train.x), torch.as_tensor(data.train.y)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def trial(task: Task, hyper: Hyperparameters | None = None, seed: int = 0, mode: Mode = "comparison") -> Trial:
    return Trial("s", mode, "none", 0, seed, task, "d", hyper or Hyperparameters())
