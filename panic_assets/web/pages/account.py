"""The page of one's own account: password, logins, API tokens.

Here belong pages alone; the API does what they ask for.
"""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import ValidationError

from panic_assets.errors import PanicError
from panic_assets.web.api import accounts as api
from panic_assets.web.api.shapes import OwnPassword, TokenIn
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import complaints, page, see
from panic_assets.web.security.callers import SCOPES, Caller, Known, Room
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

add_rules(
    {
        "GET /account": Rule("operator", None),
        "POST /account/password": Rule("operator", None, "user.password"),
        "POST /account/sessions": Rule("operator", None, "session.delete_all"),
        "POST /account/tokens": Rule("operator", None, "token.create"),
        "POST /account/tokens/{token_id}/revoke": Rule("operator", None, "token.delete"),
    }
)
router = GuardedRouter(include_in_schema=False)


@router.get("/account")
async def account(request: Request, live: Room, caller: Known) -> Response:
    """Everything of it."""
    return await _account(request, live, caller)


@router.post("/account/password")
async def change_password(request: Request, live: Room, caller: Known) -> Response:
    """Another password; everybody who is signed in as this user has to sign in again."""
    form = await request.form()
    answer = see("/login?next=/account")
    try:
        given = OwnPassword(old=str(form.get("old", "")), new=str(form.get("new", "")))
        await api.change_own_password(request, answer, given, live, caller)
    except (ValidationError, PanicError) as error:
        return await _account(request, live, caller, complaints(error))
    return answer


@router.post("/account/sessions")
async def sign_out_everywhere(request: Request, live: Room, caller: Known) -> Response:
    """End all logins, this one too."""
    answer = see("/login")
    await api.logout_everywhere(request, answer, live, caller)
    return answer


@router.post("/account/tokens")
async def create_token(request: Request, live: Room, caller: Known) -> Response:
    """A new API token, which this page shows once."""
    form = await request.form()
    days = str(form.get("days", "")).strip()
    fields = {"name": str(form.get("name", "")), "scopes": form.getlist("scope"), "days": days or None}
    try:
        made = await api.create_token(request, TokenIn.model_validate(fields), live, caller)
    except (ValidationError, PanicError) as error:
        return await _account(request, live, caller, complaints(error))
    return await _account(request, live, caller, made=made.token or "")


@router.post("/account/tokens/{token_id}/revoke")
async def revoke_token(token_id: str, live: Room, caller: Known) -> Response:
    """Let a token hold no longer."""
    await api.revoke_token(token_id, live, caller)
    return see("/account")


async def _account(
    request: Request, live: Live, caller: Caller, problems: list[str] | None = None, made: str = ""
) -> Response:
    assert caller.user is not None
    return page(
        request,
        "account.html",
        422 if problems else 200,
        user=caller.user,
        sessions=await api.list_sessions(live, caller),
        tokens=await api.list_tokens(live, caller),
        scopes=[scope for scope in SCOPES if scope != "admin" or caller.user.is_admin],
        made=made,
        problems=problems or [],
    )
