"""The published panel as an experiment, its costs in two readings, and our schedule of it with levers on or off.

Here belongs turning ``panel.yaml`` into what the simulation takes. The schedule that was published is ``peer``'s.

The readings differ in two captioners whose published seconds for an item are a third of what three items took with
loading: ``listed`` takes these seconds as they are, ``decomposed`` splits the same figures into a load and what each
further item took. Both schedules are always given the same reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from panic_assets.experiment import UNSEEDED, Experiment
from panic_assets.loop.costs import ModelCost, line_through
from panic_assets.loop.planning import plan_runs
from panic_assets.loop.simulated import SimulatedDevice
from panic_assets.loop.simulation import Simulation, simulate
from panic_assets.models.entry import ModelEntry
from panic_assets.models.registry import load_registry

Reading = Literal["listed", "decomposed"]


@cache
def panel() -> dict[str, Any]:
    """The content of ``panel.yaml``."""
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("panel.yaml").read_text(encoding="utf-8"))
    return content


def item_and_load(model: Mapping[str, Any], reading: Reading) -> tuple[float, float]:
    """Seconds of an item at the published batch size, and of a load, in a reading; a load that can't be told is 0."""
    seconds, three, cold = model["seconds"], model.get("three_seconds"), model["cold_seconds"]
    item = float(seconds[max(seconds)])
    if reading == "decomposed" and three is not None and abs(item - three / 3) < 0.5:
        item = (three - cold) / 2
    return item, max(0.0, cold - item)


def cost(name: str, batch: int, reading: Reading = "decomposed") -> ModelCost:
    """What a model of the panel costs in calls of so many items."""
    model = panel()["models"][name]
    item, load = item_and_load(model, reading)
    totals = {size: size * seconds for size, seconds in model["seconds"].items()}
    fixed, each = line_through(totals)
    if fixed == 0:  # one size, or larger batches are slower: as published at that size
        fixed, each = 0.0, float(model["seconds"].get(batch, item)) if len(totals) > 1 else item
    return ModelCost(batch, fixed, each, load, fixed if model.get("streams") else 0.0)


def peer_costs(reading: Reading) -> dict[str, ModelCost]:
    """Of all models at the batch sizes of the published schedule."""
    return {name: cost(name, model["peer_batch"], reading) for name, model in panel()["models"].items()}


@dataclass(frozen=True)
class Levers:
    """What our schedule makes use of.

    ``residency``: models stay in memory as long as they fit; else each is loaded anew when it takes turns.
    ``batch``: our batch sizes; else the published caps. ``overlap``: two lanes on the device. ``fetch_ahead``: weights
    that stream come while the processor works on the last ones. ``shared``: seeds 0 to 3 instead of fresh noise, so
    that the first pictures of networks with the same generator are equal work. ``together_gain``: see
    `panic_assets.loop.simulated`. ``devices``: so many of the same.
    """

    residency: bool = True
    batch: bool = True
    overlap: bool = True
    fetch_ahead: bool = False
    shared: bool = False
    together_gain: float = 0.0
    devices: int = 1


NOTHING = Levers(residency=False, batch=False, overlap=False)


def simulate_ours(levers: Levers, reading: Reading = "decomposed") -> Simulation:
    """Our schedule of the panel, with these levers."""
    data = panel()
    sizes = {name: _batch(model, levers) for name, model in data["models"].items()}
    costs = {name: cost(name, size, reading) for name, size in sizes.items()}
    if levers.fetch_ahead:
        costs = {name: _fetched_ahead(one) for name, one in costs.items()}
    models = {name: _entry(name, model, sizes[name]) for name, model in data["models"].items()}
    capacity = data["device"]["capacity_gb"] if levers.residency else 0.0
    device = SimulatedDevice(capacity, 2 if levers.overlap else 1, levers.together_gain)
    asked = experiment(seeded=levers.shared)
    return simulate(plan_runs(asked, models), models, costs, [device] * levers.devices)


def experiment(seeded: bool = False) -> Experiment:
    """The 25 networks, with fresh noise as published, or with as many seeds."""
    data = panel()
    gives = {name: model["gives"] for name, model in data["models"].items()}
    generators, captioners = ([name for name in gives if gives[name] == medium] for medium in ("image", "text"))
    return Experiment.parse(
        {
            "name": "panel",
            "networks": [[generator, captioner] for generator in generators for captioner in captioners],
            "prompts": [f"prompt {number}" for number in range(data["prompts"])],
            "seeds": list(range(data["replicates"])) if seeded else [UNSEEDED] * data["replicates"],
            "max_length": data["max_length"],
            "embedding_models": ["DummyText"],
        }
    )


def _batch(model: Mapping[str, Any], levers: Levers) -> int:
    return int(model.get("batch", model["peer_batch"]) if levers.batch else model["peer_batch"])


def _entry(name: str, model: Mapping[str, Any], batch: int) -> ModelEntry:
    """An entry with what a schedule looks at. Memory that was published is that of the published batch size."""
    like = load_registry()["FluxDev" if model["gives"] == "image" else "BLIP2"]
    more = max(1.0, batch / model["peer_batch"])  # as if all of it grew with the batch: no less is needed
    changes = {"name": name, "revision": name, "batch": batch, "memory_gb": model["memory_gb"] * more}
    return like.model_copy(update=changes)


def _fetched_ahead(one: ModelCost) -> ModelCost:
    """The same call when the bus and the processor work at the same time."""
    computing = one.call_seconds(one.batch) - one.bus_seconds
    waiting = max(0.0, one.bus_seconds - computing)
    return replace(one, fixed_seconds=one.fixed_seconds - one.bus_seconds + waiting, bus_seconds=waiting)
