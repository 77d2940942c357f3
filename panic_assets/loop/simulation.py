"""An experiment on a simulated clock: the engine's order, sharing and scheduling, with costs in place of models.

Here belongs the way of a run without outputs: what the engine would ask, when, of whom. Outputs are numbers that are
equal exactly where equal work was done, so that what is shared here is what the engine shares for certain; outputs that
happen to be equal are not foreseen. What a person wants to know of it belongs to ``forecast``.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from panic_assets.loop.costs import ModelCost
from panic_assets.loop.engine import groups_of_plans
from panic_assets.loop.planning import RunPlan
from panic_assets.loop.scheduling import Scheduler, Want, Work
from panic_assets.loop.sharing import Made, SharedWork, Taker, WorkKey, work_key
from panic_assets.loop.simulated import DeviceState, SimulatedDevice
from panic_assets.models.entry import ModelEntry

_TEXT_BYTES = 900  # of a caption in memory, roughly; what matters is that a picture is much larger
_SIDE = 1024  # of a picture whose size is not registered


@dataclass(frozen=True)
class Load:
    """A model that was loaded: at so many seconds from the start, on which device, taking how long."""

    at: float
    device: int
    model: str
    seconds: float


@dataclass(frozen=True)
class Group:
    """Networks that ran side by side. Seconds from the start; ``resident`` names what the devices hold at the end."""

    networks: tuple[str, ...]
    began: float
    ended: float
    invocations: int
    resident: tuple[str, ...]


@dataclass
class Simulation:
    """What happened. ``model_seconds`` is the time of all calls of a model, each as if it were alone on its device."""

    seconds: float = 0.0
    invocations: int = 0
    computed: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    model_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    loads: list[Load] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    """Stands for an output: ``value`` is equal for equal work. ``size`` in bytes, as it would be remembered."""

    value: int
    size: int


@dataclass(eq=False, slots=True)
class _Run:
    """A run as the engine's state of it, as far as sharing looks at it."""

    plan: RunPlan
    length: int
    value: str | int
    next: int = 0


def simulate(
    plans: Sequence[RunPlan],
    models: Mapping[str, ModelEntry],
    costs: Mapping[str, ModelCost],
    devices: Sequence[SimulatedDevice],
    lengths: Mapping[int, int] | None = None,
    groups: Sequence[Sequence[str]] | None = None,
    share: bool = True,
) -> Simulation:
    """Run an experiment on simulated devices.

    Args:
        plans: its runs.
        models: the entries by name; ``device_gb`` is what a model takes of a device.
        costs: of each model of the runs.
        devices: at least one.
        lengths: invocations of each run by its number; ``max_length`` where it is not named.
        groups: networks that run side by side, in order; the engine's own choice if None.
        share: whether equal work is done once, as the engine does it.
    """
    return _Simulator(plans, models, costs, devices, lengths or {}, share).run(groups)


