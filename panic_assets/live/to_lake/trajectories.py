"""From the invocations of a live run to its trajectories: each is one run of the lake.

Here belongs what follows what. After a step that failed the ring begins again from the prompt, so that what comes then
is another trajectory of the same prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from panic_assets.live.records import Invocation, Run


@dataclass(frozen=True)
class Completed:
    """The next output of the trajectory that began at place ``first`` of the live run."""

    first: int
    place: int
    invocation: Invocation

    @property
    def number(self) -> int:
        """Its place in the live run."""
        return self.invocation.sequence_number


@dataclass(frozen=True)
class Failed:
    """A step without an output; it ends the trajectory that began at ``first``, if it has not ended before."""

    first: int
    invocation: Invocation

    @property
    def number(self) -> int:
        """Its place in the live run."""
        return self.invocation.sequence_number


@dataclass(frozen=True)
class Stray:
    """An output that follows nothing: rows of the store were changed by hand. Nothing after it can be placed."""

    first: int
    number: int
    reason: str


@dataclass
class _Place:
    first: int = 0
    length: int = 0
    has_ended: bool = False


def trajectories(run: Run, invocations: Iterable[Invocation]) -> Iterator[Completed | Failed | Stray]:
    """The finished steps of a live run, in order, each with the trajectory that it belongs to.

    A step that failed before any output of its own belongs to the trajectory before it. What is not finished ends it.
    """
    at = _Place()
    for invocation in invocations:
        number = invocation.sequence_number
        if invocation.state in ("ready", "invoking"):
            return
        if invocation.state == "failed":
            yield Failed(at.first, invocation)
            at.has_ended = True
            continue
        if at.has_ended and number % len(run.models) == 0:
            at.first, at.length, at.has_ended = number, 0, False
        if at.has_ended or number != at.first + at.length or invocation.model != run.models[number % len(run.models)]:
            yield Stray(
                at.first, number, f"step {number} ({invocation.model}) does not follow step {at.first + at.length - 1}"
            )
            return
        yield Completed(at.first, at.length, invocation)
        at.length += 1
