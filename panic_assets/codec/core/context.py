"""How the systems of a world are to run, and what each of them cost.

Here belong settings that every system may ask for, and the trace. Nothing here changes a result but ``device``.

>>> context = Context(is_traced=True)
>>> with context.step("Hadamard4", 3, lambda: 0):
...     pass
>>> [(step.system, step.entities, step.arena_bytes) for step in context.trace]
[('Hadamard4', 3, 0)]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Step:
    """One run of one system: over how many entities, how long, and how much of the arena it took."""

    system: str
    entities: int
    milliseconds: float
    arena_bytes: int


@dataclass
class Context:
    """Settings of a world's systems.

    Args:
        device: where networks run.
        deterministic: whether networks must give the same values each time, though slower.
        is_traced: whether ``trace`` grows by a :class:`Step` for each system that ran, failed ones included.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    deterministic: bool = True
    is_traced: bool = False
    trace: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, system: str, entities: int, used: Callable[[], int]) -> Iterator[None]:
        """Run the body and, if traced, note its cost; ``used`` tells the bytes of the arena in use."""
        if not self.is_traced:
            yield
            return
        before, start = used(), time.perf_counter()
        try:
            yield
        finally:
            milliseconds = (time.perf_counter() - start) * 1e3
            self.trace.append(Step(system, entities, milliseconds, used() - before))
