"""The hub: in order, without gaps, bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.live.hub import KEPT, WAITING, Hub
from panic_assets.live.records import Event


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    return [await asyncio.wait_for(anext(events), 5) for _ in range(count)]


def numbers(events: list[Event]) -> list[object]:
    return [event.data.get("n", "reload") for event in events]


def test_events_come_in_order_and_of_the_topic_alone() -> None:
    async def scene() -> None:
        hub = Hub()
        place = hub.place()
        events = hub.subscribe(["network:a"], after=place)
        for n in range(5):
            hub.publish("network:a" if n != 2 else "network:b", "invocation", {"n": n})
        assert numbers(await take(events, 4)) == [0, 1, 3, 4]

    asyncio.run(scene())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_who_was_away_misses_nothing(before: int, away: int, after: int) -> None:
    """For any number of events before, while and after a viewer is away, each comes once."""

    async def scene() -> None:
        hub = Hub()
        for n in range(before):
            hub.publish("t", "invocation", {"n": n})
        place = hub.place()
        for n in range(away):
            hub.publish("t", "invocation", {"n": before + n})
        events = hub.subscribe(["t"], after=place)
        got = await take(events, away)
        for n in range(after):
            hub.publish("t", "invocation", {"n": before + away + n})
        got += await take(events, after)
        assert numbers(got) == list(range(before, before + away + after))

    asyncio.run(scene())


def test_who_was_away_too_long_is_told_to_begin_anew() -> None:
    async def scene() -> None:
        hub = Hub()
        first = hub.publish("t", "invocation", {"n": -1})
        for n in range(KEPT + 5):
            hub.publish("t", "invocation", {"n": n})
        events = hub.subscribe(["t"], after=first.number)
        (told,) = await take(events, 1)
        assert told.data == {"reload": True}
        hub.publish("t", "invocation", {"n": "next"})
        assert numbers(await take(events, 1)) == ["next"]
        # Of another life of the server, earlier or (a wrong clock) later:
        for place in (0, told.number + 10**9):
            assert numbers(await take(hub.subscribe(["t"], after=place), 1)) == ["reload"]

    asyncio.run(scene())


def test_a_slow_viewer_costs_no_memory_and_begins_anew() -> None:
    async def scene() -> None:
        hub = Hub()
        events = hub.subscribe(["t"])
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        for n in range(WAITING * 3):
            hub.publish("t", "invocation", {"n": n})
        got = [await waiting, *await take(events, 2)]
        assert got[0].data == {"reload": True} or got[1].data == {"reload": True}
        assert len(hub._kept["t"]) == WAITING * 3
        await events.aclose()
        assert hub._viewers == set()

    asyncio.run(scene())


def test_threads_may_publish() -> None:
    async def scene() -> None:
        hub = Hub()
        events = hub.subscribe(["t"], after=hub.place())
        waiting = asyncio.ensure_future(take(events, 200))
        await asyncio.sleep(0)
        threads = [
            threading.Thread(target=lambda: [hub.publish("t", "run", {"n": 0}) for _ in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        got = await waiting
        for thread in threads:
            thread.join()
        assert [event.number for event in got] == sorted({event.number for event in got})

    asyncio.run(scene())


def test_presence_is_a_number_and_returns_to_none() -> None:
    hub = Hub()
    with hub.presence("t"), hub.presence("t"):
        assert hub.viewers("t") == 2
    assert hub.viewers("t") == 0
    assert hub._present == {}


def test_a_topic_can_be_forgotten() -> None:
    async def scene() -> None:
        hub = Hub()
        place = hub.place()
        hub.publish("t", "run", {"n": 1})
        hub.drop("t")
        hub.publish("t", "run", {"n": 2})
        assert numbers(await take(hub.subscribe(["t"], after=place), 1)) == [2]

    asyncio.run(scene())
