"""An HTTP server that takes messages, or fails to in the ways that servers fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Taken:
    """Where the server is, and what it was sent; ``requests`` counts those that it refused, too."""

    address: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(statuses: Sequence[int | None] = (200,)) -> Iterator[Taken]:
    """Answer with these codes, one after the other, the last for ever; None hangs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses[min(taken.requests, len(statuses) - 1)]
            taken.requests += 1
            if status is None:
                taken.over.wait(60)
                return
            if status < 300:
                taken.messages.append(content)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taken = Taken(f"http://127.0.0.1:{server.server_port}/services/T0P/SECRET")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        taken.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
