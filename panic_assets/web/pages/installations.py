"""Pages of operators for installations: which network a place follows, and what hangs there.

Here belong pages alone; the API does what they ask for.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData

from panic_assets.errors import PanicError
from panic_assets.live.records import Installation, Watcher
from panic_assets.web.api import installations as api
from panic_assets.web.api.shapes import InstallationChange, InstallationIn, Order, watcher_topic
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import complaints, page, see
from panic_assets.web.security.callers import Caller, Known, Room, own_installation
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_see = Rule("operator", None)
add_rules(
    {
        "GET /installations": _see,
        "POST /installations": Rule("operator", None, "installation.create"),
        "GET /installations/{installation_id}": _see,
        "POST /installations/{installation_id}": Rule("operator", None, "installation.update"),
        "POST /installations/{installation_id}/delete": Rule("operator", None, "installation.delete"),
        "POST /installations/{installation_id}/watchers": Rule("operator", None, "watcher.create"),
        "POST /installations/{installation_id}/watchers/{name}": Rule("operator", None, "watcher.update"),
    }
)
router = GuardedRouter(include_in_schema=False)
_WATCHER = TypeAdapter(Watcher)
#: Which fields each kind of watcher has; what else a form sends is not meant.
_FIELDS = {
    "grid": ("rows", "columns"),
    "single": ("stride", "offsets", "show_invoking"),
    "vestaboard": ("stride", "offsets", "show_invoking", "initial_prompt", "board"),
}


@router.get("/installations")
async def list_installations(request: Request, live: Room, caller: Known) -> Response:
    """The operator's installations, and a form for one more."""
    return await _list(request, live, caller)


@router.post("/installations")
async def create_installation(request: Request, live: Room, caller: Known) -> Response:
    """One more."""
    sent = await request.form()
    try:
        new = InstallationIn.model_validate(_fields(sent))
        made = await api.create_installation(request, new, live, caller)
    except (ValidationError, PanicError) as error:
        return await _list(request, live, caller, complaints(error))
    return see(f"/installations/{made.id}")


@router.get("/installations/{installation_id}")
async def show_installation(request: Request, installation_id: str, live: Room, caller: Known) -> Response:
    """One installation and its watchers."""
    return await _one(request, live, caller, await own_installation(live, caller, installation_id))


@router.post("/installations/{installation_id}")
async def update_installation(request: Request, installation_id: str, live: Room, caller: Known) -> Response:
    """Another name, or another network: its screens go along at once."""
    installation = await own_installation(live, caller, installation_id)
    try:
        change = InstallationChange.model_validate(_fields(await request.form()))
        await api.update_installation(request, installation_id, change, live, caller)
    except (ValidationError, PanicError) as error:
        return await _one(request, live, caller, installation, complaints(error))
    return see(f"/installations/{installation_id}")


@router.post("/installations/{installation_id}/delete")
async def delete_installation(installation_id: str, live: Room, caller: Known) -> Response:
    """Remove it; the network stays."""
    await api.delete_installation(installation_id, live, caller)
    return see("/installations")


@router.post("/installations/{installation_id}/watchers")
async def add_watcher(request: Request, installation_id: str, live: Room, caller: Known) -> Response:
    """One watcher more."""
    installation = await own_installation(live, caller, installation_id)
    try:
        watcher = _watcher(await request.form())
        await api.add_watcher(request, installation_id, watcher, live, caller)
    except (ValidationError, PanicError) as error:
        return await _one(request, live, caller, installation, complaints(error))
    return see(f"/installations/{installation_id}#{watcher.name}")


@router.post("/installations/{installation_id}/watchers/{name}")
async def change_watcher(request: Request, installation_id: str, name: str, live: Room, caller: Known) -> Response:
    """Save a watcher, move it up or down among the others, or remove it."""
    installation = await own_installation(live, caller, installation_id)
    sent = await request.form()
    do = str(sent.get("do", "save"))
    try:
        if do == "remove":
            await api.delete_watcher(installation_id, name, live, caller)
        elif do in ("up", "down"):
            order = Order(names=_moved([watcher.name for watcher in installation.watchers], name, do))
            await api.reorder_watchers(installation_id, order, live, caller)
        else:
            await api.update_watcher(request, installation_id, name, _watcher(sent), live, caller)
    except (ValidationError, PanicError) as error:
        return await _one(request, live, caller, installation, complaints(error))
    return see(f"/installations/{installation_id}")


def _moved(names: list[str], name: str, do: str) -> list[str]:
    at = names.index(name) if name in names else 0
    other = at + (1 if do == "down" else -1)
    if 0 <= other < len(names):
        names[at], names[other] = names[other], names[at]
    return names


def _fields(sent: FormData) -> dict[str, Any]:
    name, network_id = (str(sent.get(field, "")) for field in ("name", "network_id"))
    return {"name": name.strip(), "network_id": network_id, "is_public": "is_public" in sent}


def _watcher(sent: FormData) -> Watcher:
    """The watcher that a form describes.

    Raises:
        ValidationError: a field holds what it can't hold.
    """
    kind = str(sent.get("kind", ""))
    values: dict[str, Any] = {"name": str(sent.get("name", "")).strip(), "kind": kind}
    for field in _FIELDS.get(kind, ()):
        text = str(sent.get(field, "")).strip()
        if field == "offsets":
            values[field] = tuple(part for part in re.split(r"[\s,;]+", text) if part)
        elif field in ("show_invoking", "initial_prompt"):
            values[field] = field in sent
        else:
            values[field] = text or None
    return _WATCHER.validate_python(values)


async def _list(request: Request, live: Live, caller: Caller, problems: list[str] | None = None) -> Response:
    assert caller.user is not None
    found = await live.thread(live.store.installations, caller.user.id)
    networks = await live.thread(live.store.networks, caller.user.id)
    names = {network.id: network.name for network in networks}
    return page(
        request,
        "installations.html",
        422 if problems else 200,
        installations=found,
        networks=networks,
        names=names,
        problems=problems or [],
    )


async def _one(
    request: Request, live: Live, caller: Caller, installation: Installation, problems: list[str] | None = None
) -> Response:
    assert caller.user is not None
    networks = await live.thread(live.store.networks, caller.user.id)
    if installation.network_id not in {network.id for network in networks}:
        networks = [await live.thread(live.store.network, installation.network_id), *networks]
    topics = {watcher.name: watcher_topic(installation.id, watcher.name) for watcher in installation.watchers}
    viewers = {name: live.hub.viewers(topic) for name, topic in topics.items()}
    return page(
        request,
        "installation.html",
        422 if problems else 200,
        installation=installation,
        networks=networks,
        viewers=viewers,
        problems=problems or [],
    )
