"""Cycles: the detector against a search through everything that was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from panic_assets.loop.cycles import Cycle, CycleDetector


def _brute_force(ring: int, outputs: list[str]) -> tuple[int, Cycle] | None:
    """When the first repeat is seen, and the cycle."""
    for late, output in enumerate(outputs):
        for early in range(late):
            if (late - early) % ring == 0 and outputs[early] == output:
                return late, Cycle(early, late - early)
    return None


@given(st.integers(1, 4), st.lists(st.sampled_from("abcd"), max_size=40))
def test_the_first_repeat_of_place_and_output_is_the_cycle(ring: int, outputs: list[str]) -> None:
    detector = CycleDetector(ring)
    found = None
    for number, output in enumerate(outputs):
        cycle = detector.watch(number, output)
        if cycle and found is None:
            found = (number, cycle)
    assert found == _brute_force(ring, outputs)


@given(st.integers(1, 3), st.data())
def test_transient_and_length_foretell_a_deterministic_map(ring: int, data: st.DataObject) -> None:
    states = data.draw(st.integers(1, 6))
    maps = [data.draw(st.lists(st.integers(0, states - 1), min_size=states, max_size=states)) for _ in range(ring)]
    path, state = [], 0
    for number in range(4 * ring * states + 4):
        state = maps[number % ring][state]
        path.append(str(state))
    detector = CycleDetector(ring)
    cycle = next(c for number, output in enumerate(path) if (c := detector.watch(number, output)))
    for number in range(cycle.transient, len(path) - cycle.length):
        assert path[number] == path[number + cycle.length]
    assert cycle.length % ring == 0


def test_the_same_output_at_another_place_of_the_ring_is_no_repeat() -> None:
    detector = CycleDetector(2)
    assert [detector.watch(number, "same") for number in range(3)] == [None, None, Cycle(0, 2)]


def test_a_text_is_never_taken_for_a_hash() -> None:
    detector = CycleDetector(1)
    assert detector.watch(0, "0123456789abcdef") is None
    assert detector.watch(1, b"0123456789abcdef") is None
