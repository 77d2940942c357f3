"""What an experiment will take before it is run: order, loads, hours, disk, and which of the numbers are guesses.

Here belongs making a forecast of a simulation and of what is known. How time passes belongs to ``simulation``, what
models cost to ``costs``, what earlier runs were like to ``typical``. The estimate of what a running experiment still
needs is ``estimate``'s.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from panic_assets.devices.known import KnownFacts
from panic_assets.experiment import Experiment
from panic_assets.lake import images
from panic_assets.loop.costs import ModelCost, Origin, cost_of
from panic_assets.loop.embedding import CHUNK
from panic_assets.loop.planning import RunPlan, plan_runs
from panic_assets.loop.simulated import SimulatedDevice
from panic_assets.loop.simulation import Group, Load, Simulation, picture_size, simulate
from panic_assets.loop.typical import Earlier
from panic_assets.models.entry import ModelEntry

#: Bytes that a pixel takes, where the lake holds no picture of the format: guesses for natural pictures.
GUESSED_BYTES_PER_PIXEL = {"lossless": 1.5, "lossy": 0.25}
#: Bytes of a row of ``invocations`` with its text, and of what goes with a vector: a guess.
GUESSED_ROW_BYTES, _VECTOR_ROW_BYTES = 200, 12


@dataclass(frozen=True)
class ModelForecast:
    """One model. ``hours`` in calls as if alone on a device, loads apart; ``cost`` says where the seconds are from."""

    name: str
    stage: str
    computed: int
    calls: int
    loads: int
    hours: float
    memory_gb: float
    cost: ModelCost


@dataclass(frozen=True)
class Disk:
    """GiB in the lake, and where the size of a picture is from."""

    pictures_gb: float
    rows_gb: float
    vectors_gb: float
    pictures_from: Origin

    @property
    def total_gb(self) -> float:
        """All of it."""
        return self.pictures_gb + self.rows_gb + self.vectors_gb


@dataclass(frozen=True)
class Forecast:
    """What an experiment will take on some devices.

    ``seconds`` is wall time: that of the loops plus that of the embeddings, which come after them; topology and
    clustering are not in it. ``assumptions`` are whole sentences.
    """

    experiment: str
    hardware: str
    devices: tuple[SimulatedDevice, ...]
    runs: int
    invocations: int
    loop_seconds: float
    embedding_seconds: float
    groups: tuple[Group, ...]
    loads: tuple[Load, ...]
    models: tuple[ModelForecast, ...]
    disk: Disk
    assumptions: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Wall seconds of loops and embeddings."""
        return self.loop_seconds + self.embedding_seconds

    @property
    def guesses(self) -> tuple[str, ...]:
        """Models of which the seconds of a call are a guess."""
        return tuple(model.name for model in self.models if model.cost.calls_from == "guess")


def forecast(
    experiment: Experiment,
    models: Mapping[str, ModelEntry],
    devices: Sequence[SimulatedDevice],
    hardware: str,
    facts: KnownFacts | None = None,
    earlier: Earlier | None = None,
) -> Forecast:
    """Run an experiment on simulated devices, all of the same hardware.

    Args:
        experiment: what would be run, from the beginning: what the lake holds of it is not taken off.
        models: its entries by name.
        devices: at least one.
        hardware: name under which ``facts`` know it.
        facts: what was measured; None for nothing.
        earlier: what earlier runs were like; None for nothing.
    """
    earlier = earlier or Earlier()
    plans = plan_runs(experiment, models)
    costs = {name: cost_of(entry, hardware, facts) for name, entry in models.items()}
    lengths = earlier.lengths_of(plans)
    made = simulate(plans, models, costs, devices, lengths)
    embeddings = [
        _embedding(models[name], costs[name], _items(experiment, models, made, earlier), len(devices))
        for name in experiment.embedding_models
    ]
    return Forecast(
        experiment=experiment.name,
        hardware=hardware,
        devices=tuple(devices),
        runs=len(plans),
        invocations=made.invocations,
        loop_seconds=made.seconds,
        embedding_seconds=sum(seconds for _, seconds in embeddings),
        groups=tuple(made.groups),
        loads=tuple(made.loads),
        models=(*_loop_models(made, models, costs), *(model for model, _ in embeddings)),
        disk=_disk(experiment, plans, models, made, earlier),
        assumptions=(*_assumptions(plans, lengths, devices, costs), *_too_large(models, devices)),
    )


