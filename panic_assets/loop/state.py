"""The state of a run while it is advanced, and how it is read back from the lake.

Here belongs what the engine must know of a run to go on with it: what comes next, what went before, whether it is over.
A state is a function of the stored rows alone, so that a killed engine loses nothing but its last seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from panic_assets.lake import Lake
from panic_assets.loop.cycles import Cycle, CycleDetector
from panic_assets.loop.pictures import PictureShelf
from panic_assets.loop.planning import RunPlan


@dataclass(frozen=True)
class Past:
    """One invocation that was made: its output, without pixels."""

    text: str | None
    image_hash: bytes | None
    flags: tuple[str, ...] = ()

    @property
    def key(self) -> str | bytes:
        """Equal exactly for equal outputs."""
        return self.text if self.image_hash is None else self.image_hash  # type: ignore[return-value]


@dataclass(eq=False)
class RunState:
    """A run in progress. ``value`` is the input of the next invocation, None while it must still be read."""

    plan: RunPlan
    detect: bool
    stop_at_cycle: bool
    stop_at_flag: bool
    value: str | np.ndarray | None
    past: list[Past] = field(default_factory=list)
    cycle: Cycle | None = None
    stop_reason: str | None = None
    error: str | None = None
    failed_at: datetime | None = None

    def __post_init__(self) -> None:
        self._detector = CycleDetector(len(self.plan.models))

    @property
    def next(self) -> int:
        """Sequence number of the next invocation."""
        return len(self.past)

    @property
    def key(self) -> str | bytes:
        """Identifies the input of the next invocation."""
        return self.past[-1].key if self.past else self.plan.prompt

    def advance(self, past: Past, value: str | np.ndarray | None) -> None:
        """Take over the output of an invocation and see whether the run is over. Once over, it stays so."""
        self.past.append(past)
        self.value = value
        if self.detect and self.cycle is None:
            self.cycle = self._detector.watch(self.next - 1, past.key)
        if self.stop_reason is not None:
            return
        if past.flags and self.stop_at_flag:
            self.stop_reason = "quality"
        elif self.cycle and self.stop_at_cycle:
            self.stop_reason = "cycle"
        elif self.next >= self.plan.max_length:
            self.stop_reason = "cycle" if self.cycle else "length"

    def fail(self, error: Exception) -> None:
        """End the run with what its model raised."""
        self.stop_reason, self.failed_at = "failed", datetime.now(UTC)
        self.error = f"{type(error).__name__}: {error}"[:2000]

    def known_next(self) -> Past | None:
        """The next output of a run that goes on round a cycle it has closed; None where a model must be asked."""
        return self.past[self.next - self.cycle.length] if self.cycle else None


def restore(lake: Lake, experiment: str, states: Sequence[RunState]) -> set[bytes]:
    """Advance states through what the lake holds; returns the hashes of the images that are stored.

    All that is stored of a run counts, even if it would stop sooner now (a smaller maximum length, say): an experiment
    only grows. Pixels are read for the runs that go on from an image.
    """
    rows = lake.read(
        "invocations", experiment, columns=["run_number", "sequence_number", "text", "image_hash", "flags"]
    )
    by_number = {state.plan.run_number: state for state in states}
    names = ("run_number", "sequence_number", "text", "image_hash", "flags")
    for batch in rows.to_batches():
        for number, place, text, image_hash, flags in zip(*(batch[name].to_pylist() for name in names), strict=True):
            state = by_number.get(number)
            if state is not None and place == state.next:  # rows come in order; there are no gaps
                state.advance(Past(text, image_hash, tuple(flags)), text)
    asking = [s for s in states if s.past and s.value is None and not s.stop_reason and not s.cycle]
    shelf = PictureShelf(lake, experiment)
    pixels = shelf.load({state.key for state in asking if isinstance(state.key, bytes)})
    for state in asking:
        state.value = pixels[state.key]  # type: ignore[index]
    return set(shelf)
