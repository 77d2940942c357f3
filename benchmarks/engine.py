"""The loop engine on models that cost nothing: what it adds to a call, and what its ways of working save.

Run with ``python -m benchmarks.engine [--quick]``; the result is written to ``benchmarks/results/engine.md``. The
rivals are the plain loops that one would write first: one run after the other, one call for each invocation, and either
a commit for each invocation (into SQLite as PANIC-TDA does, and into this lake) or one commit for each run.
Judge by processor seconds: wall time is only right on an idle machine.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.common import RESULTS, Cost, machine, markdown_table, measure, versions, write_results
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop import engine
from panic_assets.loop.ids import invocation_id, noise_number
from panic_assets.loop.pictures import Settled
from panic_assets.loop.planning import RunPlan, register, resolve_models
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry

SIDE = 256
_Step = tuple[RunPlan, int, ModelEntry, int, str | np.ndarray]


class _Timed:
    """A dummy that notes the processor time of its calls, and may wait as long as a device would compute."""

    def __init__(self, inner: Any, pool: TimedPool) -> None:
        self.inner, self.pool, self.entry = inner, pool, inner.entry

    def invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        self.pool.gaps.append(time.perf_counter() - self.pool.idle_since)
        started = time.thread_time()
        outputs: list[Output] = self.inner.invoke(inputs, seeds)
        self.pool.cpu_seconds += time.thread_time() - started
        time.sleep(self.pool.device_seconds)
        self.pool.idle_since = time.perf_counter()
        return outputs


class TimedPool(ModelPool):
    """``gaps`` are the seconds between the end of a call and the start of the next one: a device would stand idle."""

    def __init__(self, device_seconds: float = 0.0) -> None:
        super().__init__()
        self.cpu_seconds, self.device_seconds = 0.0, device_seconds
        self.gaps: list[float] = []
        self.idle_since = time.perf_counter()

    def get(self, entry: ModelEntry) -> Any:
        return _Timed(super().get(entry), self)


def experiment(runs: int, length: int, **changes: Any) -> Experiment:
    """Runs round text and picture, unseeded, so that nothing repeats and nothing is shared."""
    values: dict[str, Any] = {
        "name": "engine",
        "networks": [["DummyT2I", "DummyI2T"]],
        "prompts": [f"prompt {number}" for number in range(runs)],
        "seeds": [-1],
        "max_length": length,
        "embedding_models": ["DummyText"],
    }
    return Experiment.parse(values | changes)


def run_engine(
    folder: Path, asked: Experiment, pool: TimedPool | None = None
) -> tuple[engine.Summary, Cost, TimedPool]:
    """The engine into a fresh lake, compaction and outcomes included; everything is on the disk afterwards."""
    pool = pool or TimedPool()
    lake, models = Lake(folder), resolve_models(asked, load_registry())
    plans = register(lake, asked, models)
    summary, cost = measure(lambda: engine.run_experiment(lake, asked, plans, models, [LocalDevice(pool)]))
    return summary, cost, pool


def plain_steps(asked: Experiment, pool: TimedPool) -> Iterator[_Step]:
    """One run after the other, one call for each invocation: (plan, step, model, seed, output)."""
    models = resolve_models(asked, load_registry())
    with tempfile.TemporaryDirectory() as folder:
        plans = register(Lake(folder), asked, models)
    for plan in plans:
        value: str | np.ndarray = plan.prompt
        for step in range(plan.max_length):
            entry = models[plan.models[step % len(plan.models)]]
            seed = noise_number(plan.run_id, plan.seed, step)
            value = pool.get(entry).invoke([value], [seed])[0].value
            yield plan, step, entry, seed, value


def sqlite_rival(folder: Path, asked: Experiment) -> tuple[int, Cost, TimedPool]:
    """A row and a commit for each invocation, the picture inside as lossless WebP; WAL, synchronous=NORMAL."""
    pool = TimedPool()
    folder.mkdir()
    database = sqlite3.connect(folder / "trajectories.sqlite")
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=10000;")
    database.execute(
        "CREATE TABLE invocation (id BLOB PRIMARY KEY, model, seed, run, step, text, image, started, ended)"
    )

    def act() -> int:
        count = 0
        for plan, step, entry, seed, value in plain_steps(asked, pool):
            now = datetime.now(UTC).isoformat()
            text, image = (value, None) if isinstance(value, str) else (None, images.encode(value))
            key = invocation_id(plan.run_id, step)
            database.execute(
                "INSERT INTO invocation VALUES (?,?,?,?,?,?,?,?,?)",
                (key, entry.name, seed, plan.run_number, step, text, image, now, now),
            )
            database.commit()
            count += 1
        return count

    count, cost = measure(act)
    database.close()
    return count, cost, pool


def lake_rival(folder: Path, asked: Experiment, per_run: bool) -> tuple[int, Cost, TimedPool]:
    """The same plain loop into this lake, with a commit for each invocation or for each run."""
    pool, lake = TimedPool(), Lake(folder)

    def act() -> int:
        count = 0
        new: list[dict[str, Any]] = []
        drawn: list[dict[str, Any]] = []
        with lake.writer("images", asked.name) as pictures, lake.writer("invocations", asked.name) as rows:
            for plan, step, entry, seed, value in plain_steps(asked, pool):
                now = datetime.now(UTC)
                row = {
                    "experiment": asked.name,
                    "run_number": plan.run_number,
                    "sequence_number": step,
                    "invocation_id": invocation_id(plan.run_id, step),
                    "model": entry.name,
                    "type": str(entry.gives),
                    "seed": seed,
                    "batch_size": 1,
                    "text": value if isinstance(value, str) else None,
                    "flags": [],
                    "model_seconds": 0.0,
                    "retries": 0,
                    "started_at": now,
                    "completed_at": now,
                }
                if not isinstance(value, str):
                    row["image_hash"] = images.pixel_hash(value)
                    drawn.append(_picture(asked.name, plan, step, row["image_hash"], value))
                new.append(row)
                if not per_run or step == plan.max_length - 1:
                    for writer, waiting in ((pictures, drawn), (rows, new)):
                        writer.append(waiting)
                        writer.commit()
                        waiting.clear()
                count += 1
        return count

    count, cost = measure(act)
    return count, cost, pool


def _picture(experiment: str, plan: RunPlan, step: int, image_hash: Any, pixels: np.ndarray) -> dict[str, Any]:
    data = images.encode(pixels)
    return {
        "experiment": experiment,
        "image_hash": image_hash,
        "run_number": plan.run_number,
        "sequence_number": step,
        "format": "webp-lossless",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "byte_size": len(data),
        "image": data,
    }


def _throughput(folder: Path, quick: bool) -> str:
    """The engine against the plain loops."""
    summary, cost, pool = run_engine(folder / "engine", experiment(128, 20 if quick else 160))
    measured: list[tuple[str, int, Cost, TimedPool]] = [
        (f"this engine, {summary.invocations} invocations", summary.invocations, cost, pool)
    ]
    little = experiment(8, 20 if quick else 80)
    for name, rival in {
        "one run after the other, a commit for each run": lambda: lake_rival(folder / "a", little, per_run=True),
        "one run after the other, a commit for each invocation": lambda: lake_rival(
            folder / "b", little, per_run=False
        ),
        "the same into SQLite, as PANIC-TDA does": lambda: sqlite_rival(folder / "c", little),
    }.items():
        count, cost, pool = rival()
        measured.append((f"{name}, {count} invocations", count, cost, pool))
    rows = [
        (
            name,
            count / cost.wall_seconds,
            1000 * cost.cpu_seconds / count,
            1000 * pool.cpu_seconds / count,
            1000 * (cost.cpu_seconds - pool.cpu_seconds) / count,
            2 * count / cost.cpu_seconds,
        )
        for name, count, cost, pool in measured
    ]
    head = (
        "loop",
        "invocations/s (wall)",
        "CPU s per 1000",
        "of it models",
        "of it the rest",
        "invocations/s that two cores' CPU allows",
    )
    return (
        f"## Invocations in a second\n\nDummies at {SIDE} x {SIDE}, texts and pictures in turn, unseeded so that "
        "nothing repeats and nothing is shared. All rows and pictures are on the disk at the end, in their final "
        "order; the engine's number includes compaction and outcomes, those of the rivals do not. The SQLite rival "
        "does not sync at each commit (WAL with `synchronous=NORMAL`), the lake does, and more than once. The last "
        "column is twice the number over the CPU seconds: what the work would allow if nothing waited for anything.\n\n"
        + markdown_table(head, rows)
    )


def _sharing(folder: Path, quick: bool) -> str:
    """Equal work done once, and cycles known, against every invocation computed."""
    length = 30 if quick else 100
    models = {"DummyT2I": {"parameters": {"states": 500}}, "DummyI2T": {"parameters": {"states": 500}}}
    asked = experiment(64, length, seeds=[1, 2], models=models, cycle="continue")
    alone = {name: settings | {"seed_behaviour": "none"} for name, settings in models.items()}
    cases = {
        "shared, cycles not computed again": asked,
        "every invocation computed": asked.model_copy(update={"models": alone}),
    }
    rows = []
    for number, (name, case) in enumerate(cases.items()):
        summary, cost, _ = run_engine(folder / f"shared{number}", case)
        rows.append((name, summary.invocations, summary.computed, summary.calls, cost.cpu_seconds))
    return (
        f"## Equal work is done once\n\n128 seeded runs of {length} invocations on models with 500 different outputs, "
        "with the policy `continue`. Both give the same outputs.\n\n"
        + markdown_table(("engine", "invocations", "computed", "calls", "CPU s"), rows)
    )


def _overlap(folder: Path, quick: bool) -> str:
    """How long a device waits, with pictures encoded in the background and before the next step."""
    calls = 10 if quick else 60

    def inline(pixels: np.ndarray, image_format: str) -> Settled:
        return Settled(pixels, images.pixel_hash(pixels), images.encode(pixels, image_format))

    ways: dict[str, Callable[[np.ndarray, str], Settled]] = {
        "in the background": engine.settle,
        "before the next step": inline,
    }
    rows = []
    for number, (name, settle) in enumerate(ways.items()):
        with patch.object(engine, "settle", settle):
            pool = TimedPool(device_seconds=0.1)
            _, cost, _ = run_engine(folder / f"overlap{number}", experiment(32, calls), pool)
        # The first call of each kind loads; after that, calls for pictures and texts take turns.
        after_pictures, after_texts = np.median(pool.gaps[3::2]), np.median(pool.gaps[2::2])
        rows.append((name, 1000 * float(after_pictures), 1000 * float(after_texts), cost.wall_seconds))
    head = ("pictures are encoded", "idle after pictures, ms", "idle after texts, ms", "wall s in all")
    return (
        f"## A device does not wait for the disk\n\n{calls} calls of 32 invocations on a device that takes 100 ms for "
        "each and leaves the processor free. Medians of the time between the end of a call and the start of the next. "
        "What stays is the hashing of pictures, which must come first.\n\n" + markdown_table(head, rows)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample, to see that it runs")
    parser.add_argument("--output", type=Path, default=RESULTS / "engine.md")
    options = parser.parse_args(argv)
    sections = [f"{machine()}. {versions('pyarrow', 'pillow', 'numpy')}. CPU seconds count all threads."]
    with tempfile.TemporaryDirectory() as folder:
        run_engine(Path(folder) / "warm", experiment(4, 4))
        sections += [part(Path(folder), options.quick) for part in (_throughput, _sharing, _overlap)]
    write_results(options.output, "The loop engine", sections)
    print(options.output.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
