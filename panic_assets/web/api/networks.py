"""Networks, their models, and terminals for them.

Here belong making and changing; prompting and what runs is in ``runs``.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from panic_assets.live.networks import check_ring
from panic_assets.live.store import NotThere
from panic_assets.live.values import Medium
from panic_assets.web.api.routing import Id, router
from panic_assets.web.api.shapes import (
    Draft,
    DraftOut,
    ModelOut,
    NetworkChange,
    NetworkIn,
    NetworkOut,
    TerminalIn,
    TerminalOut,
)
from panic_assets.web.live import Live
from panic_assets.web.security.callers import (
    TERMINAL_QUERY,
    Caller,
    Known,
    Room,
    base_url,
    own_network,
    seen_network,
)
from panic_assets.web.security.policy import note

models = router("models")
networks = router("networks")


@models.get("/api/models")
async def list_models(
    live: Room, takes: Medium | None = None, gives: Medium | None = None, deprecated: bool = False
) -> list[ModelOut]:
    """The models that networks can be made of; deprecated ones only where they are asked for."""
    return [
        ModelOut.of(model)
        for model in live.catalog.values()
        if takes in (None, model.takes) and gives in (None, model.gives) and (deprecated or not model.deprecated)
    ]


@models.get("/api/models/{model_id}")
async def show_model(model_id: str, live: Room) -> ModelOut:
    """One model, deprecated or not."""
    if model_id not in live.catalog:
        raise NotThere("model", model_id)
    return ModelOut.of(live.catalog[model_id])


@models.post("/api/models/check")
async def check_models(draft: Draft, live: Room) -> DraftOut:
    """Whether a list of models can run as a ring; nothing is kept."""
    problems = check_ring(draft.models, live.catalog)
    last = live.catalog.get(draft.models[-1]) if draft.models else None
    return DraftOut(runnable=not problems, problems=problems, next_takes=last.gives if last else "text")


@networks.get("/api/networks")
async def list_networks(
    live: Room, caller: Known, mine: Annotated[bool, Query(description="only the caller's own")] = False
) -> list[NetworkOut]:
    """Every network that the caller may see, the oldest first."""
    found = await live.thread(live.store.networks)
    user_id = caller.user.id if caller.user else None
    return [
        NetworkOut.of(network, live, caller)
        for network in found
        if caller.sees(network) and (not mine or (user_id is not None and network.owner_id == user_id))
    ]


@networks.post("/api/networks", status_code=201)
async def create_network(request: Request, new: NetworkIn, live: Room, caller: Known) -> NetworkOut:
    """A new network of the caller's."""
    assert caller.user is not None
    fields = {name: getattr(new, name) for name in NetworkIn.model_fields}
    network = await live.thread(lambda: live.store.create_network(**fields, owner_id=caller.user.id))  # type: ignore[union-attr]
    note(request, network.id, name=network.name)
    return NetworkOut.of(network, live, caller)


@networks.get("/api/networks/{network_id}")
async def show_network(network_id: Id, live: Room, caller: Known) -> NetworkOut:
    """One network."""
    return NetworkOut.of(await seen_network(live, caller, network_id), live, caller)


@networks.patch("/api/networks/{network_id}")
async def update_network(
    request: Request, network_id: Id, change: NetworkChange, live: Room, caller: Known
) -> NetworkOut:
    """Change some fields. A run that goes on keeps the models it began with."""
    await own_network(live, caller, network_id)
    fields = {name: getattr(change, name) for name in change.model_fields_set if getattr(change, name) is not None}
    network = await live.thread(lambda: live.store.update_network(network_id, **fields))
    note(request, fields=sorted(fields))
    live.hub.publish(f"network:{network_id}", "network", {"id": network_id})
    return NetworkOut.of(network, live, caller)


@networks.delete("/api/networks/{network_id}", status_code=204)
async def delete_network(network_id: Id, live: Room, caller: Known) -> None:
    """Delete a network with its runs. It may not run, and no installation may follow it."""
    await own_network(live, caller, network_id)
    await live.thread(live.store.delete_network, network_id)
    live.hub.publish(f"network:{network_id}", "network", {"id": network_id, "deleted": True})
    live.hub.drop(f"network:{network_id}")


@networks.post("/api/networks/{network_id}/terminal-tokens", status_code=201)
async def create_terminal(
    request: Request, network_id: Id, wanted: TerminalIn, live: Room, caller: Known
) -> TerminalOut:
    """A token with which anyone who has it may prompt this network for a while."""
    return await _terminal(request, network_id, wanted.seconds, live, caller)


@networks.get(
    "/api/networks/{network_id}/terminal.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "A QR code"}},
)
async def draw_terminal(request: Request, network_id: Id, live: Room, caller: Known) -> Response:
    """A fresh terminal's address as a QR code, readable with a third of it covered."""
    terminal = await _terminal(request, network_id, None, live, caller)
    return Response(qr_svg(terminal.url), media_type="image/svg+xml")


async def _terminal(request: Request, network_id: str, seconds: int | None, live: Live, caller: Caller) -> TerminalOut:
    await own_network(live, caller, network_id)
    longest = live.settings.terminal_seconds
    token, terminal = live.signer.terminal(network_id, min(seconds or longest, longest))
    note(request, terminal=terminal.id, expires_at=terminal.expires_at.isoformat())
    url = f"{base_url(request)}/networks/{network_id}/terminal?{TERMINAL_QUERY}={token}"
    return TerminalOut(token=token, url=url, expires_at=terminal.expires_at)


def qr_svg(content: str) -> bytes:
    """A QR code as SVG, with error correction H."""
    from io import BytesIO

    import segno

    drawn = BytesIO()
    segno.make(content, error="h", boost_error=False, micro=False).save(drawn, kind="svg", border=4, light="#fff")
    return drawn.getvalue()
