"""Persistence diagrams against giotto-ph, called as PANIC-TDA calls it: time, memory, threads, and equal results.

Run with ``python -m benchmarks.topology [--quick]`` after ``pip install giotto-ph`` (extra ``bench``; it is under the
AGPL and no part of the platform). The result is written to ``benchmarks/results/topology.md``. The exit status is 0
whatever was measured. Leave the machine alone meanwhile: the time on two threads is wall time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import (
    RESULTS,
    Cost,
    cores,
    machine,
    markdown_table,
    measure,
    measure_in_child,
    versions,
    write_results,
)
from panic_assets.topology.features import features
from panic_assets.topology.persistence import Diagrams, diagrams_of, persistence_diagrams
from panic_assets.topology.rips import load_libraries

KINDS = ("attract", "cycle", "walk", "torus", "collapse")
LARGE_KINDS = ("attract", "cycle")
_LATENT = 24
_NOISE = 0.12
_SPURIOUS = 1e-3

Bars = list[NDArray[np.float64]]


def trajectory(kind: str, points: int, seed: int, dimensions: int = 768) -> NDArray[np.float32]:
    """Make a synthetic trajectory of unit vectors, (points, dimensions) float32.

    A shared mean direction, plus a path in 24 latent dimensions of decaying size, plus isotropic noise of norm 0.12.
    ``attract``: jumps between five basins; ``cycle``: a noisy, drifting cycle of period 23.7; ``walk``: a random walk;
    ``torus``: two cycles of incommensurate periods; ``collapse``: a walk for a quarter of the time, then exact repeats
    of its last four points.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    sizes = 1 / np.sqrt(1 + np.arange(_LATENT))
    axes = np.linalg.qr(rng.standard_normal((dimensions, _LATENT + 1)))[0].T
    path = _PATHS[kind](points, sizes, rng)
    path *= 0.6 / np.sqrt((path**2).sum(axis=1).mean())
    cloud = axes[0] + path @ axes[1:] + rng.standard_normal((points, dimensions)) * (_NOISE / np.sqrt(dimensions))
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    if kind == "collapse":
        settled = max(4, points // 4)
        cloud[settled:] = cloud[settled - 4 + np.arange(points - settled) % 4]
    return cloud.astype(np.float32)


def _attract(points: int, sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    centres = rng.standard_normal((5, _LATENT)) * sizes
    path = np.empty((points, _LATENT))
    here, basin = centres[0], 0
    for step in range(points):
        basin = int(rng.integers(5)) if rng.random() < 0.04 else basin
        here = here + 0.3 * (centres[basin] - here) + 0.15 * sizes * rng.standard_normal(_LATENT)
        path[step] = here
    return path


def _cycle(points: int, sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    drift = 0.015 * np.cumsum(rng.standard_normal((points, _LATENT)), axis=0)
    path = (drift + 0.08 * rng.standard_normal((points, _LATENT))) * sizes
    path[:, :2] += _turns(points, 23.7)
    return path


def _walk(points: int, sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.cumsum(rng.standard_normal((points, _LATENT)) * sizes, axis=0)


def _torus(points: int, sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    path = 0.05 * rng.standard_normal((points, _LATENT)) * sizes
    path[:, :2] += _turns(points, 23.7)
    path[:, 2:4] += 0.7 * _turns(points, 23.7 * 0.31 * np.sqrt(2))
    return path


def _turns(points: int, period: float) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(points) / period
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


_PATHS: dict[str, Callable[[int, NDArray[np.float64], np.random.Generator], NDArray[np.float64]]] = {
    "attract": _attract,
    "cycle": _cycle,
    "walk": _walk,
    "torus": _torus,
    "collapse": _walk,
}


def prepare_ours(kind: str, points: int, seed: int) -> Callable[[], object]:
    """Return the action that a fresh process measures for this platform: points to diagrams and features."""
    load_libraries()
    features(persistence_diagrams(trajectory("torus", 60, 0)))
    cloud = trajectory(kind, points, seed)
    return lambda: features(persistence_diagrams(cloud))


def prepare_rival(kind: str, points: int, seed: int, threads: int) -> Callable[[], object]:
    """Return the same for giotto-ph: points to diagrams."""
    _rival(trajectory("torus", 60, 0), threads)
    cloud = trajectory(kind, points, seed)
    return lambda: _rival(cloud, threads)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "topology.md")
    options = parser.parse_args(argv)
    if find_spec("gph") is None:
        print("giotto-ph is not installed, so there is nothing to compare with: pip install giotto-ph")
        return 0
    from threadpoolctl import threadpool_limits

    sections = [
        f"{machine()}. {versions('gudhi', 'giotto-ph', 'numpy', 'scipy')}. Field of two elements. Synthetic "
        "trajectories of 768 dimensions (`benchmarks.topology.trajectory`). giotto-ph is called as "
        "`ripser_parallel(points, maxdim=2, n_threads=...)`."
    ]
    sections.append(_large(400 if options.quick else 1000, 3))
    with threadpool_limits(limits=1):
        clouds = _mixed(5 if options.quick else 40)
        sections += _batch(clouds)
        sections.append(_threads([cloud for _, cloud in clouds[:40]], 1 if options.quick else 3))
    write_results(options.output, "Persistence diagrams", sections)
    print(options.output.read_text(encoding="utf-8"))
    return 0


def _rival(points: NDArray[np.float32], threads: int) -> Bars:
    diagrams = import_module("gph").ripser_parallel(points, maxdim=2, n_threads=threads)["dgms"]
    return [np.asarray(bars, dtype=np.float64) for bars in diagrams]


def _mixed(of_each_kind: int) -> list[tuple[str, NDArray[np.float32]]]:
    """Return trajectories of every kind in turn, of 100 to 300 points."""
    lengths = np.random.default_rng(0).integers(100, 301, size=(of_each_kind, len(KINDS)))
    return [
        (kind, trajectory(kind, int(n), seed))
        for seed, row in enumerate(lengths)
        for kind, n in zip(KINDS, row, strict=True)
    ]


def _large(points: int, repeats: int) -> str:
    """Section (a): one long trajectory, every measurement in a process of its own, interleaved."""
    rows: list[list[object]] = []
    for kind in LARGE_KINDS:
        ours: list[Cost] = []
        rival: dict[int, Cost] = {}
        for repeat in range(repeats):
            ours.append(measure_in_child("benchmarks.topology:prepare_ours", kind, points, 1))
            threads = (1, cores())[repeat] if repeat < 2 else 0
            if threads and threads not in rival:
                rival[threads] = measure_in_child("benchmarks.topology:prepare_rival", kind, points, 1, threads)
        own = Cost(*(median(getattr(cost, field) for cost in ours) for field in ("cpu_seconds", "wall_seconds")))
        peak = max(cost.peak_mib or 0.0 for cost in ours)
        rows.append([kind, "panic_assets", own.cpu_seconds, own.wall_seconds, peak, None])
        for threads, cost in rival.items():
            ratio = cost.cpu_seconds / own.cpu_seconds
            name = f"giotto-ph, n_threads={threads}"
            rows.append([kind, name, cost.cpu_seconds, cost.wall_seconds, cost.peak_mib, ratio])
    head = ["kind", "program", "CPU s", "wall s", "peak MiB", "CPU s, times ours"]
    return (
        f"## One trajectory of {points} points up to H2\n\nEach measurement in a fresh process, imports and a warm-up "
        f"excluded, the distance matrix included; ours: median of {repeats} (peak: the largest), giotto-ph: once. "
        "Target: giotto-ph's time on one thread at least 10 times ours, and ours below 40 MiB.\n\n"
        + markdown_table(head, rows)
    )


def _batch(clouds: list[tuple[str, NDArray[np.float32]]]) -> list[str]:
    """Sections (b) and (d): many short trajectories, both programs in turn on each, and their diagrams compared."""
    load_libraries()
    prepare_ours("walk", 100, 0)()
    prepare_rival("walk", 100, 0, 1)()
    seconds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    apart: list[float] = []
    repeats: list[list[int]] = []
    for number, (kind, cloud) in enumerate(clouds):
        # Whoever comes second finds the points in the cache: take turns.
        if number % 2:
            theirs, rival = measure(partial(_rival, cloud, 1))
        ours, own = measure(partial(_ours, cloud))
        if not number % 2:
            theirs, rival = measure(partial(_rival, cloud, 1))
        seconds[kind].append((own.cpu_seconds, rival.cpu_seconds))
        mine = [np.stack([diagram.births, diagram.deaths], axis=1) for diagram in ours.diagrams]
        apart.append(max(_bottleneck(a, b) for a, b in zip(mine, theirs, strict=True)))
        if kind == "collapse":
            repeats.append([ours.distinct_points, len(mine[0]), _short(mine[0]), len(theirs[0]), _short(theirs[0])])
    rows = [_comparison(kind, seconds[kind]) for kind in KINDS]
    everything = [pair for pairs in seconds.values() for pair in pairs]
    rows.append(_comparison("all but torus", [p for kind in KINDS if kind != "torus" for p in seconds[kind]]))
    rows.append(_comparison("all", everything))
    head = ["kind", "trajectories", "ours, CPU s", "giotto-ph, CPU s", "total ratio", "median ratio"]
    counts = np.array(repeats).sum(axis=0)
    return [
        f"## {len(clouds)} mixed trajectories of 100 to 300 points up to H2\n\nOne thread each, both programs in turn "
        "on each trajectory; ours includes features. Target: a total ratio of at least 3.\n\n"
        + markdown_table(head, rows),
        f"## Equal diagrams\n\nLargest bottleneck distance over {len(clouds)} trajectories and three dimensions: "
        f"{max(apart):.1e} (target: at most 1e-6; giotto-ph computes in float32). Trajectories of kind "
        f"`collapse` repeat four points exactly: H0 bars shorter than {_SPURIOUS} are spurious. In {len(repeats)} of "
        "them:\n\n"
        + markdown_table(
            ["program", "distinct points", "H0 bars", "spurious H0 bars"],
            [
                ["panic_assets", counts[0], counts[1], counts[2]],
                ["giotto-ph", counts[0], counts[3], counts[4]],
            ],
        ),
    ]


def _ours(points: NDArray[np.float32]) -> Diagrams:
    diagrams = persistence_diagrams(points)
    features(diagrams)
    return diagrams


def _comparison(name: str, pairs: list[tuple[float, float]]) -> list[object]:
    own, rival = (sum(column) for column in zip(*pairs, strict=True))
    return [name, len(pairs), own, rival, rival / own, median(b / a for a, b in pairs)]


def _bottleneck(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the bottleneck distance of the finite bars, to 1 %; infinity when the infinite bars differ in number."""
    from gudhi.hera import bottleneck_distance

    if np.isinf(one[:, 1]).sum() != np.isinf(other[:, 1]).sum():
        return float("inf")
    return float(bottleneck_distance(one[np.isfinite(one[:, 1])], other[np.isfinite(other[:, 1])], 0.01))


def _short(bars: NDArray[np.float64]) -> int:
    return int(np.count_nonzero(bars[:, 1] - bars[:, 0] < _SPURIOUS))


def _threads(clouds: list[NDArray[np.float32]], rounds: int) -> str:
    """Section (c): wall time of the same trajectories on one and on two threads, in turn."""
    speedups: list[float] = []
    walls: list[tuple[float, float]] = []
    for _ in range(rounds):
        one, two = (measure(partial(diagrams_of, clouds, workers=workers))[1].wall_seconds for workers in (1, 2))
        walls.append((one, two))
        speedups.append(one / two)
    rows = [[number + 1, one, two, one / two] for number, (one, two) in enumerate(walls)]
    return (
        f"## Two threads\n\n{len(clouds)} of the mixed trajectories; wall time, so other work on the machine shows. "
        f"Median speed-up {median(speedups):.2f}; target: at least 1.8 on two idle cores.\n\n"
        + markdown_table(["round", "one thread, s", "two threads, s", "speed-up"], rows)
    )


if __name__ == "__main__":
    raise SystemExit(main())
