"""Installations and their watchers.

Here belong making and changing them; what a watcher shows is in ``live.displays``, how it is told in ``streams``.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from panic_assets.live.displays import check_watchers
from panic_assets.live.records import Installation, Watcher
from panic_assets.live.store import NotThere
from panic_assets.web.api.routing import Id, Name, router
from panic_assets.web.api.shapes import (
    InstallationChange,
    InstallationIn,
    InstallationOut,
    Order,
    WatcherOut,
    watcher_topic,
)
from panic_assets.web.errors import Problem
from panic_assets.web.live import Live
from panic_assets.web.security.callers import (
    Caller,
    Known,
    Room,
    own_installation,
    own_network,
    seen_installation,
)
from panic_assets.web.security.policy import note

installations = router("installations")


@installations.get("/api/installations")
async def list_installations(live: Room, caller: Known) -> list[InstallationOut]:
    """Every installation that the caller may see, the oldest first."""
    found = await live.thread(live.store.installations)
    return [InstallationOut.of(installation, live) for installation in found if caller.sees(installation)]


@installations.post("/api/installations", status_code=201)
async def create_installation(request: Request, new: InstallationIn, live: Room, caller: Known) -> InstallationOut:
    """A new installation that follows a network of the caller's."""
    assert caller.user is not None
    await own_network(live, caller, new.network_id)
    require_watchers(new.watchers)
    installation = await live.thread(
        live.store.create_installation, new.name, new.network_id, new.watchers, new.is_public, caller.user.id
    )
    note(request, installation.id, name=installation.name, network=installation.network_id)
    return InstallationOut.of(installation, live)


@installations.get("/api/installations/{installation_id}")
async def show_installation(installation_id: Id, live: Room, caller: Known) -> InstallationOut:
    """One installation."""
    return InstallationOut.of(await seen_installation(live, caller, installation_id), live)


@installations.patch("/api/installations/{installation_id}")
async def update_installation(
    request: Request, installation_id: Id, change: InstallationChange, live: Room, caller: Known
) -> InstallationOut:
    """Change some fields; another network moves it, and its screens follow at once."""
    await own_installation(live, caller, installation_id)
    fields = {name: getattr(change, name) for name in change.model_fields_set if getattr(change, name) is not None}
    if "network_id" in fields:
        await own_network(live, caller, fields["network_id"])
    installation = await live.thread(lambda: live.store.update_installation(installation_id, **fields))
    note(request, **fields)
    return await _changed(live, installation)


@installations.delete("/api/installations/{installation_id}", status_code=204)
async def delete_installation(installation_id: Id, live: Room, caller: Known) -> None:
    """Delete an installation; the network stays."""
    await own_installation(live, caller, installation_id)
    await live.thread(live.store.delete_installation, installation_id)
    live.hub.publish(f"installation:{installation_id}", "installation", {"id": installation_id, "reload": True})
    live.hub.drop(f"installation:{installation_id}")


@installations.put("/api/installations/{installation_id}/order")
async def reorder_watchers(installation_id: Id, order: Order, live: Room, caller: Known) -> InstallationOut:
    """Put the watchers in another order."""
    await own_installation(live, caller, installation_id)
    return await _changed(live, await live.thread(live.store.reorder_watchers, installation_id, order.names))


@installations.post("/api/installations/{installation_id}/watchers", status_code=201)
async def add_watcher(
    request: Request, installation_id: Id, watcher: Watcher, live: Room, caller: Known
) -> InstallationOut:
    """One watcher more, after the others."""
    installation = await own_installation(live, caller, installation_id)
    require_watchers([*installation.watchers, watcher])
    note(request, name=watcher.name)
    return await _changed(live, await live.thread(live.store.add_watcher, installation_id, watcher))


@installations.get("/api/installations/{installation_id}/watchers/{name}")
async def show_watcher(installation_id: Id, name: Name, live: Room, caller: Known) -> WatcherOut:
    """One watcher, and how many look at it now."""
    _, watcher = await seen_watcher(live, caller, installation_id, name)
    return WatcherOut(watcher=watcher, viewers=live.hub.viewers(watcher_topic(installation_id, name)))


@installations.put("/api/installations/{installation_id}/watchers/{name}")
async def update_watcher(
    request: Request, installation_id: Id, name: Name, watcher: Watcher, live: Room, caller: Known
) -> InstallationOut:
    """Put another watcher in the place of one; its name may be another too."""
    installation = await own_installation(live, caller, installation_id)
    require_watchers([watcher if old.name == name else old for old in installation.watchers])
    note(request, renamed=watcher.name)
    return await _changed(live, await live.thread(live.store.update_watcher, installation_id, name, watcher))


@installations.delete("/api/installations/{installation_id}/watchers/{name}")
async def delete_watcher(installation_id: Id, name: Name, live: Room, caller: Known) -> InstallationOut:
    """One watcher less."""
    await own_installation(live, caller, installation_id)
    return await _changed(live, await live.thread(live.store.remove_watcher, installation_id, name))


async def seen_watcher(live: Live, caller: Caller, installation_id: str, name: str) -> tuple[Installation, Watcher]:
    """The installation and the watcher of that name, if the caller may know of them.

    Raises:
        NotThere: there is none, or it is not the caller's to see.
    """
    installation = await seen_installation(live, caller, installation_id)
    for watcher in installation.watchers:
        if watcher.name == name:
            return installation, watcher
    raise NotThere("watcher", name)


def require_watchers(watchers: Sequence[Watcher]) -> None:
    """Do nothing if an installation can have these watchers.

    Raises:
        Problem: 422 with all that is wrong.
    """
    problems = check_watchers(watchers)
    if problems:
        raise Problem(422, "the watchers are not as they should be", "correct these fields", problems=problems)


async def _changed(live: Live, installation: Installation) -> InstallationOut:
    """Let the screens know, and the boards."""
    live.hub.publish(f"installation:{installation.id}", "installation", {"id": installation.id, "reload": True})
    if live.boards is not None:
        await live.boards.refresh()
    return InstallationOut.of(installation, live)
