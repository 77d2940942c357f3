"""The plan of an experiment on the terminal.

Here belongs printing and the choice of the devices that a plan is for. Numbers come from ``loop.forecast``.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from panic_assets.devices.gpus import Gpu, find_gpu, gpus_here
from panic_assets.devices.worker import LEAST_MARGIN_GB, MARGIN
from panic_assets.errors import PanicError
from panic_assets.loop.costs import ModelCost
from panic_assets.loop.forecast import Forecast, ModelForecast, forecast
from panic_assets.loop.planning import resolve_models
from panic_assets.loop.simulated import SimulatedDevice
from panic_assets.loop.typical import earlier_runs

_WIDTH = 80  # of what is not a terminal
_MARKS = {"measured": "", "published": " *", "guess": " ?"}


def plan_file(
    file: Path, data: Path, gpu: str | None = None, memory_gb: float | None = None, devices: int | None = None
) -> Forecast:
    """The plan of an experiment file, with what a data directory remembers.

    Args:
        file: the experiment.
        data: directory with the lake and remembered measurements; it need hold neither.
        gpu: kind of GPU to plan for; see `panic_assets.devices.gpus.find_gpu`.
        memory_gb: GiB that models may take, in its place.
        devices: how many of it; None for those of this machine, or 1.

    Raises:
        PanicError: the file, or what is to be planned for, is not valid.
    """
    from panic_assets.devices.known import KnownFacts
    from panic_assets.experiment import Experiment
    from panic_assets.lake import Lake
    from panic_assets.models.registry import load_registry

    registry = load_registry()
    experiment = Experiment.load(file)
    experiment.check(registry, where=str(file))
    hardware, capacity_gb, count = _target(gpu, memory_gb, devices)
    facts = KnownFacts(data / "cache" / "devices.json")
    earlier = earlier_runs(Lake(data / "lake"), experiment.name)
    device = SimulatedDevice(capacity_gb)
    return forecast(experiment, resolve_models(experiment, registry), [device] * count, hardware, facts, earlier)


def _target(gpu: str | None, memory_gb: float | None, devices: int | None) -> tuple[str, float | None, int]:
    """Hardware, GiB for models and number of devices."""
    if gpu is not None and memory_gb is not None:
        raise PanicError("--gpu and --memory are two ways to say the same; give one")
    if memory_gb is not None and memory_gb <= 0:
        raise PanicError(f"--memory {memory_gb:g} is not possible; give the GiB that models may take")
    if devices is not None and devices < 1:
        raise PanicError(f"--devices {devices} is not possible; give 1 or more")
    here = gpus_here()
    if gpu is not None:
        kind = find_gpu(gpu)
        return kind.product, _for_models(kind), devices or 1
    hardware = here[0].product if here else "cpu"
    if memory_gb is not None:
        return hardware, memory_gb, devices or 1
    return hardware, _for_models(here[0]) if here else None, devices or max(1, len(here))


def _for_models(gpu: Gpu) -> float:
    """GiB of a GPU without the margin that its worker leaves to activations and libraries."""
    return gpu.memory_gb - max(LEAST_MARGIN_GB, MARGIN * gpu.memory_gb)


def print_plan(plan: Forecast, console: Console | None = None) -> None:
    """The plan in words and tables that fit 80 columns."""
    console = console or Console(width=None if Console().is_terminal else _WIDTH)
    count = len(plan.devices)
    memory = plan.devices[0].capacity_gb
    where = f"{count} x {plan.hardware}" + ("" if memory is None else f", {memory:g} GiB for models on each")
    until = datetime.now().astimezone() + timedelta(seconds=plan.seconds)
    console.print(f"Plan of {plan.experiment} on {where}", style="bold", markup=False, highlight=False)
    console.print(
        f"{plan.runs} runs, {plan.invocations} invocations: {duration(plan.loop_seconds)} for the loops, "
        f"{duration(plan.embedding_seconds)} for embeddings.\n"
        f"Begun now, it is done on {until:%A, %d %B %Y, %H:%M}.",
        markup=False,
        highlight=False,
    )
    console.print()
    console.print(_groups(plan))
    console.print()
    console.print(_models(plan.models))
    console.print()
    disk = plan.disk
    guessed = " (guessed bytes per pixel)" if disk.pictures_from == "guess" else ""
    console.print(
        f"Disk: {_size(disk.total_gb)}: pictures {_size(disk.pictures_gb)}{guessed}, "
        f"vectors {_size(disk.vectors_gb)}, rows {_size(disk.rows_gb)}.",
        markup=False,
        highlight=False,
    )
    for sentence in (*plan.assumptions, *_about_marks(plan)):
        console.print(f"- {sentence}", markup=False, highlight=False)


def duration(seconds: float) -> str:
    """A time in the two units that suit it."""
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            whole, rest = divmod(round(seconds / part), size // part)
            return f"{whole} {unit} {rest} {smaller}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _groups(plan: Forecast) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("networks, side by side", overflow="fold", ratio=3)
    table.add_column("in memory at the end", overflow="fold", ratio=2)
    table.add_column("loads", justify="right", no_wrap=True)
    table.add_column("takes", justify="right", no_wrap=True)
    for number, group in enumerate(plan.groups, 1):
        loads = sum(group.began <= load.at < group.ended for load in plan.loads)
        networks, resident = "\n".join(group.networks), ", ".join(group.resident)
        table.add_row(str(number), networks, resident, str(loads), duration(group.ended - group.began))
    return table


def _models(models: tuple[ModelForecast, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for heading in ("outputs", "batch", "calls", "s each", "loads", "s each", "GiB", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for model in models:
        cost = model.cost
        table.add_row(
            model.name,
            str(model.computed),
            str(cost.batch),
            str(model.calls),
            f"{cost.call_seconds(cost.batch):.3g}{_MARKS[cost.calls_from]}",
            str(model.loads),
            f"{cost.load_seconds:.3g}{_MARKS[cost.load_from]}",
            f"{model.memory_gb:.3g}",
            duration(model.hours * 3600),
        )
    return table


def _about_marks(plan: Forecast) -> list[str]:
    costs: list[ModelCost] = [model.cost for model in plan.models]
    origins = Counter(origin for cost in costs for origin in (cost.calls_from, cost.load_from))
    said = []
    if origins["measured"]:
        said.append("Seconds without a mark were measured here.")
    if origins["published"]:
        said.append("*: published by others, maybe for other hardware; `panic models show NAME` tells the setting.")
    if origins["guess"]:
        said.append("?: a guess, until the model has been called on such a device once.")
    return said


def _size(gib: float) -> str:
    return f"{gib:.3g} GiB" if gib >= 1 else f"{gib * 1024:.3g} MiB"


__all__ = ["duration", "plan_file", "print_plan"]
