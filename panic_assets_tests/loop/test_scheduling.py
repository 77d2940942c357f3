"""The scheduler's rules one by one, and what must hold whatever is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.loop.scheduling import Scheduler, Want, Work, groups_of_networks
from panic_assets.models.entry import ModelEntry
from panic_assets_tests.loop.parts import registry


def _entries(**memory_gb: float) -> dict[str, ModelEntry]:
    """Models with weights of their own."""
    plain = registry()["DummyT2T"]
    return {
        name: plain.model_copy(update={"name": name, "revision": name, "memory_gb": gb})
        for name, gb in memory_gb.items()
    }


def _scheduler(entries: Mapping[str, ModelEntry], *devices: tuple[float | None, int], size: int = 2) -> Scheduler[str]:
    made: Scheduler[str] = Scheduler(entries, devices or [(None, 1)], lambda model, device: size)
    made.expect(entries)
    return made


def _held(entries: Mapping[str, ModelEntry], *names: str) -> dict[str, float]:
    return {entries[name].load_identity: entries[name].memory_gb for name in names}


def _add(scheduler: Scheduler[str], model: str, *items: str, step: int = 0, alone: bool = False) -> None:
    for item in items:
        scheduler.add(Want(model), item, step, alone)


def _take(scheduler: Scheduler[str], device: int = 0) -> Work[str]:
    work = scheduler.take(device)
    assert work is not None
    return work


def test_the_runs_that_are_furthest_behind_come_first() -> None:
    entries = _entries(A=1)
    scheduler = _scheduler(entries)
    _add(scheduler, "A", "late", step=5)
    _add(scheduler, "A", "early", step=1)
    _add(scheduler, "A", "middle", step=3)
    assert _take(scheduler).items == ("early", "middle")


def test_a_full_batch_comes_before_a_partial_one_that_is_further_behind() -> None:
    entries = _entries(A=1, B=1)
    scheduler = _scheduler(entries)
    _add(scheduler, "A", "a", step=0)
    _add(scheduler, "B", "b1", "b2", step=1)
    work = _take(scheduler)
    assert (work.want.model, work.items) == ("B", ("b1", "b2"))
    scheduler.done(work, _held(entries, "B"))
    assert _take(scheduler).items == ("a",)


def test_a_partial_batch_waits_while_answers_are_taken_in() -> None:
    entries = _entries(A=1)
    scheduler = _scheduler(entries)
    _add(scheduler, "A", "a1", "a2", "a3")
    work = _take(scheduler)
    scheduler.done(work, _held(entries, "A"))
    scheduler.settling = 1
    assert scheduler.take(0) is None
    _add(scheduler, "A", "a4")
    assert _take(scheduler).items == ("a3", "a4")


def test_a_partial_batch_waits_while_the_device_is_busy_with_another_model() -> None:
    entries = _entries(A=1, B=1)
    scheduler = _scheduler(entries, (None, 2))
    _add(scheduler, "A", "a1", "a2", "a3")
    _add(scheduler, "B", "b1", "b2")
    first, second = _take(scheduler), _take(scheduler)
    assert {first.want.model, second.want.model} == {"A", "B"}, "two models compute at once"
    assert scheduler.take(0) is None, "no third lane"
    scheduler.done(first, _held(entries, "A", "B"))
    assert scheduler.take(0) is None, "what is left is partial, and the answers of B may fill it"
    scheduler.done(second, _held(entries, "A", "B"))
    assert _take(scheduler).items == ("a3",)


def test_models_that_fit_stay_and_no_load_is_made_twice() -> None:
    entries = _entries(A=2, B=1)
    scheduler = _scheduler(entries, (3.0, 1))
    loaded: dict[str, float] = {}
    for step in range(10):
        _add(scheduler, "AB"[step % 2], "x", "y", step=step)
        work = _take(scheduler)
        assert work.release == ()
        loaded |= _held(entries, work.want.model)
        scheduler.done(work, loaded)


def test_a_model_that_does_not_fit_comes_when_nothing_else_is_left_for_the_loaded_one() -> None:
    entries = _entries(A=2, B=2)
    scheduler = _scheduler(entries, (3.0, 1))
    _add(scheduler, "A", *"abc", step=4)
    _add(scheduler, "B", *"xyz", step=0)
    first = _take(scheduler)
    assert first.want.model == "B"
    scheduler.done(first, _held(entries, "B"))
    second = _take(scheduler)
    assert (second.want.model, second.items) == ("B", ("z",)), "the load is used up, partial batch included"
    scheduler.done(second, _held(entries, "B"))
    third = _take(scheduler)
    assert (third.want.model, third.release) == ("A", (entries["B"].load_identity,))


def test_what_is_wanted_no_more_goes_first() -> None:
    entries = _entries(Old=1, A=1, B=1)
    scheduler = _scheduler(entries, (2.0, 1))
    _add(scheduler, "A", "a1", "a2")
    work = _take(scheduler)
    scheduler.done(work, _held(entries, "A", "Old"))
    scheduler.expect(["A", "B"])
    _add(scheduler, "B", "b1", "b2")
    assert _take(scheduler).release == (entries["Old"].load_identity,)


def test_a_lost_device_is_taken_to_hold_nothing() -> None:
    entries = _entries(A=2, B=2)
    scheduler = _scheduler(entries, (3.0, 1))
    _add(scheduler, "A", "a1", "a2")
    work = _take(scheduler)
    scheduler.done(work, {})
    _add(scheduler, "B", "b1", "b2")
    assert _take(scheduler).release == ()


def test_an_idle_device_loads_what_another_has_only_for_a_full_batch() -> None:
    entries = _entries(A=1)
    scheduler = _scheduler(entries, (2.0, 1), (2.0, 1))
    _add(scheduler, "A", "a1", "a2", "a3", "a4")
    first, second = _take(scheduler, 0), _take(scheduler, 1)
    assert (first.items, second.items) == (("a1", "a2"), ("a3", "a4"))
    scheduler.done(first, _held(entries, "A"))
    scheduler.done(second, {})
    _add(scheduler, "A", "a5")
    scheduler.settling = 1
    assert scheduler.take(1) is None
    scheduler.settling = 0
    assert _take(scheduler, 0).items == ("a5",)


def test_what_is_asked_alone_goes_alone() -> None:
    scheduler = _scheduler(_entries(A=1))
    _add(scheduler, "A", "bad", alone=True)
    _add(scheduler, "A", "a1", "a2")
    assert _take(scheduler).items == ("bad",)


def test_a_model_of_unknown_batch_size_is_probed_before_it_is_given_items() -> None:
    entries, sizes = _entries(A=1), dict[str, int]()
    scheduler: Scheduler[str] = Scheduler(entries, [(None, 1)], lambda model, device: sizes.get(model))
    _add(scheduler, "A", "a1", "a2", "a3")
    work = _take(scheduler)
    assert (work.size, work.items, len(scheduler), scheduler.first(work.want)) == (None, (), 3, "a1")
    sizes["A"] = 2
    scheduler.done(work, None)
    assert _take(scheduler).items == ("a1", "a2")


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 5), st.booleans()), max_size=40),
    st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 6)), st.integers(1, 3)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_everything_asked_is_given_once_and_memory_is_kept_to(
    asked: list[tuple[str, int, bool]], devices: list[tuple[int | None, int]], size: int, chance: Any
) -> None:
    entries = _entries(A=1, B=2, C=3)
    memory = {entry.load_identity: entry.memory_gb for entry in entries.values()}
    scheduler: Scheduler[int] = Scheduler(entries, [(c, n) for c, n in devices], lambda model, device: size)
    scheduler.expect(entries)
    held = [dict[str, float]() for _ in devices]
    given_out: Counter[int] = Counter()
    under_way: list[Work[int]] = []
    waiting = list(enumerate(asked))
    while waiting or under_way or len(scheduler):
        while waiting and chance.random() < 0.7:
            number, (model, step, alone) = waiting.pop()
            scheduler.add(Want(model), number, step, alone)
        for device in chance.sample(range(len(devices)), len(devices)):
            while (work := scheduler.take(device)) is not None:
                assert 0 < len(work.items) <= size
                given_out.update(work.items)
                under_way.append(work)
                for key in work.release:
                    assert held[device].pop(key, None) is not None, "only what is there can be let go"
                weights = entries[work.want.model].load_identity
                held[device][weights] = memory[weights]
                capacity = devices[device][0]
                assert capacity is None or len(held[device]) == 1 or sum(held[device].values()) <= capacity
        assert under_way or waiting or not len(scheduler), "a device stands idle though something waits"
        if under_way:
            work = under_way.pop(chance.randrange(len(under_way)))
            scheduler.done(work, held[work.device])
    assert given_out == Counter(range(len(asked)))


@given(
    st.dictionaries(
        st.text("abcdefg", min_size=1, max_size=4), st.sets(st.sampled_from("ABCDE"), min_size=1), max_size=8
    ),
    st.one_of(st.none(), st.floats(1, 20)),
    st.integers(1, 40),
)
def test_each_network_is_in_one_group(rings: dict[str, set[str]], capacity: float | None, enough: int) -> None:
    memory = {"A": 1.0, "B": 2.0, "C": 4.0, "D": 8.0, "E": 16.0}
    runs = dict.fromkeys(rings, 10)
    groups = groups_of_networks(rings, runs, memory, capacity, enough)
    assert Counter(network for group in groups for network in group) == Counter(list(rings))
    for group in groups:
        needed = sum(memory[model] for model in set().union(*(rings[network] for network in group)))
        first = rings[group[0]]
        largest = max(first, key=lambda model: memory[model])
        is_tight = capacity is not None and sum(memory[model] for model in first) > capacity
        assert capacity is None or needed <= capacity or (is_tight and all(largest in rings[n] for n in group))
        assert len(group) == 1 or 10 * (len(group) - 1) < enough
