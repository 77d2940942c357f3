"""The demo's loops with the bundled models: what share of the time passes outside them.

Run with ``python -m benchmarks.demo [--quick]``; the result is written to ``benchmarks/results/demo.md``. The rival is
the same set of invocations with one call of the model for each (no batches, nothing shared), on the same models.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.ids import noise_number
from panic_assets.loop.planning import plan_runs, register, resolve_models
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets.paths import project_dir


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo's experiment in a fresh lake and write down where the time went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 steps instead of 40")
    quick = parser.parse_args(argv).quick
    demo = Experiment.load(project_dir() / "data" / "experiments" / "demo.yaml")
    if quick:
        demo = demo.model_copy(update={"max_length": 8})
    models = resolve_models(demo, load_registry())
    with tempfile.TemporaryDirectory() as folder, ModelPool() as pool:
        lake = Lake(Path(folder))
        summary = run_experiment(lake, demo, register(lake, demo, models), models, [LocalDevice(pool)])
        plans = plan_runs(demo, models)[:: max(1, len(demo.networks) * 4)]
        single = _one_by_one(plans, models, pool, steps=8)
    batched = summary.model_seconds / summary.computed
    rows = [
        ("invocations, computed and shared", summary.invocations),
        ("computed", summary.computed),
        ("calls of models", summary.calls),
        ("wall seconds, loading apart", summary.seconds - summary.loading_seconds),
        ("seconds in models", summary.model_seconds),
        ("share of the time outside models", summary.overhead),
        ("milliseconds in models for one computed invocation", 1000 * batched),
        ("the same, one call each", 1000 * single),
        ("ratio, one call each : batches", single / batched),
    ]
    write_results(
        RESULTS / "demo.md",
        "The demo's loops",
        [
            f"{machine()}; {versions('torch', 'diffusers', 'transformers')}.",
            f"{len(demo.networks)} networks, {len(demo.prompts)} prompts, {len(demo.seeds)} seeds, "
            f"{demo.max_length} invocations at most; runs ended: {summary.stop_reasons}.",
            markdown_table(("measure", "value"), rows),
        ],
    )
    print((RESULTS / "demo.md").read_text())
    return 0


def _one_by_one(plans: Sequence, models: dict, pool: ModelPool, steps: int) -> float:  # type: ignore[type-arg]
    """Mean seconds of an invocation when each is a call of its own."""
    seconds = []
    for plan in plans:
        value = plan.prompt
        for step in range(steps):
            model = pool.get(models[plan.models[step % len(plan.models)]])
            started = time.perf_counter()
            value = model.invoke([value], [noise_number(plan.run_id, plan.seed, step)])[0].value
            seconds.append(time.perf_counter() - started)
    return sum(seconds) / len(seconds)


if __name__ == "__main__":
    raise SystemExit(main())