class _Simulator:
    def __init__(
        self,
        plans: Sequence[RunPlan],
        models: Mapping[str, ModelEntry],
        costs: Mapping[str, ModelCost],
        devices: Sequence[SimulatedDevice],
        lengths: Mapping[int, int],
        share: bool,
    ) -> None:
        self.plans, self.models, self.costs, self.is_sharing = plans, models, costs, share
        self.runs = [_Run(p, lengths.get(p.run_number, p.max_length), p.prompt) for p in plans]
        self.devices = [DeviceState(device) for device in devices]
        self.scheduler: Scheduler[WorkKey] = Scheduler(
            models, [(device.capacity_gb, device.lanes) for device in devices], lambda model, _: costs[model].batch
        )
        self.shared, self.result = SharedWork(), Simulation()
        self.weights = {name: entry.load_identity for name, entry in models.items()}
        self.names = {weights: name for name, weights in reversed(self.weights.items())}
        self.bytes = {name: _bytes(entry) for name, entry in models.items()}
        self.values = itertools.count()
        self.ends: list[tuple[float, int, int]] = []  # (when, device, version of the device's state)
        self.now = 0.0

    def run(self, groups: Sequence[Sequence[str]] | None) -> Simulation:
        capacities = [d.device.capacity_gb for d in self.devices if d.device.capacity_gb is not None]
        chosen = groups or groups_of_plans(self.plans, self.models, min(capacities, default=None))
        for networks in chosen:
            began, before = self.now, self.result.invocations
            self._advance([run for run in self.runs if run.plan.network in set(networks)])
            held = dict.fromkeys(self.names[key] for device in self.devices for key in device.resident)
            done = self.result.invocations - before
            self.result.groups.append(Group(tuple(networks), began, self.now, done, tuple(held)))
        self.result.seconds = self.now
        return self.result

    def _advance(self, runs: Sequence[_Run]) -> None:
        """All of these runs to their ends."""
        self.scheduler.expect({name for run in runs for name in run.plan.models})
        self._go_on(runs)
        self._start()
        while self.shared.waiting:
            moment, number, version = heapq.heappop(self.ends)
            device = self.devices[number]
            if version != device.version:
                continue
            self.now = moment
            work = device.end(moment).work
            self.scheduler.done(work, dict(device.resident))
            self._await(number)
            # Lanes take what is full at once; what the answers lead to comes a little later.
            self.scheduler.settling = 1
            self._start()
            self._take_in(work)
            self.scheduler.settling = 0
            self._start()

    def _start(self) -> None:
        """Give every free lane a batch, as long as there are any."""
        for number, device in enumerate(self.devices):
            while device.is_free and (work := self.scheduler.take(number)) is not None:
                self._begin(number, device, work)

    def _begin(self, number: int, device: DeviceState, work: Work[WorkKey]) -> None:
        name = work.want.model
        entry, cost = self.models[name], self.costs[name]
        assert work.size is not None
        seconds = cost.call_seconds(work.size if entry.needs_full_batches else len(work.items))
        on_bus = cost.bus_seconds
        self.result.calls[name] += 1
        self.result.model_seconds[name] += seconds
        if device.make_resident(self.weights[name], entry.device_gb, work.release):
            self.result.loads.append(Load(self.now, number, name, cost.load_seconds))
            seconds, on_bus = seconds + cost.load_seconds, on_bus + cost.load_seconds
        device.begin(self.now, work, seconds - on_bus, on_bus)
        self._await(number)

    def _await(self, number: int) -> None:
        device = self.devices[number]
        if device.underway:
            heapq.heappush(self.ends, (device.next_end(), number, device.version))

    def _take_in(self, work: Work[WorkKey]) -> None:
        """Hand the answers to all runs that wait for them, and let these go on."""
        going: list[_Run] = []
        name = work.want.model
        for key in work.items:
            answer = _Answer(next(self.values), self.bytes[name])
            for taker in self.shared.answered(key, cast(Made, answer)):
                run = cast(_Run, taker.state)
                self._step(run, answer)
                going.append(run)
        self.result.computed[name] += len(work.items)
        self._go_on(going)

    def _step(self, run: _Run, answer: _Answer) -> None:
        run.value = answer.value
        run.next += 1
        self.result.invocations += 1

    def _go_on(self, runs: Iterable[_Run]) -> None:
        """Each run takes its next outputs as far as they are known, and asks for the first that is not."""
        for run in runs:
            while run.next < run.length:
                name = run.plan.models[run.next % len(run.plan.models)]
                key = self._key(run, name)
                known = self.shared.known(key)
                if known is not None:
                    self._step(run, cast(_Answer, known))
                    continue
                if self.shared.wait(key, Taker(cast(Any, run), 0)):
                    self.scheduler.add(Want(name), key, run.next)
                break

    def _key(self, run: _Run, name: str) -> WorkKey:
        """Equal for work that the engine does once, whatever its outputs are."""
        number, value = run.plan.run_number, cast(str, run.value)
        if not self.is_sharing:
            return (name, number, run.next)
        # The noise of an unseeded invocation is drawn from its run and its place: no other draws the same.
        seed = run.plan.seed if run.plan.is_seeded else -1 - (number << 20 | run.next)
        return work_key(self.models[name], value, seed, number)


def _bytes(entry: ModelEntry) -> int:
    """What an output of this model takes in memory, roughly."""
    if entry.gives != "image":
        return _TEXT_BYTES
    width, height = picture_size(entry)
    return 3 * width * height


def picture_size(entry: ModelEntry) -> tuple[int, int]:
    """(width, height) of a model's pictures in pixels, as registered; 1024 where they are not."""
    side = entry.parameters.get("side", _SIDE)
    return int(entry.parameters.get("width", side)), int(entry.parameters.get("height", side))
