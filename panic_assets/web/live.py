"""What a running server has at hand, in one typed place: ``request.app.state.live``.

Here belongs holding things together, opening them in order and closing them in reverse.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from fastapi import Request

from panic_assets.live.archive import Archive
from panic_assets.live.boards import Boards, in_codes
from panic_assets.live.clock import Clock, SystemClock
from panic_assets.live.hub import Hub
from panic_assets.live.platforms.base import LiveModel, Platform
from panic_assets.live.runner import Runners
from panic_assets.live.secrets import Secrets
from panic_assets.live.store import Store
from panic_assets.studies.events.store import EventStore
from panic_assets.web.event_intake import EventIntake
from panic_assets.web.security.event_secret import EventSecret
from panic_assets.web.security.passwords import Passwords
from panic_assets.web.security.rates import Budgets, Places, Rates
from panic_assets.web.security.signing import Signer
from panic_assets.web.security.trainers import Trainers
from panic_assets.web.settings import Settings

#: Large requests with training events are read by these, and one commit at a time is theirs.
_EVENT_THREADS = 4
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass
class Live:
    """A running server's parts. ``closing`` is set when it begins to stop: streams end then."""

    settings: Settings
    store: Store
    hub: Hub
    runners: Runners
    catalog: Mapping[str, LiveModel]
    archive: Archive
    boards: Boards
    secrets: Secrets
    clock: Clock
    signer: Signer
    passwords: Passwords
    events: EventStore
    event_secret: Callable[[], str | None]
    event_intake: EventIntake
    event_rates: Budgets
    trainers: Trainers
    event_threads: ThreadPoolExecutor
    prompts: Rates
    streams: Places
    closing: asyncio.Event

    @staticmethod
    async def thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call something that blocks, such as a method of the store, off the event loop."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def take(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The same for training events, by threads of their own: a flood of them holds up no display."""
        return await asyncio.get_running_loop().run_in_executor(
            self.event_threads, functools.partial(function, *args, **kwargs)
        )


def live_of(request: Request) -> Live:
    """The parts of the server that answers this request."""
    live: Live = request.app.state.live
    return live


@asynccontextmanager
async def opened(
    settings: Settings,
    platforms: Mapping[str, Platform] | None,
    clock: Clock | None,
    catalog: Mapping[str, LiveModel] | None,
) -> AsyncIterator[Live]:
    """All parts, migrated and recovered; closed in reverse order at the end, runs left resumable."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        signer = Signer(await asyncio.to_thread(settings.signing_key), clock)
        store = Store(settings.database, now=clock.now)
        stack.callback(store.close)
        await asyncio.to_thread(store.migrate)
        events = EventStore(settings.events, now=clock.now)
        stack.callback(events.close)
        await asyncio.to_thread(events.migrate)
        event_threads = stack.enter_context(ThreadPoolExecutor(_EVENT_THREADS, thread_name_prefix="training-events"))
        if catalog is None:
            from panic_assets.live.catalog import load_catalog

            catalog = await asyncio.to_thread(load_catalog, None, settings.catalog_file)
        if platforms is None:
            from panic_assets.live.platforms import open_platforms

            platforms = await asyncio.to_thread(open_platforms)
        for platform in platforms.values():
            stack.push_async_callback(platform.close)
        secrets = Secrets(store, settings.folder / "secrets.key")
        archive = Archive(settings.archive, store, allow_private=settings.allow_private_addresses, clock=clock)
        hub, boards = Hub(), await _boards(store, secrets, clock, stack)
        runners = Runners(store, catalog, platforms, archive, hub, secrets.get, clock, boards)
        stack.push_async_callback(runners.close)
        live = Live(
            settings=settings,
            store=store,
            hub=hub,
            runners=runners,
            catalog=catalog,
            archive=archive,
            boards=boards,
            secrets=secrets,
            clock=clock,
            signer=signer,
            passwords=Passwords(),
            events=events,
            event_secret=EventSecret(secrets).get,
            event_intake=EventIntake(events, event_threads),
            event_rates=Budgets(settings.events_per_minute),
            trainers=Trainers(),
            event_threads=event_threads,
            prompts=Rates(settings.prompts_per_minute, 60.0),
            streams=Places(settings.streams_per_address, settings.streams),
            closing=asyncio.Event(),
        )
        stack.callback(live.closing.set)
        await runners.recover()
        yield live


async def _boards(store: Store, secrets: Secrets, clock: Clock, stack: AsyncExitStack) -> Boards:
    from panic_assets.live.platforms.vestaboard import Vestaboard, key_name

    service = Vestaboard(secrets.get, clock)
    stack.push_async_callback(service.close)

    async def write(board: str, text: str) -> object:
        # A board without a key is one that screens show alone: there is nobody to write to.
        name = key_name(board)
        has_key = (await asyncio.to_thread(secrets.origins, [name]))[name] is not None
        return await service.write(board, in_codes(text)) if has_key else None

    boards = Boards(store, write, clock)
    stack.push_async_callback(boards.close)
    await boards.refresh()
    return boards