def _loop_models(
    made: Simulation, models: Mapping[str, ModelEntry], costs: Mapping[str, ModelCost]
) -> list[ModelForecast]:
    loads = Counter(load.model for load in made.loads)
    return [
        ModelForecast(
            name,
            "loops",
            made.computed[name],
            made.calls[name],
            loads[name],
            made.model_seconds[name] / 3600,
            models[name].device_gb,
            costs[name],
        )
        for name in made.calls
    ]


def _items(
    experiment: Experiment, models: Mapping[str, ModelEntry], made: Simulation, earlier: Earlier
) -> dict[str, int]:
    """Distinct things to embed, by medium: outputs, and the prompts."""
    items = {"text": float(len(experiment.prompts)), "image": 0.0}
    for name, count in made.computed.items():
        medium = str(models[name].gives)
        share = min(1.0, earlier.distinct.get(medium, 1.0) * made.invocations / max(1, sum(made.computed.values())))
        items[medium] += count * share
    return {medium: math.ceil(count) for medium, count in items.items()}


def _embedding(
    entry: ModelEntry, cost: ModelCost, items: Mapping[str, int], devices: int
) -> tuple[ModelForecast, float]:
    """An embedding model and its wall seconds: one model after another, each on all devices."""
    calls = sum(_calls(items[medium], CHUNK[medium], cost.batch) for medium in entry.takes)
    taken = sum(items[medium] for medium in entry.takes)
    work = calls * cost.call_seconds(cost.batch)
    at_work = min(devices, calls)
    made = ModelForecast(entry.name, "embeddings", taken, calls, at_work, work / 3600, entry.device_gb, cost)
    return made, (cost.load_seconds + math.ceil(calls / at_work) * cost.call_seconds(cost.batch) if calls else 0.0)


def _calls(items: int, chunk: int, batch: int) -> int:
    """Calls for items that come in chunks, of which the last batch of each is padded."""
    whole, rest = divmod(items, chunk)
    return whole * math.ceil(chunk / batch) + math.ceil(rest / batch)


def _disk(
    experiment: Experiment,
    plans: Sequence[RunPlan],
    models: Mapping[str, ModelEntry],
    made: Simulation,
    earlier: Earlier,
) -> Disk:
    image_format = experiment.image_format
    known = earlier.bytes_per_pixel.get(image_format)
    per_pixel = known or GUESSED_BYTES_PER_PIXEL["lossless" if images.is_lossless(image_format) else "lossy"]
    pixels = sum(
        count * math.prod(picture_size(models[name]))
        for name, count in made.computed.items()
        if models[name].gives == "image"
    )
    gives = Counter[str]()
    for plan in plans:
        gives["text"] += 1  # the prompt is a point too
        for place, name in enumerate(plan.models):
            gives[str(models[name].gives)] += len(range(place, plan.max_length, len(plan.models)))
    full = sum(gives.values()) or 1
    points = {medium: count * made.invocations / full for medium, count in gives.items()}
    vectors = sum(
        points.get(medium, 0) * ((models[name].dimension or 0) * 4 + _VECTOR_ROW_BYTES)
        for name in experiment.embedding_models
        for medium in models[name].takes
    )
    gib = 1024**3
    rows = made.invocations * GUESSED_ROW_BYTES
    return Disk(pixels * per_pixel / gib, rows / gib, vectors / gib, "measured" if known else "guess")


def _assumptions(
    plans: Sequence[RunPlan],
    lengths: Mapping[int, int],
    devices: Sequence[SimulatedDevice],
    costs: Mapping[str, ModelCost],
) -> list[str]:
    said = []
    if not lengths:
        said.append("Every run goes on to its full length; runs that close a cycle would end sooner.")
    elif len(lengths) < len(plans):
        said.append(f"{len(lengths)} of {len(plans)} runs are as long as earlier ones of their kind, the rest full.")
    else:
        said.append("Runs are as long as earlier ones of their kind were.")
    said.append("Equal work is done once where it is equal for certain: same model, input and seed.")
    if any(device.lanes > 1 for device in devices):
        said.append("Calls side by side on a device gain only what one waits for the bus while the other computes.")
    notes = dict.fromkeys(cost.note for cost in costs.values() if cost.note)
    said += [f"Published seconds are those of {note}, maybe in another setting." for note in notes]
    return said


def _too_large(models: Mapping[str, ModelEntry], devices: Sequence[SimulatedDevice]) -> list[str]:
    capacity = min((d.capacity_gb for d in devices if d.capacity_gb is not None), default=None)
    return [
        f"{name} takes {entry.device_gb:g} GiB, more than a device has for models: it can't be run there as it is."
        for name, entry in models.items()
        if capacity is not None and entry.device_gb > capacity
    ]


__all__ = ["Disk", "Forecast", "ModelForecast", "forecast"]
