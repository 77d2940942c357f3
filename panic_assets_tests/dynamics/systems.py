"""Known systems as trajectories, and a corpus made of them without a lake. No tests here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panic_assets.dynamics.corpus import Corpus, Run, Space, Trajectory
from panic_assets.lake import Lake


def run(
    number: int,
    outputs: Sequence[str | bytes],
    cycle: tuple[int, int] | None = None,
    network: str = "A -> B",
    prompt: int = 0,
    seed: int = 7,
) -> Run:
    """A run round as many models as its network names; ``cycle`` is (transient, length)."""
    transient, length = cycle or (None, None)
    models = tuple(network.split(" -> "))
    reason = "cycle" if cycle else "length"
    return Run(number, network, models, prompt, f"prompt {prompt}", seed, 0, reason, transient, length, tuple(outputs))


def trajectory(number: int, vectors: np.ndarray, **asked: object) -> Trajectory:
    """Vectors as the captions of a ring of two: at places 1, 3, 5... of a run of twice as many outputs."""
    texts = [f"{number}/{row.tobytes().hex()[:16]}" for row in np.asarray(vectors, np.float32)]
    outputs = [output for place, text in enumerate(texts) for output in (b"p%d" % place, text)]
    made = run(number, outputs, **asked)  # type: ignore[arg-type]
    return Trajectory(made, np.arange(1, 2 * len(vectors), 2, dtype=np.int32), np.asarray(vectors, np.float32), None)


def space(trajectories: Sequence[Trajectory]) -> Space:
    return Space("Model", "text", tuple(trajectories))


class InMemory(Corpus):
    """A corpus of given spaces."""

    spaces: tuple[Space, ...] = ()  # type: ignore[assignment]


def corpus(folder: Path, trajectories: Sequence[Trajectory], models: Sequence[str] = ("Model",)) -> Corpus:
    """A corpus whose every model holds the same trajectories."""
    made = InMemory("small", tuple(one.run for one in trajectories), {}, Lake(folder))
    made.spaces = tuple(Space(model, "text", tuple(trajectories)) for model in models)
    return made


def on_sphere(points: np.ndarray) -> np.ndarray:
    """Each point divided by its length, float32."""
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def walk(points: int, dimensions: int = 768, step: float = 0.1, seed: int = 0) -> np.ndarray:
    """A random walk on the unit sphere whose steps are about ``step`` long."""
    generator = np.random.default_rng(seed)
    place = on_sphere(generator.standard_normal(dimensions)).astype(float)
    places = [place]
    for _ in range(points - 1):
        place = place + step * generator.standard_normal(dimensions) / np.sqrt(dimensions)
        place /= np.linalg.norm(place)
        places.append(place)
    return np.array(places, dtype=np.float32)


def cycle(points: int, period: int, noise: float = 0.0, dimensions: int = 768, seed: int = 0) -> np.ndarray:
    """``period`` random directions visited in turn, each time with noise of length ``noise``; on the unit sphere."""
    generator = np.random.default_rng(seed)
    stations = on_sphere(generator.standard_normal((period, dimensions)))
    shaken = noise * generator.standard_normal((points, dimensions)) / np.sqrt(dimensions)
    return on_sphere(stations[np.arange(points) % period] + shaken)


def settling(points: int, dimensions: int = 768, rate: float = 0.3, seed: int = 0) -> np.ndarray:
    """An approach to one direction from another, exponential at ``rate``, on the unit sphere."""
    start, end = on_sphere(np.random.default_rng(seed).standard_normal((2, dimensions)))
    weight = np.exp(-rate * np.arange(points))[:, None]
    return on_sphere(end + weight * start)


def autoregression(points: int, dimensions: int, phi: float, generator: np.random.Generator) -> np.ndarray:
    """A stationary first-order autoregression of unit variance in every dimension, float64."""
    noise = generator.standard_normal((points, dimensions))
    series = np.empty_like(noise)
    series[0] = noise[0]
    for place in range(1, points):
        series[place] = phi * series[place - 1] + np.sqrt(1 - phi**2) * noise[place]
    return series
