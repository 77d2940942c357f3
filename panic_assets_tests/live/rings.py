"""Parts of tests of live rings: a clock that jumps, a platform that does what it is told, an archive in memory."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from panic_assets.live.hub import Hub
from panic_assets.live.platforms.base import Answer, Call, LiveModel, PlatformError
from panic_assets.live.records import Invocation
from panic_assets.live.runner import Runners
from panic_assets.live.store import Store
from panic_assets.live.values import Archived, Value

BEGINNING = datetime(2026, 3, 1, 9, tzinfo=UTC)


class JumpingClock:
    """Stands still until it is moved; who sleeps wakes in order of time."""

    def __init__(self) -> None:
        self._now = BEGINNING
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), self._count, future))
        await future

    @property
    def sleeping(self) -> int:
        return sum(not future.done() for _, _, future in self._sleepers)

    def jump(self, seconds: float | None = None) -> None:
        """To the next who wakes, or by so many seconds, waking all on the way."""
        self._sleepers = [entry for entry in self._sleepers if not entry[2].done()]
        heapq.heapify(self._sleepers)
        until = self._sleepers[0][0] if seconds is None else self._now + timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= until:
            wakes, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, wakes)
            if not future.done():
                future.set_result(None)
        self._now = until


@dataclass
class Scripted:
    """A platform that answers as ``answer`` says and remembers every call, and whether it was cancelled."""

    answer: Callable[[Call], Awaitable[Answer]]
    bills: bool = True
    name: str = "scripted"
    calls: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)

    async def invoke(self, call: Call) -> Answer:
        what = f"{call.model.id}({call.input.text if call.input.medium == 'text' else call.input.medium})"
        (self.resumed if call.resume else self.calls).append(what)
        try:
            return await self.answer(call)
        except asyncio.CancelledError:
            self.cancelled.append(what)
            raise

    async def close(self) -> None:
        pass


class Shelf:
    """An archive in memory, which may be told to fail so many times."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.held: dict[str, bytes] = {}

    async def keep(self, value: Value) -> Archived:
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is away")
        data = value.data or b""
        digest = hashlib.sha256(data).hexdigest()
        key = f"{digest[:2]}/{digest}.webp"
        self.held[key] = data
        kind = value.media_type or "image/webp"
        return Archived(key, value.medium, kind, digest, len(data), digest, len(data), kind)

    async def read(self, key: str) -> bytes:
        return self.held[key]


class Board:
    """Remembers what it was shown; ``when`` says what it wants."""

    def __init__(self, when: Callable[[Invocation], bool]) -> None:
        self.when = when
        self.shown: list[tuple[int, str]] = []

    def show(self, invocation: Invocation) -> bool:
        if self.when(invocation):
            self.shown.append((invocation.sequence_number, invocation.state))
            return True
        return False


async def echo(call: Call) -> Answer:
    """Text of an image is its content; an image of a text holds it."""
    if call.model.gives == "text":
        source = call.input.text if call.input.medium == "text" else (call.input.data or b"").decode()
        return Answer(Value("text", text=f"{source}."), cost=0.01)
    return Answer(Value("image", data=(call.input.text or "").encode(), media_type="image/webp"), cost=0.01)


def failing(*kinds: str, then: Callable[[Call], Awaitable[Answer]] = echo) -> Callable[[Call], Awaitable[Answer]]:
    """Fails with these kinds of error, one call after the other, then does as ``then``."""
    left = list(kinds)

    async def answer(call: Call) -> Answer:
        if left:
            raise PlatformError(left.pop(0), "as told")  # type: ignore[arg-type]
        return await then(call)

    return answer


CATALOG = {
    model.id: model
    for model in (
        LiveModel("paint", "Paint", "scripted", "paint", "text", "image"),
        LiveModel("tell", "Tell", "scripted", "tell", "image", "text"),
        LiveModel("reword", "Reword", "scripted", "reword", "text", "text"),
    )
}


class Threads:
    """Counts the calls of an event loop that are under way in threads, until the loop has their results."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._under_way: set[asyncio.Future[Any]] = set()
        hand_over = loop.run_in_executor

        def counted(*arguments: Any) -> asyncio.Future[Any]:
            future = hand_over(*arguments)
            self._under_way.add(future)
            future.add_done_callback(self._under_way.discard)
            return future

        loop.run_in_executor = counted  # type: ignore[assignment,method-assign]

    @property
    def busy(self) -> bool:
        return bool(self._under_way)


@dataclass
class Stage:
    """A store on disk, one platform, and runners over both."""

    store: Store
    clock: JumpingClock
    hub: Hub
    platform: Scripted
    runners: Runners
    shelf: Shelf
    threads: Threads

    async def settle(self) -> None:
        """Until every run rests or hangs in a call; real threads work at the store meanwhile."""
        quiet = 0
        while quiet < 8:
            await asyncio.sleep(0)
            if self.threads.busy:
                await asyncio.sleep(0.0005)
            quiet = 0 if self.threads.busy else quiet + 1

    async def rounds(self, count: int) -> None:
        """Let ``count`` rests pass."""
        for _ in range(count):
            await self.settle()
            if self.clock.sleeping:
                self.clock.jump()
        await self.settle()

    def network(self, models: tuple[str, ...] = ("paint", "tell"), **fields: Any) -> str:
        return self.store.create_network("Ring", models=models, **fields).id


def stage(folder: Path, answer: Callable[[Call], Awaitable[Answer]] = echo, **more: Any) -> Stage:
    """To be called within an event loop."""
    clock = more.pop("clock", None) or JumpingClock()
    store = Store(f"sqlite:///{folder / 'live.db'}", now=clock.now)
    store.migrate()
    hub, shelf = Hub(), more.pop("shelf", None) or Shelf()
    platform = Scripted(answer, bills=more.pop("bills", True))
    runners = Runners(store, CATALOG, {"scripted": platform}, shelf, hub, lambda name: "", clock, **more)
    return Stage(store, clock, hub, platform, runners, shelf, Threads())
