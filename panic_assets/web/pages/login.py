"""Signing in and out, for people.

Here belong the form and where it leads; sessions are in ``security``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request, Response

from panic_assets.web.errors import Problem
from panic_assets.web.pages.rendering import page, see
from panic_assets.web.security.callers import Known, Room
from panic_assets.web.security.cookies import drop_cookie, put_cookie
from panic_assets.web.security.login import sign_in
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

add_rules(
    {
        "GET /login": Rule("public"),
        "POST /login": Rule("public", None, is_login=True),
        "POST /logout": Rule("operator", None, "session.delete"),
    }
)
router = GuardedRouter(include_in_schema=False)


@router.get("/login")
async def show_login(request: Request, next: str = "/networks") -> Response:
    """The form."""
    return page(request, "login.html", next=_inside(next), email="", says="")


@router.post("/login")
async def login(request: Request, live: Room, caller: Known) -> Response:
    """Sign in, and go on to where one wanted to be."""
    form = await request.form()
    email, password, wanted = (str(form.get(name, "")) for name in ("email", "password", "next"))
    try:
        _, session, token = await sign_in(live, email, password, caller.address, request.headers.get("user-agent", ""))
    except Problem as problem:
        shown = page(
            request, "login.html", problem.status, next=_inside(wanted), email=email, says=f"{problem.detail}."
        )
        shown.headers.update(problem.headers)
        return shown
    answer = see(_inside(wanted))
    put_cookie(request, answer, token, session.expires_at)
    return answer


@router.post("/logout")
async def logout(request: Request, live: Room, caller: Known) -> Response:
    """Sign out here."""
    assert caller.session is not None
    await live.thread(live.store.revoke_session, caller.session.token_hash)
    answer = see("/")
    drop_cookie(request, answer)
    return answer


def _inside(address: str) -> str:
    """An address on this server, whatever was asked for: a login must not lead elsewhere."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/networks"
    is_inside = address.startswith("/") and not address.startswith("//") and not (parts.scheme or parts.netloc)
    return address if is_inside and "\\" not in address and address.isprintable() else "/networks"
