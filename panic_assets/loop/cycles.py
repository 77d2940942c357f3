"""Cycles of a run: when it has been here before.

Here belongs the detection on exact states. A seeded run of repeatable models is a deterministic map on states (place in
the ring, output), so that the first repeat of a state proves a cycle: everything after it is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cycle:
    """``transient``: invocations before the cycle begins; ``length``: invocations in one turn of it."""

    transient: int
    length: int


@dataclass
class CycleDetector:
    """Watches one run. ``ring``: number of models in the network.

    An output is given as a key that is equal only for equal outputs: a text, or the hash of an image's pixels (never
    of an encoded file, which may merge or split equal pictures).
    """

    ring: int
    _seen: dict[tuple[int, str | bytes], int] = field(default_factory=dict)

    def watch(self, sequence_number: int, output: str | bytes) -> Cycle | None:
        """Note the output of an invocation; the cycle that it closes, if it does."""
        state = (sequence_number % self.ring, output)
        before = self._seen.setdefault(state, sequence_number)
        return Cycle(before, sequence_number - before) if before != sequence_number else None
