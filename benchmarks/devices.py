"""Where models compute: kept or loaded for each step, one after the other or at once, in one process or in two.

Run with ``python -m benchmarks.devices [--quick]``; the result goes to ``benchmarks/results/devices.md``. All with
the bundled models, on the CPU. The rivals: a process for each step, which is what workflow engines do by default; one
lane; one worker.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets.devices.base import Call, Device
from panic_assets.devices.process import ProcessDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.engine import Summary, run_experiment
from panic_assets.loop.ids import noise_number
from panic_assets.loop.planning import plan_runs, register, resolve_models
from panic_assets.models.entry import ModelEntry
from panic_assets.models.registry import load_registry

_TIMES = {"started_at", "completed_at", "model_seconds", "retries"}
_STEP = """
import pickle, sys
from panic_assets.devices.local import LocalDevice
with open(sys.argv[1], "rb") as file:
    call = pickle.load(file)
outputs = LocalDevice().call(call).outputs
with open(sys.argv[1], "wb") as file:
    pickle.dump(outputs, file)
"""


def asked(runs: int, length: int) -> tuple[Experiment, dict[str, ModelEntry]]:
    """Unseeded runs, so that nothing repeats and nothing is shared."""
    experiment = Experiment.parse(
        {
            "name": "devices",
            "networks": [["TinyScenes", "TinyCaption"]],
            "prompts": [f"a red circle above {number} blue stars" for number in range(runs)],
            "seeds": [-1],
            "max_length": length,
            "embedding_models": ["TinyCLIP"],
        }
    )
    return experiment, resolve_models(experiment, load_registry())


def run(experiment: Experiment, models: dict[str, ModelEntry], devices: Sequence[Device]) -> tuple[Summary, Any, float]:
    """The engine on a fresh lake: its summary, the invocations without times, wall seconds in all."""
    with tempfile.TemporaryDirectory() as folder:
        lake, started = Lake(Path(folder)), time.perf_counter()
        summary = run_experiment(lake, experiment, register(lake, experiment, models), models, devices)
        wall = time.perf_counter() - started
        rows = lake.read("invocations", experiment.name)
        return summary, rows.drop_columns([name for name in rows.column_names if name in _TIMES]), wall


def process_for_each_step(experiment: Experiment, models: dict[str, ModelEntry]) -> float:
    """Wall seconds of the same work with a fresh process for each step of all runs, as fixed batches in it."""
    plans = plan_runs(experiment, models)
    values: list[Any] = [plan.prompt for plan in plans]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step"
        for step in range(experiment.max_length):
            entry = models[plans[0].models[step % len(plans[0].models)]]
            seeds = tuple(noise_number(plan.run_id, plan.seed, step) for plan in plans)
            file.write_bytes(pickle.dumps(Call(entry, tuple(values), seeds)))
            subprocess.run([sys.executable, "-c", _STEP, str(file)], check=True, capture_output=True)
            values = [output.value for output in pickle.loads(file.read_bytes())]
    return time.perf_counter() - started


def kept(quick: bool) -> str:
    """Models that stay loaded against a process for each step; both begin with nothing loaded."""
    experiment, models = asked(8, 4 if quick else 10)
    rival = process_for_each_step(experiment, models)
    device = ProcessDevice("cpu")
    try:
        _, _, ours = run(experiment, models, [device])
    finally:
        device.close()
    steps = experiment.max_length
    rows = [("models stay loaded", ours, ours / steps), ("a process for each step", rival, rival / steps)]
    return (
        f"## Models stay loaded\n\n8 runs of {steps} steps, from the start of the first process to the last row on the "
        f"disk. Ratio: {rival / ours:.1f}; it grows with the number of steps.\n\n"
        + markdown_table(("way", "wall s", "s for a step"), rows)
    )


def at_once(quick: bool) -> str:
    """One lane against two in one process, and one process against two; each lane has one thread."""
    experiment, models = asked(32, 4 if quick else 16)
    warm, _ = asked(8, 2)
    ways: dict[str, list[Device]] = {
        "one process, one lane": [ProcessDevice("cpu", threads=1)],
        "one process, two lanes": [ProcessDevice("cpu", threads=1, lanes=2)],
        "two processes": [ProcessDevice("cpu", name=f"cpu #{number}", threads=1) for number in (1, 2)],
    }
    rows, tables = [], []
    for name, devices in ways.items():
        try:
            run(warm, models, devices)
            summary, table, wall = run(experiment, models, devices)
        finally:
            for device in devices:
                device.close()
        tables.append(table)
        rows.append((name, wall, summary.computed / wall, summary.overhead))
    ratios = [row[2] / rows[0][2] for row in rows]
    equal = all(table.equals(tables[0]) for table in tables)
    head = ("way", "wall s", "invocations/s", "share of the lanes' time outside models", "ratio")
    return (
        f"## At once\n\n32 runs of {experiment.max_length} steps, warm, each lane with one thread of its own. In two "
        "lanes of one process a captioner computes beside a generator, and Python's lock is between them; two "
        f"processes share the work as it comes. The tables are {'equal' if equal else 'NOT EQUAL'} in every column but "
        "times.\n\n" + markdown_table(head, [(*row, ratio) for row, ratio in zip(rows, ratios, strict=True)])
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "devices.md")
    options = parser.parse_args(argv)
    head = f"{machine()}; {versions('torch', 'diffusers', 'transformers')}. No GPU was measured."
    write_results(options.output, "Devices", [head, kept(options.quick), at_once(options.quick)])
    print(options.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
