"""Many listeners of server-sent events at once, in one event loop of a thread of their own.

Plain sockets: what is measured is the server, not a client. Every event is kept with the time at which it came.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Heard:
    """One event as it came: ``at`` is time.perf_counter."""

    kind: str
    number: int
    data: dict[str, Any]
    at: float


@dataclass
class Listener:
    """One connection. ``status`` is that of the answer; ``is_over`` when the server ended it."""

    path: str
    headers: dict[str, str]
    status: int = 0
    heard: list[Heard] = field(default_factory=list)
    comments: int = 0
    is_over: bool = False
    task: asyncio.Task[None] | None = None

    def of(self, kind: str) -> list[Heard]:
        return [event for event in self.heard if event.kind == kind]


class Audience:
    """Listens to a server at ``url`` for as long as the block lasts."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.listeners: list[Listener] = []

    def __enter__(self) -> Audience:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self.listeners:
            self.leave(listener)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self, path: str, after: int | None = None, **headers: str) -> Listener:
        """Begin to listen; ``after`` is the place of the last event that was heard before."""
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        listener = Listener(path, headers)

        async def begin() -> None:
            listener.task = asyncio.create_task(self._hear(listener))

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result(10)
        self.listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Cut the connection, as a browser that is closed."""

        async def end() -> None:
            assert listener.task is not None
            listener.task.cancel()
            await asyncio.wait([listener.task])

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)

    async def _hear(self, listener: Listener) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**22)
        try:
            lines = [f"GET {listener.path} HTTP/1.1", f"Host: {self._host}:{self._port}", "Accept: text/event-stream"]
            lines += [f"{name}: {value}" for name, value in listener.headers.items()]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            chunked = "transfer-encoding: chunked" in head.lower()
            listener.status = int(head.split()[1])
            buffer = b""
            while chunked and (size := int((await reader.readline()).strip() or b"0", 16)):
                buffer += (await reader.readexactly(size + 2))[:-2]
                *blocks, buffer = buffer.split(b"\n\n")
                for block in blocks:
                    self._take(listener, block.decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            listener.is_over = True
            writer.close()

    @staticmethod
    def _take(listener: Listener, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        listener.comments += sum(line.startswith(":") for line in block.split("\n"))
        if "data" in fields:
            data = json.loads(fields["data"])
            listener.heard.append(Heard(fields["event"], int(fields["id"]), data, time.perf_counter()))


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"in vain: {what}"
        time.sleep(0.005)
