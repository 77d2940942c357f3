"""Distances between persistence diagrams against Hera, POT and persim: 200 diagrams pairwise, and equal results.

Run with ``python -m benchmarks.distances [--quick]`` after installing the extra ``bench``. The result is written to
``benchmarks/results/distances.md``. Numbers are processor time, so other work on the machine shows little. The exit
status is 0 whatever was measured.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import RESULTS, machine, markdown_table, measure, versions, write_results
from benchmarks.topology import KINDS, trajectory
from panic_assets.topology.pairwise import Kind, distances_of_pairs, pairwise
from panic_assets.topology.persistence import diagrams_of

Diagram = NDArray[np.float64]
Measure = Callable[[Diagram, Diagram], float]


@dataclass(frozen=True)
class Rival:
    """Another program's distance, and on how many pairs it is measured (it would take too long on all)."""

    name: str
    kind: Kind
    exact: bool
    pairs: int
    measure: Measure


def rivals() -> list[Rival]:
    """Other programs, called through their own interfaces with ground metric L-infinity where they have a choice."""
    from gudhi import hera, wasserstein

    persim = import_module("persim")
    first: Kind = "wasserstein_1"
    hera_w1 = partial(hera.wasserstein_distance, order=1.0, internal_p=np.inf)
    return [
        Rival("Hera, 1 %", first, False, 400, partial(hera_w1, delta=0.01)),
        Rival("Hera, 0.01 %", first, False, 200, partial(hera_w1, delta=1e-4)),
        Rival(
            "POT (gudhi.wasserstein)", first, True, 400, partial(wasserstein.wasserstein_distance, internal_p=np.inf)
        ),
        Rival("persim (ground metric L2)", first, False, 100, persim.wasserstein),
        Rival("Hera, 1 %", "bottleneck", False, 200, partial(_hera_bottleneck, delta=0.01)),
        Rival("Hera, exact", "bottleneck", True, 200, partial(_hera_bottleneck, delta=0.0)),
        Rival("persim", "bottleneck", True, 20, persim.bottleneck),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few diagrams, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "distances.md")
    options = parser.parse_args(argv)
    missing = [package for package in ("persim", "ot") if find_spec(package) is None]
    if missing:
        print(f"not installed, so there is nothing to compare with: {', '.join(missing)}; install the extra bench")
        return 0
    from threadpoolctl import threadpool_limits

    count = 20 if options.quick else 200
    sections = [
        f"{machine()}. {versions('gudhi', 'POT', 'persim', 'numpy', 'scipy')}. Diagrams of {count} synthetic "
        "trajectories of 100 to 300 points in 768 dimensions, of five kinds in equal parts "
        "(`benchmarks.topology.trajectory`), infinite bars left out. Processor time of one thread. Ours: all pairs, as "
        "`pairwise` computes them, median of three. Others: a sample of pairs spread evenly, in the same run."
    ]
    with threadpool_limits(limits=1):
        diagrams = _diagrams(count)
        rows = [row for dimension in (0, 1, 2) for row in _dimension(dimension, diagrams[dimension])]
    head = ["H", "distance", "program", "pairs", "ms per pair", "times ours", "largest relative difference"]
    sections += [
        "## All pairs\n\nTargets: 1-Wasserstein at least 50 times faster than Hera for H0 and 2.5 times for H1, and "
        "equal to exact programs to 1e-9. persim's 1-Wasserstein distance has another ground metric, so its numbers "
        "are others.\n\n" + markdown_table(head, rows),
        _whole(diagrams),
    ]
    write_results(options.output, "Distances between persistence diagrams", sections)
    print(options.output.read_text(encoding="utf-8"))
    return 0


def _diagrams(count: int) -> list[list[Diagram]]:
    """Return the finite bars of every trajectory, by homology dimension."""
    lengths = np.random.default_rng(0).integers(100, 301, size=count)
    clouds = [trajectory(KINDS[number % len(KINDS)], int(n), number) for number, n in enumerate(lengths)]
    results = diagrams_of(clouds, 2)
    return [
        [
            np.stack([births, deaths], axis=1)[np.isfinite(deaths)]
            for births, deaths in ((r.diagrams[dimension].births, r.diagrams[dimension].deaths) for r in results)
        ]
        for dimension in range(3)
    ]


def _dimension(dimension: int, diagrams: list[Diagram]) -> list[list[object]]:
    pairs = np.stack(np.triu_indices(len(diagrams), 1), axis=1)
    sizes = np.quantile([len(diagram) for diagram in diagrams], [0, 0.5, 1]).astype(int)
    label = f"H{dimension} ({sizes[0]} / {sizes[1]} / {sizes[2]} bars)"
    rows: list[list[object]] = []
    own: dict[Kind, float] = {}
    kinds: tuple[Kind, ...] = ("wasserstein_1", "bottleneck")
    for kind in kinds:
        # Half a minute of components' bottleneck distances, thrice, tells no more than a sample.
        several = pairs[:: max(1, len(pairs) // 1000)] if (dimension, kind) == (0, "bottleneck") else pairs
        times = [measure(partial(distances_of_pairs, diagrams, several, kind, 1))[1].cpu_seconds for _ in range(3)]
        own[kind] = float(np.median(times)) / len(several) * 1e3
        rows.append([label, kind, "panic_assets", len(several), own[kind], None, None])
        others = [rival for rival in rivals() if rival.kind == kind]
        rows += [[label, kind, *_rival_row(rival, diagrams, pairs, own[kind])] for rival in others]
    return rows


def _rival_row(rival: Rival, diagrams: list[Diagram], pairs: NDArray[np.intp], own: float) -> list[object]:
    sample = pairs[:: max(1, len(pairs) // rival.pairs)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # persim warns of empty diagrams
        rival.measure(diagrams[0], diagrams[1])
        theirs, cost = measure(lambda: np.array([rival.measure(diagrams[a], diagrams[b]) for a, b in sample]))
    milliseconds = cost.cpu_seconds / len(sample) * 1e3
    ours = distances_of_pairs(diagrams, sample, rival.kind, 1)
    difference = float((np.abs(ours - theirs) / np.maximum(np.maximum(ours, theirs), 1e-12)).max())
    return [rival.name, len(sample), milliseconds, milliseconds / own, difference]


def _hera_bottleneck(one: Diagram, other: Diagram, delta: float) -> float:
    from gudhi.hera import bottleneck_distance

    return float(bottleneck_distance(one, other, delta))


def _whole(diagrams: list[list[Diagram]]) -> str:
    rows = []
    for dimension, of_dimension in enumerate(diagrams):
        for workers in (1, 2):
            cost = measure(partial(pairwise, of_dimension, "wasserstein_1", workers))[1]
            rows.append([f"H{dimension}", workers, cost.cpu_seconds, cost.wall_seconds])
    pairs = len(diagrams[0]) * (len(diagrams[0]) - 1) // 2
    head = ["H", "threads", "CPU s", "wall s"]
    return (
        f"## The whole 1-Wasserstein matrix of {len(diagrams[0])} diagrams ({pairs} pairs)\n\n"
        "Wall time shows other work on the machine.\n\n" + markdown_table(head, rows)
    )


if __name__ == "__main__":
    raise SystemExit(main())
