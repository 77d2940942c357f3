"""A real HTTP server on this machine that speaks the chat part of OpenAI's protocol, with faults on demand.

Answers have the fields that vLLM gives. What it says is a function of the question, so that tests can tell answers
apart; faults are given beforehand and used up in the order of the requests.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

MODEL = "tiny/served"


@dataclass(frozen=True)
class Fault:
    """What is sent in place of an answer. ``body`` is text, or values to be sent as JSON; with ``cut`` nothing is."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False


def error(status: int, message: str, **headers: str) -> Fault:
    """An error as OpenAI, vLLM and SGLang send it."""
    body = {"error": {"message": message, "type": "Error", "param": None, "code": status}}
    return Fault(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def message(content: Any, reason: str = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer with that content."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": reason}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


def pictures_of(body: dict[str, Any]) -> list[np.ndarray]:
    """The pictures in a question, decoded."""
    parts = [part for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    kinds, found = [], []
    for part in parts:
        kind, encoded = part["image_url"]["url"].split(",")
        kinds.append(kind)
        found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))))
    assert set(kinds) <= {"data:image/png;base64"}
    return found


def said(body: dict[str, Any]) -> str:
    """What the server answers: a few words made from the question and, where it is warm, the seed."""
    seed = body.get("seed", 0) if body.get("temperature") else 0
    asked = json.dumps([body["messages"], seed]).encode()
    return f"it is {blake2b(asked, digest_size=4).hexdigest()}"


class ChatServer:
    """Runs from ``with`` to its end. ``bodies`` are the questions so far, ``busiest`` how many were open at once."""

    def __init__(self, *faults: Fault, key: str | None = None, listing: Fault | None = None, port: int = 0) -> None:
        self.faults, self.key, self.listing = list(faults), key, listing
        self.bodies: list[dict[str, Any]] = []
        self.arrivals: list[float] = []
        self.connections: set[tuple[str, int]] = set()
        self.busiest = self._open = 0
        self.delay = 0.0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._sockets: set[socket.socket] = set()

    def __enter__(self) -> ChatServer:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in self._sockets.copy():  # those that are kept open would be answered on
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _reply_to(self, path: str, body: dict[str, Any] | None, authorization: str | None) -> Fault:
        if self.key is not None and authorization != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {(authorization or '').removeprefix('Bearer ')}.")
        if path == "/v1/models":
            return self.listing or Fault(body={"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        if path != "/v1/chat/completions" or body is None:
            return Fault(404, {"detail": "Not Found"})
        with self._lock:
            self.bodies.append(body)
            self.arrivals.append(time.monotonic())
            fault = self.faults.pop(0) if self.faults else None
        if fault is None and body["model"] != MODEL:
            return error(404, f"The model `{body['model']}` does not exist.")
        return fault or Fault(body=message(said(body)), delay=self.delay)

    def _enter(self, change: int) -> None:
        with self._lock:
            self._open += change
            self.busiest = max(self.busiest, self._open)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer._sockets.add(self.connection)

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: dict[str, Any] | None) -> None:
                outer.connections.add(self.client_address)
                outer._enter(1)
                try:
                    reply = outer._reply_to(self.path, body, self.headers["Authorization"])
                    time.sleep(reply.delay)
                finally:
                    outer._enter(-1)
                if reply.cut:
                    self.close_connection = True
                    return
                content = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # the caller has waited long enough
                    self.close_connection = True

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler
