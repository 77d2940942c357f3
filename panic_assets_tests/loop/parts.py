"""What the tests of this room share: small experiments, watched models, and a loop that is too simple to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.devices.base import Device
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop.engine import Summary, run_experiment
from panic_assets.loop.ids import noise_number
from panic_assets.loop.planning import RunPlan, plan_runs, register, resolve_models
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import Registry, load_registry

SMALL = {"parameters": {"side": 8}}
# What a second computation of the same may give differently.
PASSING = {"started_at", "completed_at", "failed_at", "created_at", "model_seconds", "retries", "events", "device"}


@cache
def registry() -> Registry:
    return load_registry()


def experiment(**values: Any) -> Experiment:
    """Two runs round text and picture, of 8 x 8 pixels, unless told otherwise."""
    given: dict[str, Any] = {
        "name": "small",
        "networks": [["DummyT2I", "DummyI2T"]],
        "prompts": ["a boat", "a hill"],
        "seeds": [7],
        "max_length": 12,
        "embedding_models": ["DummyText"],
        "models": {name: SMALL for name in ("DummyT2I", "DummyI2I")},
    } | values
    used = {name for network in given["networks"] for name in network} | set(given["embedding_models"])
    given["models"] = {name: settings for name, settings in given["models"].items() if name in used}
    made = Experiment.parse(given)
    made.check(registry())
    return made


@cache
def plain_pool() -> ModelPool:
    """One for all tests: closing a pool collects garbage, which is slow in a process as large as a test run."""
    return ModelPool()


Watch = Callable[[ModelEntry, Sequence[Any], Sequence[int]], None]


@dataclass
class Watched:
    """A real model with a look at each call before it is made; the look may raise or wait. Counts what is asked."""

    inner: Any
    pool: WatchedPool

    @property
    def entry(self) -> ModelEntry:
        return self.inner.entry

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        self.pool.calls.append((self.entry.name, list(inputs), list(seeds)))
        self.pool.watch(self.entry, inputs, seeds)
        seeds = [0] * len(seeds) if self.entry.seed_behaviour == "deterministic" else seeds
        return [self.pool.change(self.entry, output) for output in self.inner.invoke(inputs, seeds)]

    def embed(self, items: Sequence[Any], modality: Any) -> np.ndarray:
        self.pool.calls.append((self.entry.name, list(items), []))
        self.pool.watch(self.entry, items, [])
        return self.inner.embed(items, modality)

    def truncated(self, items: Sequence[str]) -> list[bool]:
        return self.inner.truncated(items)


@dataclass
class WatchedPool(ModelPool):
    """A pool whose models are watched. ``change`` may spoil an output."""

    watch: Watch = lambda entry, inputs, seeds: None
    change: Callable[[ModelEntry, Output], Output] = lambda entry, output: output
    calls: list[tuple[str, list[Any], list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def get(self, entry: ModelEntry) -> Any:
        return Watched(super().get(entry), self)


def run(
    lake: Lake,
    asked: Experiment,
    pool: ModelPool | None = None,
    models: Registry | None = None,
    devices: Sequence[Device] | None = None,
    **options: Any,
) -> Summary:
    """Register and run, as a person would; on one device of this process unless told otherwise."""
    entries = resolve_models(asked, models or registry())
    plans = register(lake, asked, entries)
    return run_experiment(lake, asked, plans, entries, devices or [LocalDevice(pool or plain_pool())], **options)


def fresh(folder: Path, asked: Experiment, **options: Any) -> Lake:
    """A new lake in which the experiment was run without a break."""
    lake = Lake(folder)
    run(lake, asked, **options)
    return lake


def content(lake: Lake, table: str, experiment: str = "small", without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows without what may differ between two computations of the same."""
    rows = lake.read(table, experiment)
    return rows.drop_columns([c for c in rows.column_names if c in PASSING or c in without]).to_pylist()


@dataclass
class Expected:
    """How a run must end, by a loop that does one thing after the other."""

    outputs: list[str | bytes]
    flags: list[list[str]]
    stop_reason: str
    cycle: tuple[int, int] | None


def reference(asked: Experiment, models: Registry | None = None) -> dict[int, Expected]:
    """Run number to expected end: one run at a time, one call at a time, a search through all that was."""
    entries = resolve_models(asked, models or registry())
    return {plan.run_number: _one_run(asked, plan, entries, plain_pool()) for plan in plan_runs(asked, entries)}


def _one_run(asked: Experiment, plan: RunPlan, entries: dict[str, ModelEntry], pool: ModelPool) -> Expected:
    value: str | np.ndarray = plan.prompt
    states: list[tuple[int, str | bytes]] = []
    flags: list[list[str]] = []
    for step in range(plan.max_length):
        place = step % len(plan.models)
        model: Any = pool.get(entries[plan.models[place]])
        value = model.invoke([value], [noise_number(plan.run_id, plan.seed, step)])[0].value
        states.append((place, value if isinstance(value, str) else images.pixel_hash(value)))
        flag = images.uniform_or_black(value) if isinstance(value, np.ndarray) else "" if value else "empty_text"
        flags.append([flag] if flag else [])
        if asked.quality == "stop" and flag:
            return Expected([key for _, key in states], flags, "quality", _first_cycle(plan, states))
        if asked.cycle == "stop" and _first_cycle(plan, states):
            return Expected([key for _, key in states], flags, "cycle", _first_cycle(plan, states))
    cycle = _first_cycle(plan, states)
    return Expected([key for _, key in states], flags, "cycle" if cycle else "length", cycle)


def _first_cycle(plan: RunPlan, states: Sequence[object]) -> tuple[int, int] | None:
    if not plan.is_seeded:
        return None
    for late in range(len(states)):
        for early in range(late):
            if states[early] == states[late]:
                return early, late - early
    return None


def outputs(lake: Lake, experiment: str = "small") -> dict[int, list[str | bytes]]:
    """By run number: texts and hashes of pictures, in order."""
    found: dict[int, list[str | bytes]] = {}
    for row in lake.read("invocations", experiment).to_pylist():
        assert row["sequence_number"] == len(found.setdefault(row["run_number"], []))
        found[row["run_number"]].append(row["text"] if row["type"] == "text" else row["image_hash"])
    return found


def outcomes(lake: Lake, experiment: str = "small") -> dict[int, dict[str, Any]]:
    return {row["run_number"]: row for row in lake.read("outcomes", experiment).to_pylist()}
