"""A real server on a free port of this machine, with dummies for models and a data directory of its own.

``with running(folder) as server: ada = server.person("ada@example.org"); network_id = server.network(ada)``
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher

from panic_assets.live.catalog import SHIPPED, _read
from panic_assets.live.clock import Clock
from panic_assets.live.platforms.base import LiveModel, Platform
from panic_assets.live.platforms.dummy import Dummy
from panic_assets.web.app import create_app
from panic_assets.web.live import Live
from panic_assets.web.security.signing import api_token, hash_of
from panic_assets.web.serving import Server, server_of
from panic_assets.web.settings import Settings

PASSWORD = "a long enough password"
_T = TypeVar("_T")


class Person(httpx.Client):
    """A browser that somebody is signed in with; writes prove that they are its own."""

    def __init__(self, url: str, email: str | None = None) -> None:
        super().__init__(base_url=url, timeout=20, follow_redirects=False)
        if email is not None:
            answer = self.post("/api/sessions", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            self.user_id = answer.json()["user"]["id"]
            self.headers["X-CSRF-Token"] = answer.json()["csrf_token"]


@dataclass
class Running:
    """A server that answers at ``url``."""

    url: str
    app: FastAPI
    live: Live
    loop: asyncio.AbstractEventLoop
    people: list[Person] = field(default_factory=list)

    def call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine within the server's event loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def account(self, email: str, is_admin: bool = False) -> str:
        """A new account, without signing in: its id."""
        return self.live.store.create_user(email, _cheap_hash(), is_admin).id

    def person(self, email: str | None = None, is_admin: bool = False) -> Person:
        """A browser: of somebody new who is signed in, or of anyone."""
        if email is not None and self.live.store.user_by_email(email) is None:
            self.account(email, is_admin)
        self.people.append(Person(self.url, email))
        return self.people[-1]

    def program(self, user_id: str, *scopes: str) -> Person:
        """A program with a token of that user."""
        token = api_token()
        self.live.store.create_api_token(user_id, "test", hash_of(token), scopes)
        program = self.person()
        program.headers["Authorization"] = f"Bearer {token}"
        return program

    def network(self, owner: Person, **fields: Any) -> str:
        """A network of a person's that can run at once: its id."""
        wanted = {"name": "Tower", "models": ["dummy-t2t"], "lockout_seconds": 0, **fields}
        answer = owner.post("/api/networks", json=wanted)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@cache
def _cheap_hash() -> str:
    """Of `PASSWORD`, by argon2 with the least work that it takes: a test signs in many times."""
    return Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def dummies() -> dict[str, LiveModel]:
    """The shipped models that need nothing."""
    return {model.id: model for model in _read(SHIPPED) if model.platform == "dummy"}


@contextmanager
def running(
    folder: Path,
    *,
    platforms: Mapping[str, Platform] | None = None,
    catalog: Mapping[str, LiveModel] | None = None,
    clock: Clock | None = None,
    change: Callable[[FastAPI], None] | None = None,
    port: int = 0,
    **settings: Any,
) -> Iterator[Running]:
    """A server for as long as the block lasts; ``settings`` are fields of `Settings`, ``port`` 0 takes a free one."""
    app = create_app(
        Settings(**{"data": folder, "login_window_seconds": 900, **settings}),
        platforms={"dummy": Dummy()} if platforms is None else platforms,
        catalog=dummies() if catalog is None else catalog,
        clock=clock,
    )
    if change is not None:
        change(app)
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port may be taken again at once
        door.bind(("127.0.0.1", port))
        door.listen(1024)
        port = door.getsockname()[1]
        server = server_of(app, "127.0.0.1", port, log_level="warning", lifespan="on")
        loops: list[asyncio.AbstractEventLoop] = []
        is_up = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, door, loops, is_up), daemon=True)
        thread.start()
        while not is_up.wait(0.01):
            assert thread.is_alive(), "the server did not start; see its log"
        found = Running(f"http://127.0.0.1:{port}", app, app.state.live, loops[0])
        try:
            yield found
        finally:
            for person in found.people:
                person.close()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server does not stop"


def _serve(server: Server, door: socket.socket, loops: list[asyncio.AbstractEventLoop], is_up: threading.Event) -> None:
    async def told() -> None:
        loops.append(asyncio.get_running_loop())
        serving = asyncio.create_task(server.serve([door]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        if server.started:
            is_up.set()
        await serving

    asyncio.run(told())
