"""A real HTTP server that plays a platform: each path has a script of answers, the last of which stays."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What is answered: JSON values, or bytes as they are. ``hangs`` waits for the end, ``cut`` drops the line."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    cut: bool = False
    holds: threading.Event | None = None

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Upstream:
    """The scripts and what was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.scripts: dict[tuple[str, str], list[Reply]] = {}
        self.over = threading.Event()
        self.url = ""

    def plays(self, method: str, path: str, *replies: Reply) -> None:
        self.scripts[method, path] = list(replies)

    def of(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if (one.method, one.path) == (method, path)]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        script = self.scripts.get((asked.method, asked.path))
        if not script:
            return Reply({"detail": "nothing is played here"}, 404)
        return script.pop(0) if len(script) > 1 else script[0]


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._play("GET")

        def do_POST(self) -> None:
            self._play("POST")

        def _play(self, method: str) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = upstream.answer(Asked(method, self.path, headers, json.loads(sent) if sent else None))
            if reply.hangs:
                upstream.over.wait(20)
            if reply.holds is not None:
                reply.holds.wait(20)
            if reply.cut or reply.hangs:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = reply.content()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if reply.status != 304:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to the terminal."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what some tests are about."""


@contextmanager
def serving() -> Iterator[Upstream]:
    upstream = Upstream()
    server = _Server(("127.0.0.1", 0), _handler(upstream))
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        upstream.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
