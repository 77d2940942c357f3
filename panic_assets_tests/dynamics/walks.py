"""Corpora of known trajectories, without a lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from panic_assets.dynamics.corpus import Corpus, Run, Space, Trajectory
from panic_assets.lake import Lake


def trajectory(
    vectors: np.ndarray,
    prompt: np.ndarray | None = None,
    *,
    number: int = 0,
    prompt_number: int = 0,
    stride: int = 1,
    cycle: tuple[int, int] | None = None,
) -> Trajectory:
    """A run whose outputs at every ``stride``-th invocation have these vectors; ``cycle`` is (transient, length)."""
    places = np.arange(len(vectors), dtype=np.int32) * stride
    outputs = tuple(f"{number}-{place}" for place in range(len(vectors) * stride))
    transient, length = cycle or (None, None)
    run = Run(
        number, "A -> B", ("A", "B"), prompt_number, f"p{prompt_number}", number, 0, None, transient, length, outputs
    )
    return Trajectory(run, places, np.asarray(vectors), prompt)


def corpus(trajectories: Sequence[Trajectory], tags: Mapping[int, dict[str, str]] | None = None) -> Corpus:
    """An experiment of one network whose outputs were embedded by one model."""
    made = Corpus("known", tuple(one.run for one in trajectories), dict(tags or {}), cast(Lake, None))
    made.__dict__["spaces"] = (Space("known", "text", tuple(trajectories)),)
    return made


def relaxing(rng: np.random.Generator, prompt: np.ndarray, steps: int, tau: float) -> np.ndarray:
    """An Ornstein-Uhlenbeck process in the prompt's dimensions, from the prompt; (steps, d), variance 1/d each."""
    keep = np.exp(-1 / tau)
    now, rows = prompt, []
    for _ in range(steps):
        rows.append(now)
        now = keep * now + np.sqrt((1 - keep**2) / len(prompt)) * rng.normal(size=len(prompt))
    return np.array(rows)
