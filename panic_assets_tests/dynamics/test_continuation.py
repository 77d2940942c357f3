"""Runs that stopped at a cycle, continued: the same as if they had gone on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.absorption import outputs_until
from panic_assets.dynamics.continuation import Continuation, continued, continued_space
from panic_assets.dynamics.corpus import Trajectory
from panic_assets_tests.dynamics.systems import run, space, trajectory, walk


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(1, 5), st.integers(2, 3), st.integers(0, 30))
def test_continued_is_what_the_whole_run_would_have_been(transient: int, turns: int, ring: int, more: int) -> None:
    length = turns * ring
    stop = transient + length + 1
    states = [k if k < transient else transient + (k - transient) % length for k in range(stop + more)]
    network = " -> ".join("ABC"[:ring])
    # The last model of the ring writes texts, and the one before it too where there are three.
    places = np.array([k for k in range(stop + more) if k % ring > 0], dtype=np.int32)
    vectors = np.array([[states[k], k % ring] for k in places], dtype=np.float32).reshape(-1, 2)
    outputs = [f"{state}" for state in states]
    whole = Trajectory(run(0, outputs, (transient, length), network), places, vectors, None)
    early = places < stop
    short = Trajectory(run(0, outputs[:stop], (transient, length), network), places[early], vectors[early], None)
    if not early.any():
        return
    found = continued(short, stop + more)
    assert np.array_equal(found.sequence_numbers, whole.sequence_numbers)
    assert np.array_equal(found.vectors, whole.vectors)
    assert outputs_until(short.run, stop + more) == tuple(outputs)


def test_runs_without_a_cycle_stay_as_they_are() -> None:
    short, long = trajectory(0, walk(5)), trajectory(1, walk(9))
    made = space([short, long])
    assert continued_space(made).trajectories == (short, long)
    cyclic = replace(short, run=replace(short.run, transient_length=2, cycle_length=4))
    both = space([cyclic, long])
    assert [len(one) for one in continued_space(both).trajectories] == [9, 9]
    assert continued_space(both, Continuation(False)) is both
