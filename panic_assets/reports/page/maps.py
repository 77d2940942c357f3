"""Trajectories in two dimensions: principal components of all outputs of a space, computed once for all its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.corpus import Space

_SAMPLE = 20_000  # points that the axes are fitted to


@dataclass(frozen=True)
class Map:
    """Places of the outputs of some runs: float32 (n, 2) by run number, and of their prompts where these have vectors.

    ``explained`` is the share of the variance that the two axes hold.
    """

    embedding_model: str
    modality: str
    points: Mapping[int, np.ndarray]
    sequence_numbers: Mapping[int, np.ndarray]
    prompts: Mapping[int, np.ndarray]
    explained: float


def map_of(space: Space, runs: frozenset[int]) -> Map | None:
    """The two leading principal components of a space; None if fewer than two outputs are embedded.

    The axes are those of all outputs (of 20,000 at most, evenly taken), so that they do not depend on which runs are
    shown. The sign of an axis is chosen so that its largest loading is positive.
    """
    vectors = np.concatenate([trajectory.vectors for trajectory in space.trajectories] or [np.empty((0, 1))])
    if len(vectors) < 2:
        return None
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float64)
    mean = sample.mean(0)
    covariance = np.cov(sample - mean, rowvar=False).reshape(vectors.shape[1], -1)
    values, axes = np.linalg.eigh(covariance)
    axes, values = axes[:, ::-1][:, :2], np.maximum(values[::-1], 0)
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    shown = [trajectory for trajectory in space.trajectories if trajectory.run.number in runs]

    def project(rows: np.ndarray) -> np.ndarray:
        flat = (rows - mean) @ axes
        return np.asarray(np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))), np.float32)

    return Map(
        space.embedding_model,
        space.modality,
        {t.run.number: project(t.vectors) for t in shown},
        {t.run.number: t.sequence_numbers for t in shown},
        {t.run.number: project(t.prompt[None])[0] for t in shown if t.prompt is not None},
        float(values[:2].sum() / values.sum()) if values.sum() else 0.0,
    )
