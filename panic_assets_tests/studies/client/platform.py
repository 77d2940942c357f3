"""A platform as a client meets it: a real HTTP server that can be down, slow, wrong or strict, or lose its answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from panic_assets.studies.client import HttpTransport

#: How a request is met: a status, or one of the words hang, drip, lose (keep the events, then break off).
Manner = int | str


class Platform:
    """Takes events once by their ids. ``manners`` are used up first, one a request; then all goes well."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.manners: list[Manner] = []
        self.headers: dict[str, str] = {}
        self.refuses: Callable[[dict[str, Any]], bool] = lambda event: False
        self.most_bytes = 2**20
        self.let_go = threading.Event()
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._ids: set[str] = set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def is_up(self) -> bool:
        return self._server is not None

    @property
    def steps(self) -> list[int]:
        """Of the events, in the order in which they came first."""
        return [event["payload"]["step"] for event in self.events]

    def transport(self, timeout: float = 5.0, **given: Any) -> HttpTransport:
        return HttpTransport(self.url, timeout=timeout, **given)

    def start(self) -> Platform:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                platform.requests.append((dict(self.headers), body))
                platform.meet(self, body)

            def log_message(self, *args: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.let_go.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def meet(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        manner = self.manners.pop(0) if self.manners else 202
        if manner == "hang":
            self.let_go.wait(30)
            request.close_connection = True
            return
        if manner == "drip":
            self._drip(request)
            return
        status, answer = self._judged(manner, body)
        if manner == "lose":
            request.close_connection = True
            return
        self._answer(request, status, answer)

    def _judged(self, manner: Manner, body: bytes) -> tuple[int, dict[str, Any]]:
        if isinstance(manner, int) and manner != 202:
            return manner, {"error": f"told to answer {manner}"}
        if len(body) > self.most_bytes:
            return 413, {"error": "too_large"}
        content = json.loads(body)
        events = content.get("events", [content])
        if any(self.refuses(event) for event in events):
            return 422, {"error": "event_construction_failed", "details": ["one of them"]}
        receipts = []
        for event in events:
            known = event["event_id"] in self._ids
            receipts.append({"event_id": event["event_id"], "status": "duplicate" if known else "accepted"})
            if not known:
                self._ids.add(event["event_id"])
                self.events.append(event)
        return 202, {"receipts": receipts}

    def _answer(self, request: BaseHTTPRequestHandler, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        request.send_response(status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _drip(self, request: BaseHTTPRequestHandler) -> None:
        """Begin an answer and never end it, a byte at a time."""
        request.send_response(202)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        try:
            while not self.let_go.wait(0.02):
                request.wfile.write(b" ")
                request.wfile.flush()
        except OSError:
            request.close_connection = True
