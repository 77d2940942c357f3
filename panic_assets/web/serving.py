"""Serving the application until it is told to stop, and stopping without leaving anyone waiting.

Here belongs the server around the application.
"""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from panic_assets.web.settings import Settings

#: Streams end at once; a call that is under way may take so long to let go.
_FAREWELL_SECONDS = 20


class Server(uvicorn.Server):
    """Ends streams as soon as it begins to stop; without that it would wait for them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop."""
        app: Any = self.config.app
        if getattr(app.state, "live", None) is not None:
            app.state.live.closing.set()
        await super().shutdown(sockets)


def server_of(app: FastAPI, host: str, port: int, **more: Any) -> Server:
    """A server of an application; ``port`` 0 takes a free one."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        proxy_headers=False,  # the application itself knows whom to believe
        server_header=False,
        access_log=False,  # would write down the tokens of terminals, which are in addresses
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
        **more,
    )
    return Server(config)


def serve(settings: Settings, host: str = "127.0.0.1", port: int = 8080, **more: Any) -> None:
    """Serve until a signal comes (SIGINT, SIGTERM)."""
    from panic_assets.web.app import create_app

    server_of(create_app(settings), host, port, **more).run()
