"""The cookie of a session: how it is put and taken away.

Here belong its attributes; what it means is in ``callers``.
"""

from __future__ import annotations

from datetime import datetime

from fastapi import Request, Response

from panic_assets.web.live import live_of
from panic_assets.web.security.callers import cookie_name


def put_cookie(request: Request, response: Response, token: str | None, expires_at: datetime) -> None:
    """Let the browser keep a session; ``token`` None: the one that it sent, for longer."""
    live = live_of(request)
    value = request.cookies.get(cookie_name(live), "") if token is None else token
    seconds = int((expires_at - live.clock.now()).total_seconds())
    response.set_cookie(
        cookie_name(live), value, max_age=seconds, path="/", secure=live.settings.secure, httponly=True, samesite="lax"
    )


def drop_cookie(request: Request, response: Response) -> None:
    """Let the browser forget the session."""
    live = live_of(request)
    response.delete_cookie(cookie_name(live), path="/", secure=live.settings.secure, httponly=True, samesite="lax")
