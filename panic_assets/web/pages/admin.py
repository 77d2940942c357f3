"""Pages of admins: all networks, people, keys of platforms, the audit log.

Here belong pages alone; the API does what they ask for.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import ValidationError

from panic_assets.errors import PanicError
from panic_assets.web.api import accounts, keeping, runs
from panic_assets.web.api.shapes import NewPassword, SecretIn, UserIn
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import complaints, page, see
from panic_assets.web.security.callers import Known, Room
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules, note

_ENTRIES = 100


def _admin(action: str | None = None) -> Rule:
    return Rule("admin", None, action)


add_rules(
    {
        "GET /admin": _admin(),
        "POST /admin/stop-all": _admin("network.stop_all"),
        "GET /admin/users": _admin(),
        "POST /admin/users": _admin("user.create"),
        "POST /admin/users/{user_id}/password": _admin("user.password"),
        "POST /admin/users/{user_id}/delete": _admin("user.delete"),
        "GET /admin/secrets": _admin(),
        "POST /admin/secrets": _admin("secret.put"),
        "POST /admin/secrets/{name}/delete": _admin("secret.delete"),
        "GET /admin/audit": _admin(),
    }
)
router = GuardedRouter(include_in_schema=False)


@router.get("/admin")
async def admin(request: Request, live: Room) -> Response:
    """All networks, what they do, and who watches."""
    people = {user.id: user.email for user in await live.thread(live.store.users)}
    shown = []
    for network in await live.thread(live.store.networks):
        status = await live.runners.status(network.id)
        viewers = live.hub.viewers(f"network:{network.id}")
        owner = people.get(network.owner_id or "", "nobody")
        shown.append({"network": network, "status": status, "viewers": viewers, "owner": owner})
    return page(request, "admin.html", networks=shown, can_back_up=live.store.path is not None)


@router.post("/admin/stop-all")
async def stop_all(request: Request, live: Room) -> Response:
    """End all runs of all networks."""
    note(request, stopped=(await runs.stop_all(live)).stopped)
    return see("/admin")


@router.get("/admin/users")
async def list_users(request: Request, live: Room) -> Response:
    """All accounts."""
    return await _users(request, live)


@router.post("/admin/users")
async def create_user(request: Request, live: Room) -> Response:
    """A new account."""
    form = await request.form()
    fields = {"email": str(form.get("email", "")), "password": str(form.get("password", ""))}
    try:
        await accounts.create_user(request, UserIn.model_validate({**fields, "is_admin": "is_admin" in form}), live)
    except (ValidationError, PanicError) as error:
        return await _users(request, live, complaints(error))
    return see("/admin/users")


@router.post("/admin/users/{user_id}/password")
async def set_password(request: Request, user_id: str, live: Room) -> Response:
    """Another password for somebody."""
    try:
        given = NewPassword(new=str((await request.form()).get("new", "")))
        await accounts.set_password(user_id, given, live)
    except (ValidationError, PanicError) as error:
        return await _users(request, live, complaints(error))
    return see("/admin/users")


@router.post("/admin/users/{user_id}/delete")
async def delete_user(request: Request, user_id: str, live: Room, caller: Known) -> Response:
    """Remove an account."""
    try:
        await accounts.delete_user(user_id, live, caller)
    except PanicError as error:
        return await _users(request, live, complaints(error))
    return see("/admin/users")


@router.get("/admin/secrets")
async def list_secrets(request: Request, live: Room) -> Response:
    """The keys of platforms, by name alone."""
    return await _secrets(request, live)


@router.post("/admin/secrets")
async def put_secret(request: Request, live: Room) -> Response:
    """Keep a key."""
    form = await request.form()
    name = str(form.get("name", "")).strip()
    try:
        await keeping.put_secret(name, SecretIn(value=str(form.get("value", ""))), live)
    except (ValidationError, PanicError) as error:
        return await _secrets(request, live, complaints(error))
    note(request, name)
    return see("/admin/secrets")


@router.post("/admin/secrets/{name}/delete")
async def delete_secret(name: str, live: Room) -> Response:
    """Keep a key no longer."""
    await keeping.delete_secret(name, live)
    return see("/admin/secrets")


@router.get("/admin/audit")
async def audit_log(
    request: Request, live: Room, before: Annotated[int | None, Query(ge=0, le=2**62)] = None
) -> Response:
    """Who did what, the latest first."""
    found = await live.thread(live.store.audit_log, _ENTRIES + 1, before)
    earlier = found[_ENTRIES - 1].number if len(found) > _ENTRIES else None
    people = {f"user:{user.id}": user.email for user in await live.thread(live.store.users)}
    return page(request, "audit.html", entries=found[:_ENTRIES], before=before, earlier=earlier, people=people)


async def _users(request: Request, live: Live, problems: list[str] | None = None) -> Response:
    users = await accounts.list_users(live)
    return page(request, "users.html", 422 if problems else 200, users=users, problems=problems or [])


async def _secrets(request: Request, live: Live, problems: list[str] | None = None) -> Response:
    secrets = await keeping.list_secrets(live)
    return page(request, "secrets.html", 422 if problems else 200, secrets=secrets, problems=problems or [])
