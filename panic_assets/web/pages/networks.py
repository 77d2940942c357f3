"""Pages of operators for their networks: the list, the form with the editor of the ring, stopping and deleting.

Here belong pages alone; the API does what they ask for.
"""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import ValidationError

from panic_assets.errors import PanicError
from panic_assets.live.networks import check_ring
from panic_assets.live.public import public_run
from panic_assets.live.records import Network
from panic_assets.web.api import networks as api
from panic_assets.web.api import runs
from panic_assets.web.api.shapes import NetworkChange, NetworkIn
from panic_assets.web.live import Live
from panic_assets.web.pages.network_form import ACTIONS, NetworkForm
from panic_assets.web.pages.rendering import complaints, page, see, stations
from panic_assets.web.security.callers import Known, Room, own_network
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules, note

_see = Rule("operator", None)
add_rules(
    {
        "GET /networks": _see,
        "GET /networks/new": _see,
        "POST /networks/new": Rule("operator", None, "network.create"),
        "POST /networks/new/ring": _see,
        "GET /networks/{network_id}/edit": _see,
        "POST /networks/{network_id}/edit": Rule("operator", None, "network.update"),
        "POST /networks/{network_id}/edit/ring": _see,
        "POST /networks/{network_id}/stop": Rule("operator", None, "network.stop"),
        "POST /networks/{network_id}/delete": Rule("operator", None, "network.delete"),
    }
)
router = GuardedRouter(include_in_schema=False)


@router.get("/networks")
async def list_networks(request: Request, live: Room, caller: Known) -> Response:
    """The operator's own networks."""
    assert caller.user is not None
    own = await live.thread(live.store.networks, caller.user.id)
    return page(request, "networks.html", networks=[await _listed(live, network) for network in own])


@router.get("/networks/new")
async def new_network(request: Request, live: Room) -> Response:
    """The form for a new one."""
    return _form(request, live, NetworkForm.fresh(), None)


@router.post("/networks/new")
async def create_network(request: Request, live: Room, caller: Known) -> Response:
    """A new network."""
    form = NetworkForm.sent(await request.form(), None)
    try:
        made = await api.create_network(request, NetworkIn.model_validate(form.fields()), live, caller)
    except (ValidationError, ValueError, PanicError) as error:
        return _form(request, live, form, None, _told(error))
    return see(f"/networks/{made.id}")


@router.post("/networks/new/ring")
async def change_new_ring(request: Request, live: Room) -> Response:
    """The form of a new one, after a button of its ring; nothing is kept."""
    return _form(request, live, NetworkForm.changed_by(await request.form(), None), None)


@router.get("/networks/{network_id}/edit")
async def edit_network(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """The form of one."""
    network = await own_network(live, caller, network_id)
    return _form(request, live, NetworkForm.of(network), network)


@router.post("/networks/{network_id}/edit")
async def update_network(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """Save it."""
    network = await own_network(live, caller, network_id)
    form = NetworkForm.sent(await request.form(), network)
    try:
        change = NetworkChange.model_validate(form.fields())
        await api.update_network(request, network_id, change, live, caller)
    except (ValidationError, ValueError, PanicError) as error:
        return _form(request, live, form, network, _told(error))
    return see(f"/networks/{network_id}/edit?saved=1")


@router.post("/networks/{network_id}/edit/ring")
async def change_ring(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """The form, after a button of its ring; nothing is kept."""
    network = await own_network(live, caller, network_id)
    return _form(request, live, NetworkForm.changed_by(await request.form(), network), network)


@router.post("/networks/{network_id}/stop")
async def stop_network(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """End what runs."""
    stopped = await runs.stop(network_id, live, caller)
    note(request, stopped=stopped.stopped)
    return see(f"/networks/{network_id}")


@router.post("/networks/{network_id}/delete")
async def delete_network(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """Remove it with its runs."""
    await api.delete_network(network_id, live, caller)
    return see("/networks")


def _told(error: Exception) -> list[str]:
    is_plain = isinstance(error, ValueError) and not isinstance(error, ValidationError)
    return [str(error)] if is_plain else complaints(error)


def _form(
    request: Request,
    live: Live,
    form: NetworkForm,
    network: Network | None,
    problems: list[str] | None = None,
) -> Response:
    return page(
        request,
        "network_form.html",
        422 if problems else 200,
        form=form,
        ring=form.ring(live.catalog),
        network=network,
        problems=problems or [],
        actions=ACTIONS,
        saved="saved" in request.query_params,
    )


async def _listed(live: Live, network: Network) -> dict[str, object]:
    run = await live.thread(live.store.current_run, network.id)
    return {
        "network": network,
        "models": stations(network.models, live.catalog),
        "problems": check_ring(network.models, live.catalog),
        "run": public_run(run) if run else None,
        "cost": run.cost if run else 0.0,
        "viewers": live.hub.viewers(f"network:{network.id}"),
    }
