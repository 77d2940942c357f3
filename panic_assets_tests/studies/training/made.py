"""Small data and trials for the tests of training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from panic_assets.studies.records import Dataset, Hyperparameters, Part, Task, Trial

SMALL = Hyperparameters(layers=2, width=12, learning_rate=1e-2, epochs=4, batch_size=16)


def turning(rows: int = 120, features: int = 6, seed: int = 0) -> Dataset:
    """Unit vectors and the same, turned by one rotation: a next step that can be learnt. Every row is a run."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(features, features)))[0]

    def part(count: int, number: int) -> Part:
        x = np.random.default_rng([seed, number]).normal(size=(count, features))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        every = np.arange(count) + 1000 * number
        return Part(x.astype(np.float32), (x @ turn).astype(np.float32), every, np.zeros(count, np.int64))

    return Dataset("next_step", part(rows, 0), part(rows // 3, 1), part(rows // 3, 2), ())


def blobs(rows: int = 120, shape: tuple[int, ...] = (6,), seed: int = 0) -> Dataset:
    """Three classes around points that lie far apart."""
    middles = np.random.default_rng(7).normal(size=(3, *shape))

    def part(count: int, number: int) -> Part:
        rng = np.random.default_rng([seed, number])
        y = rng.integers(0, 3, count)
        x = middles[y] + 0.2 * rng.normal(size=(count, *shape))
        every = np.arange(count) + 1000 * number
        return Part(x.astype(np.float32), y, every, np.zeros(count, np.int64))

    return Dataset("digits", part(rows, 0), part(rows // 3, 1), part(rows // 3, 2), ("a", "b", "c"))


def trial(arm: str = "none", seed: int = 0, task: Task = "next_step", **values: Any) -> Trial:
    return Trial("s", "comparison", arm, 0, seed, task, "d", replace(SMALL, **values))
