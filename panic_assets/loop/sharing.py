"""Equal work is done once: who waits for which answer, and the answers that came lately.

Here belongs what makes two requests the same work. An answer is remembered while memory allows, so that a run that
comes to the same place later, in the same network or another, takes it over; forgotten ones are computed again, and
give the same.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from panic_assets.loop.state import Past, RunState
from panic_assets.models.entry import ModelEntry

WorkKey = tuple[object, ...]
_TEXT_BYTES = 500  # what an answer costs beside its pixels, roughly


@dataclass(frozen=True)
class Made:
    """An output as it goes into the lake and on to the next model, and the call that gave it."""

    past: Past
    value: str | np.ndarray
    batch_size: int
    device: str | None
    retries: int
    started_at: datetime
    completed_at: datetime

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return _TEXT_BYTES + (self.value.nbytes if isinstance(self.value, np.ndarray) else 2 * len(self.value))


@dataclass(eq=False)
class Taker:
    """A run that waits for an answer, with the number that its noise is drawn from."""

    state: RunState
    seed: int


def work_key(entry: ModelEntry, value_key: str | bytes, seed: int, run_number: int) -> WorkKey:
    """Equal for the same work: a model, its input, and the seed as far as the model heeds it."""
    if entry.seed_behaviour == "none":
        return (entry.name, value_key, seed, run_number)
    if entry.seed_behaviour == "deterministic":
        return (entry.name, value_key)
    return (entry.name, value_key, seed)


@dataclass
class SharedWork:
    """What is asked and what was answered. ``limit_bytes`` bounds the answers that are remembered."""

    limit_bytes: int = 256 * 1024 * 1024
    waiting: dict[WorkKey, list[Taker]] = field(default_factory=dict)
    _made: OrderedDict[WorkKey, Made] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def known(self, key: WorkKey) -> Made | None:
        """The answer, if it is remembered."""
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
        return made

    def wait(self, key: WorkKey, taker: Taker) -> bool:
        """Note that a run waits for an answer; whether it is the first, so that the model must be asked."""
        takers = self.waiting.setdefault(key, [])
        takers.append(taker)
        return len(takers) == 1

    def answered(self, key: WorkKey, made: Made | None) -> list[Taker]:
        """Who waited for it, in the order of their numbers; remembers the answer unless it is None."""
        if made is not None:
            self._made[key] = made
            self._bytes += made.size
            while self._bytes > self.limit_bytes:
                self._bytes -= self._made.popitem(last=False)[1].size
        return sorted(self.waiting.pop(key), key=lambda taker: taker.state.plan.run_number)
