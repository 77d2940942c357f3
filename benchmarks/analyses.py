"""Everything that is asked of trajectories, on 200 runs of 200 outputs in two spaces of 768 dimensions.

Run with ``python -m benchmarks.analyses [--quick]``; the result goes to ``benchmarks/results/analyses.md``. The vectors
are synthetic trajectories of five kinds in equal parts (``benchmarks.topology.trajectory``); runs and texts are real
ones of a dummy, so that all tables are there. Nothing else computes the same, so there is no rival: the target is five
minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from benchmarks.topology import trajectory
from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.dynamics.stage import analyse
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.lake.schemas import vector_type
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.planning import register, resolve_models
from panic_assets.models.registry import load_registry
from panic_assets.topology.distance_stage import relate_experiment
from panic_assets.topology.stage import persist_experiment

KINDS = ("attract", "cycle", "walk", "torus", "collapse")
DIMENSION, SPACES = 768, ("First", "Second")


def filled(folder: Path, runs: int, length: int) -> Lake:
    """A lake with runs of two networks from four prompts, and vectors of known kinds in place of embeddings."""
    asked = Experiment.parse(
        {
            "name": "many",
            "networks": [["DummyT2T"], ["DummyT2T", "DummyT2T"]],
            "prompts": [{"text": f"prompt {n}", "category": ("in", "out")[n % 2]} for n in range(4)],
            "seeds": [-1] * (runs // 8),
            "max_length": length,
            "embedding_models": ["DummyText"],
        }
    )
    lake, models = Lake(folder), resolve_models(asked, load_registry())
    plans = register(lake, asked, models)
    run_experiment(lake, asked, plans, models, [LocalDevice()])
    for number, space in enumerate(SPACES):
        with lake.writer("embeddings", "many") as writer:
            for plan in plans:
                kind = KINDS[plan.run_number % len(KINDS)]
                vectors = trajectory(kind, length + 1, 1000 * number + plan.run_number, DIMENSION)
                writer.append(_rows(space, plan.run_number, vectors), {"embedding_model": space})
            writer.commit()
    return lake


def _rows(space: str, run: int, vectors: np.ndarray) -> pa.Table:
    count, dimension = vectors.shape

    def same(value: str) -> Any:
        return pa.array([value] * count).dictionary_encode()

    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1), pa.float32())
    return pa.table(
        {
            "experiment": same("many"),
            "run_number": pa.array([run] * count, pa.int32()),
            "sequence_number": pa.array(range(-1, count - 1), pa.int32()),
            "embedding_model": same(space),
            "modality": same("text"),
            "space": same(f"{space}@made/{dimension}/normalised"),
            "vector": pa.FixedSizeListArray.from_arrays(flat, type=vector_type(dimension)),
        }
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 runs of 40 outputs, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "analyses.md")
    options = parser.parse_args(argv)
    runs, length = (16, 40) if options.quick else (200, 200)
    with tempfile.TemporaryDirectory() as folder:
        head = machine()
        lake = filled(Path(folder), runs, length)
        stages: dict[str, Callable[[], object]] = {
            "persistence diagrams, H0 to H2": lambda: persist_experiment(lake, "many", budget_seconds=60),
            "distances between diagrams": lambda: relate_experiment(lake, "many"),
            "clusters": lambda: cluster_lake(lake),
        }
        stages |= {one.name: (lambda one=one: analyse(lake, "many", one)) for one in ANALYSES}
        rows, total = [], (time.perf_counter(), time.process_time())
        for name, stage in stages.items():
            wall, cpu = time.perf_counter(), time.process_time()
            stage()
            rows.append((name, time.perf_counter() - wall, time.process_time() - cpu))
        rows.append(("all", time.perf_counter() - total[0], time.process_time() - total[1]))
    sections = [
        f"{head}. {versions('numpy', 'scipy', 'gudhi', 'hdbscan')}.",
        f"{runs} runs of {length} outputs in {len(SPACES)} spaces of {DIMENSION} dimensions. Target: 300 s wall.",
        markdown_table(("stage", "wall s", "CPU s"), rows),
    ]
    write_results(options.output, "All analyses of an experiment", sections)
    print(options.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
