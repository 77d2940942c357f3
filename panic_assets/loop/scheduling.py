"""Which batch goes to which device next, and what must leave its memory for it.

Here belongs the decision alone: no thread, no clock, no model. The engine asks it with real devices, the forecast with
simulated ones, so that what is planned is what is done.

The rules for a device with a free lane, the first that gives something:

1. a full batch of a model that is in its memory; of several, that of the runs that are furthest behind;
2. a model that nobody has loaded, or that has a full batch waiting, if it fits beside all that is still wanted;
3. nothing yet, while answers are being taken in: they may fill a batch in a moment;
4. if the device is idle, what waits for a model in its memory, however little;
5. if the device is idle, the model of the runs that are furthest behind, in place of what is wanted least.

So models that fit together stay together and take turns without loading; where they don't fit, each load is used until
nothing is left that it could do. Models that share weights are one model here.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from panic_assets.models.base import Medium
from panic_assets.models.entry import ModelEntry

Item = TypeVar("Item")
BatchSize = Callable[[str, int], int | None]
"""Batch size of a model on the device of this number; None if it must be probed first."""


@dataclass(frozen=True)
class Want:
    """What requests must agree in to go in one batch: a model, and for an embedder the medium."""

    model: str
    modality: Medium | None = None


@dataclass(frozen=True)
class Work(Generic[Item]):
    """A batch for a device: up to ``size`` items. ``size`` is None where it must be probed; there are no items then."""

    device: int
    want: Want
    items: tuple[Item, ...]
    size: int | None
    release: tuple[str, ...] = ()


@dataclass
class _Slot:
    capacity_gb: float | None
    lanes: int
    resident: OrderedDict[str, float] = field(default_factory=OrderedDict)  # least recently used first
    busy: Counter[str] = field(default_factory=Counter)

    @property
    def in_flight(self) -> int:
        return sum(self.busy.values())


class _Queue(Generic[Item]):
    """Items of one want: those for common batches by step, then order of arrival; and those that go alone."""

    def __init__(self) -> None:
        self._together: list[tuple[int, int, Item]] = []
        self._alone: deque[tuple[int, Item]] = deque()

    def __len__(self) -> int:
        return len(self._together) + len(self._alone)

    @property
    def first(self) -> Item:
        return self._alone[0][1] if self._alone else self._together[0][2]

    @property
    def step(self) -> int:
        """Of the item that would be given next."""
        return self._alone[0][0] if self._alone else self._together[0][0]

    def add(self, item: Item, step: int, number: int, alone: bool) -> None:
        if alone:
            self._alone.append((step, item))
        else:
            heapq.heappush(self._together, (step, number, item))

    def is_full(self, size: int | None) -> bool:
        return bool(self._alone) or size is None or len(self._together) >= size

    def cut(self, size: int) -> tuple[Item, ...]:
        if self._alone:
            return (self._alone.popleft()[1],)
        return tuple(heapq.heappop(self._together)[2] for _ in range(min(size, len(self._together))))


class Scheduler(Generic[Item]):
    """Holds what is asked and gives it out in batches; see the module for the rules. Not safe for threads.

    Args:
        entries: the models by name.
        devices: (capacity in GiB or None, lanes) of each device.
        batch_size: see `BatchSize`; asked anew at each batch.
    """

    def __init__(
        self,
        entries: Mapping[str, ModelEntry],
        devices: Sequence[tuple[float | None, int]],
        batch_size: BatchSize,
    ) -> None:
        self._entries = entries
        self._weights = {name: entry.load_identity for name, entry in entries.items()}  # a digest: not to be made often
        self._slots = [_Slot(capacity, lanes) for capacity, lanes in devices]
        self._batch_size = batch_size
        self._queues: dict[Want, _Queue[Item]] = {}
        self._wanted: frozenset[str] = frozenset()
        self._numbers = itertools.count()
        self.settling = 0

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def expect(self, models: Iterable[str]) -> None:
        """Say which models will be asked from now on: others give way to them."""
        self._wanted = frozenset(self._weights[name] for name in models)

    def add(self, want: Want, item: Item, step: int, alone: bool = False) -> None:
        """Queue an item. ``step`` orders it among others: the least is furthest behind."""
        self._queues.setdefault(want, _Queue()).add(item, step, next(self._numbers), alone)

    def take(self, device: int) -> Work[Item] | None:
        """The next batch for this device, which is at work on it until `done` is told; None if there is none now."""
        slot = self._slots[device]
        if slot.in_flight >= slot.lanes:
            return None
        ready = [want for want in self._queues if not slot.busy[self._weights[want.model]]]
        here = [want for want in ready if self._weights[want.model] in slot.resident]
        full = [want for want in here if self._is_full(want, device)]
        if full:
            return self._give(min(full, key=self._step), device, ())
        fitting = self._fitting([want for want in ready if want not in here], device)
        if fitting:
            return self._give(*fitting)
        if self.settling or slot.in_flight or not ready:
            return None
        if here:
            return self._give(min(here, key=self._step), device, ())
        want = min(ready, key=self._step)
        return self._give(want, device, self._victims(slot, self._entries[want.model].device_gb))

    def first(self, want: Want) -> Item:
        """The item that would be given next; one must be there."""
        return self._queues[want].first

    def done(self, work: Work[Item], resident: Mapping[str, float] | None) -> None:
        """A batch is done. ``resident``: GiB of what the device now holds, by load identity.

        None if nobody knows: it is then what it was, and the model of the batch. A device that was lost holds nothing.
        """
        slot, weights = self._slots[work.device], self._weights[work.want.model]
        slot.busy[weights] -= 1
        slot.busy += Counter()  # drops zeros
        if resident is None:
            slot.resident.setdefault(weights, self._entries[work.want.model].device_gb)
        else:
            slot.resident = OrderedDict((key, gb) for key, gb in slot.resident.items() if key in resident)
            for key, memory_gb in resident.items():
                slot.resident.setdefault(key, memory_gb)
        if weights in slot.resident:
            slot.resident.move_to_end(weights)

    def _step(self, want: Want) -> int:
        return self._queues[want].step

    def _is_full(self, want: Want, device: int) -> bool:
        return self._queues[want].is_full(self._batch_size(want.model, device))

    def _fitting(self, absent: Collection[Want], device: int) -> tuple[Want, int, tuple[str, ...]] | None:
        """A model to load without letting go of anything wanted, and what may go for it."""
        slot, choices = self._slots[device], []
        for want in absent:
            weights = self._weights[want.model]
            is_loaded = any(weights in other.resident or other.busy[weights] for other in self._slots)
            is_full = self._is_full(want, device)
            if is_loaded and not is_full:
                continue
            unwanted = [key for key in slot.resident if key not in self._wanted and not slot.busy[key]]
            room = self._room(slot, self._entries[want.model].device_gb, unwanted)
            if room is not None:
                choices.append((is_loaded, not is_full, self._step(want), want, device, room))
        return min(choices, key=lambda choice: choice[:3])[3:] if choices else None

    def _room(self, slot: _Slot, needed_gb: float, unwanted: Sequence[str]) -> tuple[str, ...] | None:
        """Which of the unwanted, in their order, must go; None if all of them are not enough."""
        if slot.capacity_gb is None:
            return ()
        # What is being loaded now is not resident yet.
        loading = sum(self._memory(key) for key in slot.busy if key not in slot.resident)
        free, gone = slot.capacity_gb - sum(slot.resident.values()) - loading, []
        for key in unwanted:
            if free >= needed_gb:
                break
            free += slot.resident[key]
            gone.append(key)
        return tuple(gone) if free >= needed_gb else None

    def _victims(self, slot: _Slot, needed_gb: float) -> tuple[str, ...]:
        """What must go on an idle device so that a model fits, the least wanted first; all of it if it must."""
        asked = {self._weights[want.model] for want in self._queues}
        # Sorting is stable: among equals the least recently used goes first.
        order = sorted(slot.resident, key=lambda key: (key in self._wanted, key in asked))
        room = self._room(slot, needed_gb, order)
        return tuple(order) if room is None else room

    def _memory(self, weights: str) -> float:
        return next(entry.device_gb for name, entry in self._entries.items() if self._weights[name] == weights)

    def _give(self, want: Want, device: int, release: tuple[str, ...]) -> Work[Item]:
        slot, size, queue = self._slots[device], self._batch_size(want.model, device), self._queues[want]
        items = () if size is None else queue.cut(size)
        if not queue:
            del self._queues[want]
        for key in release:
            slot.resident.pop(key, None)
        slot.busy[self._weights[want.model]] += 1
        return Work(device, want, items, size, release)


def groups_of_networks(
    rings: Mapping[str, Collection[str]],
    runs: Mapping[str, int],
    memory_gb: Mapping[str, float],
    capacity_gb: float | None,
    enough_runs: int = 256,
) -> list[list[str]]:
    """Networks in the order in which they are run, those in one group at the same time.

    ``rings`` gives the weights (load identities) that each network needs, ``memory_gb`` their GiB.

    A group grows by the network that needs the least more memory, while all its models fit together and it has fewer
    than ``enough_runs`` runs. A network that does not fit by itself takes along those with which it shares its largest
    model: one load then serves them all. The next group begins with the network that shares most with the last one.
    """
    left, groups = dict.fromkeys(rings), list[list[str]]()
    places = {network: place for place, network in enumerate(rings)}
    last: set[str] = set()

    def gigabytes(models: Iterable[str]) -> float:
        return sum(memory_gb[model] for model in models)

    while left:
        first = min(left, key=lambda network: (-gigabytes(set(rings[network]) & last), places[network]))
        group, models, count = [first], set(rings[first]), runs[first]
        del left[first]
        largest = max(rings[first], key=lambda model: memory_gb[model])
        is_tight = capacity_gb is not None and gigabytes(models) > capacity_gb
        while left and count < enough_runs:
            best = min(left, key=lambda network: (gigabytes(set(rings[network]) - models), places[network]))
            if is_tight:
                best = next((network for network in left if largest in rings[network]), "")
            elif capacity_gb is not None and gigabytes(models | set(rings[best])) > capacity_gb:
                best = ""
            if not best:
                break
            group.append(best)
            models |= set(rings[best])
            count += runs[best]
            del left[best]
        groups.append(group)
        last = models
    return groups


__all__: list[Any] = ["BatchSize", "Scheduler", "Want", "Work", "groups_of_networks"]
