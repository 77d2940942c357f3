from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.devices.base import Call
from panic_assets.devices.sharing import RECENT_CALLS, Desk, Job
from panic_assets.models.registry import load_registry

REGISTRY = load_registry()
ENTRIES = list({entry.load_identity: entry for entry in REGISTRY.values()}.values())[:3]
A, B, C = (entry.load_identity for entry in ENTRIES)


def job(client: int, number: int, model: int = 0, release: tuple[str, ...] = ()) -> Job:
    return Job(client, number, Call(ENTRIES[model], ("x",), (0,), release=release))


def finish(desk: Desk, job: Job, capacity: int = 1) -> None:
    """As a device with room for so many models."""
    resident = dict.fromkeys([*desk.resident, job.weights], 1.0)
    resident[job.weights] = resident.pop(job.weights)
    desk.done(job, dict(list(resident.items())[-capacity:]))


def drain(desk: Desk) -> list[tuple[int, int]]:
    order = []
    while (taken := desk.take()) is not None:
        order.append((taken.client, taken.number))
        finish(desk, taken)
    return order


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)) | st.none(), max_size=80),
    patience=st.integers(1, 5),
    lanes=st.integers(1, 3),
)
def test_every_call_begins_once_and_no_oldest_call_waits_too_long(
    steps: list[tuple[int, int] | None], patience: int, lanes: int
) -> None:
    desk = Desk(patience)
    waiting: dict[int, list[int]] = defaultdict(list)
    passed: dict[int, int] = {}  # others begun since a client's oldest call became that
    computing: list[Job] = []
    begun = []

    def take() -> None:
        if len(computing) == lanes:
            finish(desk, computing.pop(0))
        taken = desk.take()
        if taken is None:
            assert not any(waiting.values())
            return
        begun.append((taken.client, taken.number))
        computing.append(taken)
        was_oldest = waiting[taken.client][0] == taken.number
        waiting[taken.client].remove(taken.number)
        for client in passed:
            passed[client] += 1
        if was_oldest:
            passed[taken.client] = 0
        clients = 4  # at most
        assert all(passed[client] <= (patience + 1) * clients - 1 for client, jobs in waiting.items() if jobs)

    for number, step in enumerate(steps):
        if step is None:
            take()
        else:
            client, model = step
            if not waiting[client]:
                passed[client] = 0
            waiting[client].append(number)
            desk.put(job(client, number, model))
    while any(waiting.values()):
        take()
    assert sorted(number for _, number in begun) == [number for number, step in enumerate(steps) if step is not None]


def test_clients_take_turns() -> None:
    desk = Desk()
    for number in range(20):
        desk.put(job(0, number))
    first = desk.take()
    assert first is not None
    desk.put(job(1, 100))
    desk.put(job(1, 101))
    finish(desk, first)
    assert drain(desk)[:4] == [(1, 100), (0, 1), (1, 101), (0, 2)]


def test_a_model_is_loaded_for_several_calls_and_not_for_ever() -> None:
    desk = Desk(patience=3)
    for number in range(12):
        desk.put(job(0, number, model=0))
        desk.put(job(1, 100 + number, model=1))
    clients = [client for client, _ in drain(desk)]
    changes = sum(one != other for one, other in pairwise(clients))
    assert changes < 6, "turns alone would change the model 23 times"
    assert 1 in clients[:7]


def test_lanes_prefer_calls_that_need_not_wait_for_one_another() -> None:
    desk = Desk()
    desk.put(job(0, 0, model=0))
    desk.put(job(0, 1, model=0))
    desk.put(job(0, 2, model=1))
    assert [taken.number for taken in (desk.take(), desk.take(), desk.take()) if taken] == [0, 2, 1]


def test_what_another_client_uses_is_not_let_go() -> None:
    desk = Desk()
    desk.put(job(0, 0, model=0))
    desk.put(job(1, 1, model=1))
    drain(desk)
    desk.put(job(0, 2, model=2, release=(A, B)))
    taken = desk.take()
    assert taken is not None
    assert taken.call.release == (A,)
    finish(desk, taken)
    desk.forget(1)
    desk.put(job(0, 3, model=2, release=(A, B)))
    taken = desk.take()
    assert taken is not None
    assert taken.call.release == (A, B)


def test_a_use_long_ago_does_not_keep_a_model() -> None:
    desk = Desk()
    desk.put(job(1, 0, model=1))
    drain(desk)
    for number in range(RECENT_CALLS):
        desk.put(job(1, number, model=0))
    drain(desk)
    desk.put(job(0, 0, model=2, release=(A, B)))
    taken = desk.take()
    assert taken is not None
    assert taken.call.release == (B,)


def test_calls_of_one_who_is_gone_do_not_begin() -> None:
    desk = Desk()
    for number in range(3):
        desk.put(job(0, number))
        desk.put(job(1, 10 + number))
    desk.forget(0)
    desk.withdraw(1, 10)
    desk.withdraw(2, 10)
    assert drain(desk) == [(1, 11), (1, 12)]
    assert (desk.waiting(), desk.computing) == (0, 0)
