"""Counting within runs: what follows what, what never does, how long labels last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.dynamics.corpus import Run
from panic_assets.dynamics.symbols import (
    LabelledRun,
    bigrams,
    continued_labels,
    count_matrices,
    dwells,
    milestones,
    spacing,
)

SEQUENCES = st.lists(st.lists(st.integers(-1, 4), max_size=12).map(lambda x: np.array(x, int)), max_size=5)


def labelled(
    labels: list[int],
    number: int = 0,
    stride: int = 1,
    cycle: tuple[int, int] | None = None,
    network: str = "A -> B",
    first: int = 0,
) -> LabelledRun:
    """A run with a label at every ``stride``-th invocation; ``cycle`` is (transient, length) in invocations."""
    places = np.arange(len(labels)) * stride + first
    outputs = tuple(str(place) for place in range(int(places[-1]) + 1 if len(labels) else 0))
    transient, length = cycle or (None, None)
    ended = "cycle" if cycle else "length"
    run = Run(number, network, ("A", "B"), 0, "p", 1, 0, ended, transient, length, outputs)
    return LabelledRun(run, places.astype(np.int32), np.array(labels, np.int32), np.ones(len(labels), np.float32))


def as_dict(sequences: list[np.ndarray], lag: int = 1) -> dict[tuple[int, int], int]:
    pairs, counts = bigrams(sequences, lag)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(pairs, counts.sum(axis=0), strict=True)}


def test_passages_never_leak_from_a_run_to_the_next_nor_bridge_an_outlier() -> None:
    sequences = [np.array([0, 0, -1, 1]), np.array([2, 2]), np.array([3]), np.array([], int)]
    assert as_dict(sequences) == {(0, 0): 1, (0, -1): 1, (-1, 1): 1, (2, 2): 1}
    assert as_dict(sequences, lag=3) == {(0, 1): 1}
    assert bigrams(sequences)[1].sum(axis=1).tolist() == [3, 1, 0, 0]
    assert bigrams([])[1].shape == (0, 0)


@given(SEQUENCES, st.integers(1, 3))
def test_counts_are_those_of_each_run_alone(sequences: list[np.ndarray], lag: int) -> None:
    expected: dict[tuple[int, int], int] = {}
    for own in sequences:
        for a, b in zip(own.tolist(), own.tolist()[lag:], strict=False):
            expected[a, b] = expected.get((a, b), 0) + 1
    assert as_dict(sequences, lag) == expected
    core = count_matrices([own[own >= 0] for own in sequences], 5, lag)
    assert core.sum() == sum(max(0, (own >= 0).sum() - lag) for own in sequences)


@given(SEQUENCES)
def test_stretches_put_together_are_the_run(sequences: list[np.ndarray]) -> None:
    for own in sequences:
        found = dwells(own)
        assert np.array_equal(np.repeat(found.states, found.lengths), own)
        assert found.ended.tolist() == [True] * (len(found.states) - 1) + [False] * bool(len(own))
        assert (np.diff(found.states) != 0).all()


def test_a_milestone_stands_until_the_next_core() -> None:
    labels = np.array([-1, 7, 5, -1, 7, 3, 3, -1, 5])
    assert milestones(labels, [5, 3]).tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert milestones(labels, []).tolist() == []
    assert milestones(np.array([], int), [5]).tolist() == []


def test_a_run_that_cycled_goes_on_along_its_cycle_as_long_as_the_longest() -> None:
    long = labelled([9] * 12)
    short = labelled([0, 1, 2, 1], cycle=(1, 2))
    other = labelled([4, 5])
    continued = continued_labels([long, short, other])
    assert continued[1].labels.tolist() == [0, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert continued[1].sequence_numbers.tolist() == list(range(12))
    assert continued[0] is long
    assert continued[2] is other, "nobody knows what it would have done"


def test_a_cycle_is_continued_in_invocations_where_labels_are_sparse() -> None:
    # Labels at 1, 3, 5, 7; invocations 4 to 7 repeat: after 7 come those of 4 to 7 again.
    short = labelled([0, 1, 2, 3], stride=2, first=1, cycle=(4, 4))
    long = labelled([0] * 8, stride=2, first=1)
    continued = continued_labels([short, long])[0]
    assert continued.sequence_numbers.tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert continued.labels.tolist() == [0, 1, 2, 3, 2, 3, 2, 3]
    assert spacing([short, long]) == 2.0
    assert spacing([labelled([3])]) == 1.0
