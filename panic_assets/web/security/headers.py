"""Headers that make browsers careful, on every answer.

Here belongs the outermost layer of the application; it knows no routes.
"""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: All that pages load is from this server, scripts and styles from files alone.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a terminal's token is in its address
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def allow_framing(request: Request) -> None:
    """Let the origins of ``frame_ancestors`` show this page within theirs. For watchers, which take no input."""
    request.state.may_be_framed = True


class Headers:
    """Adds the headers; what a route set itself stays."""

    def __init__(self, app: ASGIApp, ancestors: tuple[str, ...] = (), is_secure: bool = False) -> None:
        self._app, self._is_secure = app, is_secure
        self._framed = " ".join(ancestors) or "'none'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                may_be_framed = scope.get("state", {}).get("may_be_framed", False)
                ancestors = self._framed if may_be_framed else "'none'"
                headers.setdefault("Content-Security-Policy", _POLICY.format(ancestors=ancestors))
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                if ancestors == "'none'":
                    headers.setdefault("X-Frame-Options", "DENY")
                if self._is_secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class BodyLimit:
    """Refuses a request whose body is larger than ``most`` bytes, told or not."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from panic_assets.web.errors import Problem

        too_large = Problem(413, f"the request is larger than {self._most} bytes", "send less")
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > self._most:
            await too_large.response()(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self._most:
                from fastapi import HTTPException

                raise HTTPException(413, too_large.detail)
            return message

        await self._app(scope, counted, send)
