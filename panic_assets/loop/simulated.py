"""A device on a simulated clock: it holds models and works on calls, and computes nothing.

Here belongs how calls on one device share it. Which call is made is the scheduler's decision, what it costs that of
``costs``.

A call is work for the device's processor and, where weights come from the host, for the bus. Calls that are under way
together are slowed down alike, so far that neither the processor nor the bus does more than it can: what one call
waits for the bus, another can compute. Two calls that both compute gain nothing from one another, unless
``together_gain`` says how much more the processor then does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from panic_assets.loop.scheduling import Work


@dataclass(frozen=True)
class SimulatedDevice:
    """What a device can do. ``together_gain``: 0.2 is a processor that does a fifth more for two calls than for one."""

    capacity_gb: float | None = None
    lanes: int = 1
    together_gain: float = 0.0


@dataclass(eq=False)
class Underway:
    """A call that a device works on. ``left`` is in seconds that it would take alone; ``wait`` the share on the bus."""

    work: Work[Any]
    left: float
    wait: float


@dataclass
class DeviceState:
    """A device at a moment: what it holds, what it works on."""

    device: SimulatedDevice
    resident: OrderedDict[str, float] = field(default_factory=OrderedDict)  # GiB, least recently used first
    underway: list[Underway] = field(default_factory=list)
    moment: float = 0.0
    version: int = 0

    @property
    def is_free(self) -> bool:
        """Whether a lane is free."""
        return len(self.underway) < self.device.lanes

    @property
    def rate(self) -> float:
        """Seconds of each call that are done in a second."""
        if len(self.underway) < 2:
            return 1.0
        on_bus = sum(call.wait for call in self.underway)
        on_processor = (len(self.underway) - on_bus) / (1 + self.device.together_gain)
        return 1 / max(1.0, on_bus, on_processor)

    def make_resident(self, weights: str, memory_gb: float, release: Iterable[str]) -> bool:
        """Have a model in memory, as a pool does it: the least recently used go. Whether it had to be loaded."""
        for key in release:
            self.resident.pop(key, None)
        is_absent = weights not in self.resident
        if is_absent:
            capacity = self.device.capacity_gb
            while self.resident and capacity is not None and sum(self.resident.values()) + memory_gb > capacity:
                self.resident.popitem(last=False)
            self.resident[weights] = memory_gb
        self.resident.move_to_end(weights)
        return is_absent

    def begin(self, now: float, work: Work[Any], on_processor: float, on_bus: float) -> None:
        """Take up a call that needs so many seconds of each."""
        self._advance(now)
        total = on_processor + on_bus
        self.underway.append(Underway(work, total, on_bus / total if total else 0.0))

    def next_end(self) -> float:
        """When the next call will be done, if no other begins before."""
        return self.moment + min(call.left for call in self.underway) / self.rate

    def end(self, now: float) -> Underway:
        """Take away the call that is done now."""
        self._advance(now)
        done = min(self.underway, key=lambda call: call.left)
        self.underway.remove(done)
        return done

    def _advance(self, now: float) -> None:
        passed = (now - self.moment) * self.rate
        for call in self.underway:
            call.left -= passed
        self.moment = now
        self.version += 1
