"""The hub: what happens is told to everyone who watches, in order, without ever waiting for anyone.

Here belong events in memory, places in their order, and counts of viewers. What an event says is put together by those
who publish it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from panic_assets.live.records import Event

#: Events of a topic that a viewer who was away is told; who was away for longer starts again.
KEPT = 1000
#: Events that wait for one viewer; who is slower than that starts again, so that memory stays bounded.
WAITING = 256

Kind = Literal["run", "invocation", "network", "installation"]


class Hub:
    """Events by topic. Numbers grow over all topics, and from one life of the server to the next."""

    def __init__(self) -> None:
        # Milliseconds at the start leave room for a thousand events a second until the next life.
        self._last = self._start = int(time.time() * 1000)
        self._kept: dict[str, deque[Event]] = {}
        self._forgotten: dict[str, int] = {}
        self._viewers: set[_Viewer] = set()
        self._present: Counter[str] = Counter()
        self._lock = threading.Lock()

    def publish(self, topic: str, kind: Kind, data: dict[str, Any]) -> Event:
        """Tell all who watch the topic. From any thread; never waits."""
        with self._lock:
            self._last += 1
            event = Event(self._last, topic, kind, data)
            kept = self._kept.setdefault(topic, deque(maxlen=KEPT))
            if len(kept) == KEPT:
                self._forgotten[topic] = kept[0].number
            kept.append(event)
            viewers = [viewer for viewer in self._viewers if topic in viewer.topics]
        for viewer in viewers:
            viewer.tell(event)
        return event

    async def subscribe(self, topics: Sequence[str], after: int | None = None) -> AsyncIterator[Event]:
        """Events of the topics from now on, or those after number ``after``, without a gap.

        Where the place is lost (too long ago, or the viewer too slow), the next event is of kind ``network`` with
        ``{"reload": true}``: read the state anew and go on from there.
        """
        viewer = _Viewer(frozenset(topics))
        with self._lock:  # registered and caught up under one lock: nothing is missed between the two, or told twice
            missed = self._missed(viewer.topics, after)
            self._viewers.add(viewer)
        try:
            for event in missed:
                yield event
            while True:
                yield await viewer.next()
        finally:
            with self._lock:
                self._viewers.discard(viewer)

    def place(self) -> int:
        """The number of the last event: a state that is read after asking for it holds all up to here."""
        with self._lock:
            return self._last

    def drop(self, topic: str) -> None:
        """Forget a topic, such as that of a network that was deleted."""
        with self._lock:
            self._kept.pop(topic, None)
            self._forgotten.pop(topic, None)

    def viewers(self, topic: str) -> int:
        """How many watch the topic now. A number and nothing else is known of them."""
        with self._lock:
            return self._present[topic]

    @contextmanager
    def presence(self, topic: str) -> Iterator[None]:
        """Count one viewer of the topic for as long as the block lasts."""
        with self._lock:
            self._present[topic] += 1
        try:
            yield
        finally:
            with self._lock:
                self._present[topic] -= 1
                if not self._present[topic]:
                    del self._present[topic]

    def _missed(self, topics: frozenset[str], after: int | None) -> list[Event]:
        if after is None:
            return []
        if after < self._start or after > self._last or any(after < self._forgotten.get(t, 0) for t in topics):
            return [_reload(self._last, min(topics, default=""))]
        found = [event for topic in topics for event in self._kept.get(topic, ()) if event.number > after]
        return sorted(found, key=lambda event: event.number)


class _Viewer:
    """One subscriber: a bounded queue that a thread may fill and its event loop empties."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._came = asyncio.Event()
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        with self._lock:
            if len(self._events) >= WAITING:
                self._events.clear()
                event = _reload(event.number, event.topic)
            self._events.append(event)
        if _running_loop() is self._loop:
            self._came.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._came.set)

    async def next(self) -> Event:
        while True:
            with self._lock:
                if self._events:
                    return self._events.popleft()
                self._came.clear()
            await self._came.wait()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _reload(number: int, topic: str) -> Event:
    return Event(number, topic, "network", {"reload": True})
