"""What happens, told to browsers as server-sent events, without a gap and without a word twice.

Here belong the two streams, of a network and of a watcher. A stream begins with ``state``, all that is to be shown at
that moment, and goes on with what happens after it. Who comes back with Last-Event-ID is told what it missed; where
that is too much, it is given the ``state`` again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from panic_assets.errors import PanicError
from panic_assets.live.boards import board_text
from panic_assets.live.displays import BOARD_SIZES, slot_of, slots_of, view_of, what_board_shows
from panic_assets.live.public import public_invocation, public_run
from panic_assets.live.records import Event, Watcher
from panic_assets.web.api.installations import seen_watcher
from panic_assets.web.api.routing import Id, Name, router
from panic_assets.web.api.shapes import watcher_topic
from panic_assets.web.errors import Problem, too_many
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Caller, Known, Room, seen_network

streams = router("streams")
_log = logging.getLogger(__name__)
#: Of a run, for whoever comes late: what a page of text shows, and more than any grid has panels.
_SHOWN = 100
#: What a display that was cut off waits before it comes again, in milliseconds.
_RETRY = 2000
#: A proxy that buffers would hold every event back.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `state`, `run`, `invocation`, `network`, `installation`, each with its place as id",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
LastId = Annotated[str | None, Header(alias="last-event-id", max_length=40, description="where to go on")]


@dataclass(frozen=True)
class _View:
    """What a stream is about, as it is now: what it hears, what it shows, and the state of it."""

    topics: Sequence[str]
    counted: Sequence[str]
    state: Callable[[], Awaitable[dict[str, Any]]]
    shown: Callable[[Event], dict[str, Any] | None]


@streams.get("/api/networks/{network_id}/events", response_class=EventSourceResponse, responses=_EVENTS)
async def network_events(
    request: Request, network_id: Id, live: Room, caller: Known, last_event_id: LastId = None
) -> Response:
    """What happens in a network."""

    async def look() -> _View:
        await seen_network(live, caller, network_id)
        topic = f"network:{network_id}"
        return _View([topic], [topic], lambda: network_state(live, network_id), lambda event: event.data)

    return await _respond(live, caller, look, last_event_id)


@streams.get(
    "/api/installations/{installation_id}/watchers/{name}/events",
    response_class=EventSourceResponse,
    responses=_EVENTS,
)
async def watcher_events(
    request: Request, installation_id: Id, name: Name, live: Room, caller: Known, last_event_id: LastId = None
) -> Response:
    """What a watcher shows: invocations come with their slot. Where its installation moves, the stream moves along."""

    async def look() -> _View:
        installation, watcher = await seen_watcher(live, caller, installation_id, name)
        network = f"network:{installation.network_id}"

        def shown(event: Event) -> dict[str, Any] | None:
            if event.kind != "invocation":
                return event.data
            slot = slot_of(watcher, event.data)
            return None if slot is None else {"slot": slot, "invocation": event.data, **_on_board(watcher, event.data)}

        return _View(
            [network, f"installation:{installation_id}"],
            [network, watcher_topic(installation_id, name)],
            lambda: watcher_state(live, installation.network_id, watcher),
            shown,
        )

    return await _respond(live, caller, look, last_event_id)


async def network_state(live: Live, network_id: str) -> dict[str, Any]:
    """The latest run of a network, and the last of its invocations, in order."""
    run = await live.thread(live.store.current_run, network_id)
    found = await live.thread(live.store.last_invocations, run.id, _SHOWN) if run else []
    return {
        "network_id": network_id,
        "run": public_run(run) if run else None,
        "invocations": [public_invocation(invocation, live.catalog) for invocation in found],
    }


async def watcher_state(live: Live, network_id: str, watcher: Watcher) -> dict[str, Any]:
    """The latest run of the network that a watcher follows, and what each of its slots shows."""
    run = await live.thread(live.store.current_run, network_id)
    found = await live.thread(live.store.last_invocations, run.id, max(_SHOWN, slots_of(watcher))) if run else []
    if run and found and found[0].sequence_number > 0:
        found = [*await live.thread(live.store.invocations, run.id, -1, 1), *found]
    view = view_of(watcher, [public_invocation(invocation, live.catalog) for invocation in found])
    shown = {"network_id": network_id, "run": public_run(run) if run else None, "slots": view}
    return shown | (_on_board(watcher, view[0]) if view[0] else {})


def _on_board(watcher: Watcher, invocation: dict[str, Any]) -> dict[str, str]:
    """The text of a board as its flaps show it, for a page that looks like one; nothing for a screen."""
    text = what_board_shows(watcher, invocation)
    rows, columns = BOARD_SIZES[0]
    return {} if text is None else {"text": board_text(text, watcher.rows or rows, watcher.columns or columns)}


async def _respond(
    live: Live, caller: Caller, look: Callable[[], Awaitable[_View]], last_event_id: str | None
) -> Response:
    view = await look()
    if live.closing.is_set():
        raise Problem(503, "the server is stopping", "come again in a moment", {"Retry-After": "5"})
    if not live.streams.take(caller.address):
        raise too_many("streams", 10.0)
    return HeldStream(live, caller.address, _told(live, view, look, _place(last_event_id)))


class HeldStream(EventSourceResponse):
    """A stream that gives its place back however it ends, even if it never began."""

    def __init__(self, live: Live, address: str, events: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(events, headers=_HEADERS, ping=live.settings.heartbeat_seconds, sep="\n")
        self._live, self._address, self._events = live, address, events

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Stream, then give the place back."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.streams.give_back(self._address)
            await self._events.aclose()  # type: ignore[attr-defined]


async def _told(
    live: Live, view: _View, look: Callable[[], Awaitable[_View]], after: int | None
) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream, until the server stops, the caller may no longer see it, or its time is over."""
    ends = asyncio.get_running_loop().time() + live.settings.stream_seconds
    yield ServerSentEvent(retry=_RETRY, comment="welcome")
    while True:
        if after is None:
            after = live.hub.place()
            yield event_of("state", await view.state(), after)
        with ExitStack() as presence:
            for topic in view.counted:
                presence.enter_context(live.hub.presence(topic))
            async with aclosing(live.hub.subscribe(view.topics, after)) as events:  # type: ignore[type-var]
                while (event := await _next(live, events, ends)) is not None:
                    if event.kind in ("network", "installation"):
                        break
                    data = view.shown(event)
                    if data is not None:
                        yield event_of(event.kind, data, event.number)
        if event is None:
            return
        try:
            view = await look()
        except PanicError:
            yield event_of(event.kind, {"gone": True}, event.number)
            return
        if "reload" not in event.data or event.kind == "installation":
            yield event_of(event.kind, event.data, event.number)
        after = None


async def _next(live: Live, events: AsyncIterator[Event], ends: float) -> Event | None:
    """The next event; None where the server stops or the time is over."""
    coming = asyncio.ensure_future(anext(events))
    closing = asyncio.ensure_future(live.closing.wait())
    try:
        left = ends - asyncio.get_running_loop().time()
        await asyncio.wait((coming, closing), timeout=max(left, 0.0), return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        for task in (coming, closing):
            task.cancel()
        await asyncio.gather(coming, closing, return_exceptions=True)


def event_of(kind: str, data: dict[str, Any], number: int) -> ServerSentEvent:
    """An event as it is sent; ``number`` is the place that whoever was cut off goes on from."""
    return ServerSentEvent(json.dumps(data, separators=(",", ":")), event=kind, id=str(number), sep="\n")


def _place(last_event_id: str | None) -> int | None:
    return int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else None
