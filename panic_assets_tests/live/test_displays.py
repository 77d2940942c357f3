"""Watchers: what they may be, and what they show of a run however its events arrive."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.live.displays import (
    check_watcher,
    check_watchers,
    slot_of,
    slots_of,
    view_of,
    what_board_shows,
)
from panic_assets.live.pacing import next_sequence
from panic_assets.live.public import public_invocation
from panic_assets.live.records import Invocation, Run, Watcher

FIELDS = [field.name for field in fields(Invocation)]
TIME = datetime(2026, 5, 1, tzinfo=UTC)
GRID = Watcher("wall", "grid", rows=2, columns=3)
SINGLE = Watcher("left", "single", stride=3, offsets=(1,))
BOARD = Watcher("flaps", "vestaboard", stride=2, offsets=(1,), board="panic_1")
RUN = Run(
    id="run-1",
    network_id="n",
    number=1,
    prompt="a red house",
    started_by="terminal:x",
    models=("paint", "tell"),
    state="running",
    end_reason=None,
    error=None,
    lockout_until=TIME,
    completed=0,
    failed=0,
    cost=0.0,
    started_at=TIME,
    ended_at=None,
)


def invocation(number: int, state="completed", attempts: int = 1, run: Run = RUN, **more) -> Invocation:
    """Even ones paint a text, odd ones tell an image."""
    paints = number % 2 == 0
    values = {
        "id": f"{run.id}-{number}",
        "run_id": run.id,
        "network_id": "n",
        "sequence_number": number,
        "model": run.models[number % 2],
        "state": state,
        "input_medium": "text" if paints else "image",
        "input_text": f"text {number}" if paints else None,
        "input_key": None if paints else "ab/key.webp",
        "output_medium": "image" if paints else "text",
        "output_text": None if paints or state != "completed" else f"text {number + 1}",
        "output_key": "ab/key.webp" if paints and state == "completed" else None,
        "attempts": attempts,
        "created_at": TIME,
    }
    return Invocation(**{**dict.fromkeys(FIELDS), **values, **more})


def of(shown: list[Invocation | None]) -> list[int | None]:
    return [one.sequence_number if one else None for one in shown]


VALID = [
    GRID,
    SINGLE,
    BOARD,
    Watcher("A-1", "grid", rows=1, columns=1),
    Watcher("s", "single", stride=1, offsets=(0,), show_invoking=True),
    Watcher("s", "single", stride=5, offsets=(0, 2, 4)),
    replace(BOARD, initial_prompt=True, show_invoking=True),
    replace(BOARD, rows=3, columns=15),
]
INVALID = [
    (replace(GRID, name=""), ["name"]),
    (replace(GRID, name="big wall"), ["name"]),
    (replace(GRID, name="wall\n"), ["name"]),
    (replace(GRID, name="wänd"), ["name"]),
    (replace(GRID, name="a_b"), ["name"]),
    (replace(GRID, kind="hologram"), ["kind"]),
    (replace(GRID, rows=None), ["rows"]),
    (replace(GRID, columns=0), ["columns"]),
    (replace(GRID, rows=-1, columns=None), ["rows", "columns"]),
    (replace(GRID, rows=10**9), ["rows"]),
    (replace(GRID, stride=2), ["stride"]),
    (replace(GRID, offsets=(0,)), ["offsets"]),
    (replace(GRID, board="panic_1"), ["board"]),
    (replace(GRID, show_invoking=True, initial_prompt=True), ["show_invoking", "initial_prompt"]),
    (replace(SINGLE, stride=None), ["stride"]),
    (replace(SINGLE, stride=0), ["stride"]),
    (replace(SINGLE, offsets=()), ["offsets"]),
    (replace(SINGLE, offsets=(3,)), ["offsets"]),
    (replace(SINGLE, offsets=(-1,)), ["offsets"]),
    (replace(SINGLE, offsets=(1, 1)), ["offsets"]),
    (replace(SINGLE, offsets=(-1, 2, 7, 9)), ["offsets", "offsets", "offsets"]),
    (replace(SINGLE, rows=1, columns=1), ["rows", "columns"]),
    (replace(SINGLE, board="panic_1"), ["board"]),
    (replace(SINGLE, initial_prompt=True), ["initial_prompt"]),
    (replace(BOARD, board=None), ["board"]),
    (replace(BOARD, board="by the door"), ["board"]),
    (replace(BOARD, stride=None, offsets=(), board=""), ["stride", "offsets", "board"]),
    (replace(BOARD, rows=6), ["rows, columns"]),
    (replace(BOARD, rows=4, columns=20), ["rows, columns"]),
    (Watcher("", "single", rows=2), ["name", "stride", "offsets", "rows"]),
]


@pytest.mark.parametrize("watcher", VALID)
def test_what_a_watcher_may_be(watcher: Watcher) -> None:
    assert check_watcher(watcher) == []


@pytest.mark.parametrize(("watcher", "wrong"), INVALID)
def test_all_that_is_wrong_is_told_at_once_with_its_field(watcher: Watcher, wrong: list[str]) -> None:
    assert [problem.partition(":")[0] for problem in check_watcher(watcher)] == wrong


def test_watchers_together_need_names_and_boards_of_their_own() -> None:
    assert check_watchers([GRID, SINGLE, BOARD]) == []
    problems = check_watchers(
        [GRID, replace(SINGLE, name="wall"), BOARD, replace(BOARD, name="b"), Watcher("x y", "grid")]
    )
    assert [problem.partition(":")[0] for problem in problems] == ["watcher 'x y'"] * 3 + ["name", "board"]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12))
def test_a_grid_shows_everything_in_turn(number: int, rows: int, columns: int) -> None:
    grid = Watcher("g", "grid", rows=rows, columns=columns)
    assert check_watcher(grid) == []
    for state in ("ready", "invoking", "completed", "failed"):
        assert slot_of(grid, invocation(number, state)) == number % (rows * columns)


STRIDES = st.integers(1, 12).flatmap(
    lambda stride: st.tuples(st.just(stride), st.sets(st.integers(0, stride - 1), min_size=1).map(tuple))
)


@given(STRIDES, st.integers(1, 10_000), st.booleans())
def test_a_single_shows_just_its_offsets(stride_offsets, number: int, show_invoking: bool) -> None:
    stride, offsets = stride_offsets
    single = Watcher("s", "single", stride=stride, offsets=offsets, show_invoking=show_invoking)
    assert check_watcher(single) == []
    on = 0 if number % stride in offsets else None
    assert slot_of(single, invocation(number)) == slot_of(single, invocation(number, "failed")) == on
    at_work = on if show_invoking else None
    assert slot_of(single, invocation(number, "invoking")) == slot_of(single, invocation(number, "ready")) == at_work


@given(STRIDES, st.booleans(), st.sampled_from(["ready", "invoking", "completed", "failed"]))
def test_the_beginning_is_on_every_single(stride_offsets, show_invoking: bool, state: str) -> None:
    stride, offsets = stride_offsets
    single = Watcher("s", "single", stride=stride, offsets=offsets, show_invoking=show_invoking)
    assert slot_of(single, invocation(0, state)) == 0


@pytest.mark.parametrize(
    ("board", "shown"),
    [
        (BOARD, {1: "text 2", 3: "text 4"}),
        (replace(BOARD, initial_prompt=True), {0: "text 0", 1: "text 2", 3: "text 4"}),
        (replace(BOARD, offsets=(0,)), {0: "text 0"}),  # later even ones are images
        (replace(BOARD, offsets=(0, 1)), {0: "text 0", 1: "text 2", 3: "text 4"}),
        (replace(BOARD, stride=4, offsets=(3,)), {3: "text 4"}),
    ],
)
def test_a_board_shows_the_prompt_and_then_texts_that_came_out(board: Watcher, shown: dict[int, str]) -> None:
    run = [invocation(number) for number in range(5)]
    assert {one.sequence_number: text for one in run if (text := what_board_shows(board, one))} == shown
    assert {one.sequence_number for one in run if slot_of(board, one) == 0} == shown.keys()
    assert (
        what_board_shows(board, invocation(1, "invoking")) is what_board_shows(board, invocation(3, "failed")) is None
    )


def test_a_board_shows_the_prompt_before_there_is_an_output() -> None:
    first = replace(BOARD, initial_prompt=True)
    assert [what_board_shows(first, invocation(0, state)) for state in ("ready", "invoking")] == ["text 0"] * 2
    assert what_board_shows(GRID, invocation(1)) is what_board_shows(SINGLE, invocation(1)) is None


def test_who_comes_late_sees_the_run_as_it_is() -> None:
    run = [invocation(number) for number in range(8)] + [invocation(8, "invoking")]
    assert of(view_of(GRID, run)) == [6, 7, 8, 3, 4, 5]
    assert of(view_of(SINGLE, run)) == [7]
    assert of(view_of(replace(SINGLE, offsets=(2,)), run)) == [5]  # 8 is not done yet
    assert of(view_of(replace(SINGLE, offsets=(2,), show_invoking=True), run)) == [8]
    assert of(view_of(replace(SINGLE, offsets=(0, 1)), run)) == [7]
    assert of(view_of(BOARD, run)) == [7]
    assert of(view_of(SINGLE, run[:1])) == [0]
    assert view_of(GRID, []) == [None] * 6


def test_a_skipped_step_leaves_its_slot_and_moves_no_other() -> None:
    numbers = [0, 1, 2, 3, 4]
    numbers.append(next_sequence(4, 3, skipped=True))
    run = [invocation(number, "failed" if number == 4 else "completed") for number in numbers]
    wall = replace(GRID, rows=1, columns=4)
    assert numbers[-1] == 6
    assert of(view_of(wall, run)) == [4, 1, 6, 3]
    assert view_of(wall, run)[0].state == "failed"


def test_public_forms_and_records_show_alike() -> None:
    watchers = [GRID, SINGLE, BOARD, replace(BOARD, initial_prompt=True), replace(SINGLE, show_invoking=True)]
    for number in range(6):
        for state in ("ready", "invoking", "completed", "failed"):
            record = invocation(number, state)
            public = public_invocation(record, {})
            for watcher in watchers:
                assert slot_of(watcher, public) == slot_of(watcher, record)
                assert what_board_shows(watcher, public) == what_board_shows(watcher, record)


@st.composite
def histories(draw, run: Run):
    """(events in order of their happening, rows as they are at the end) of a run that may skip and may retry."""
    ring, number, events, rows = 3, 0, [], []
    for step in range(draw(st.integers(1, 9))):
        retries = draw(st.integers(0, 2))
        told = [invocation(number, "ready", 0, run)]
        for attempt in range(1, retries + 2):
            told.append(invocation(number, "invoking", attempt, run))
            told.append(invocation(number, "ready", attempt, run))
        told[-1] = invocation(number, draw(st.sampled_from(["completed", "completed", "failed"])), retries + 1, run)
        if draw(st.booleans()) and step >= 2:
            told = told[: draw(st.integers(1, len(told)))]  # as far as it has come
        events += told
        rows.append(told[-1])
        if told[-1].state not in ("completed", "failed"):
            break
        number = next_sequence(number, ring, told[-1].state == "failed")
    return events, rows


WATCHERS = st.one_of(
    st.builds(
        lambda rows, columns: Watcher("g", "grid", rows=rows, columns=columns), st.integers(1, 3), st.integers(1, 3)
    ),
    st.builds(
        lambda stride, show: Watcher("s", "single", stride=stride[0], offsets=stride[1], show_invoking=show),
        STRIDES,
        st.booleans(),
    ),
    st.builds(
        lambda stride, prompt: replace(BOARD, stride=stride[0], offsets=stride[1], initial_prompt=prompt),
        STRIDES,
        st.booleans(),
    ),
)
OTHER = replace(RUN, id="run-0", number=0)


@settings(max_examples=150, deadline=None)
@given(WATCHERS, histories(RUN), histories(OTHER), st.data())
def test_events_in_any_order_twice_and_of_other_runs_lead_to_the_view_of_the_rows(watcher, own, other, data) -> None:
    events, rows = own
    told = [event for event in events for _ in range(data.draw(st.integers(1, 2)))]
    told = data.draw(st.permutations(told + other[0]))
    expected: list[Invocation | None] = [None] * slots_of(watcher)
    for row in rows:  # in order of the run: the last one that a slot takes is what it shows
        slot = slot_of(watcher, row)
        if slot is not None:
            expected[slot] = row
    assert view_of(watcher, told, RUN.id) == expected
    assert view_of(watcher, rows + other[1], RUN.id) == expected
    public = [public_invocation(row, {}) for row in rows]
    assert view_of(watcher, public) == [shown and public_invocation(shown, {}) for shown in expected]
