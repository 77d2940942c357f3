"""Runs that ended in a cycle, continued along it: what they would have given, for as long as the others went on.

Here belongs the exact continuation alone. A run that closed a cycle is a deterministic map on its states, so that all
of its future is known; an experiment may stop it there to save time. Left short, such a run would look as if it had
recurred least of all. Runs that ended otherwise are never continued: nobody knows what they would have done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from panic_assets.dynamics.corpus import Space, Trajectory


@dataclass(frozen=True)
class Continuation:
    """The choice: ``along_cycles`` True continues runs that closed a cycle, False takes them as they were stored."""

    along_cycles: bool = True


CONTINUED = Continuation()


def horizon(trajectories: Sequence[Trajectory]) -> int:
    """Number of invocations of the longest run, 0 without runs."""
    return max((len(one.run.outputs) for one in trajectories), default=0)


def continued(trajectory: Trajectory, until: int) -> Trajectory:
    """The trajectory with the outputs that its run would have given before invocation ``until``.

    Returned as it is when its run closed no cycle, is that long already, or has an embedding missing in its cycle.
    """
    run = trajectory.run
    length, given = run.cycle_length, len(run.outputs)
    if run.transient_length is None or length is None or given >= until or len(trajectory) == 0:
        return trajectory
    places = np.arange(given, until)
    sources = run.transient_length + (places - run.transient_length) % length
    rows = np.minimum(np.searchsorted(trajectory.sequence_numbers, sources), len(trajectory) - 1)
    known = trajectory.sequence_numbers[rows] == sources
    return replace(
        trajectory,
        sequence_numbers=np.concatenate([trajectory.sequence_numbers, places[known]]).astype(np.int32),
        vectors=np.concatenate([trajectory.vectors, trajectory.vectors[rows[known]]]),
    )


def continued_space(space: Space, choice: Continuation = CONTINUED) -> Space:
    """All trajectories of a space, each continued to the longest run of its network."""
    if not choice.along_cycles:
        return space
    longest = {network: horizon(group) for network, group in space.by_network().items()}
    return replace(space, trajectories=tuple(continued(one, longest[one.run.network]) for one in space.trajectories))
