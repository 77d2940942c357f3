"""Pages for anyone: networks, runs, single outputs, models.

Here belongs reading alone. What is private is 404 to who may not see it.
"""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import Query, Request, Response

from panic_assets.live.networks import check_ring
from panic_assets.live.public import public_invocation, public_run, stamp
from panic_assets.live.records import Run
from panic_assets.live.store import NotThere
from panic_assets.web.api.runs import seen_run
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import page, stations, terminal_query
from panic_assets.web.security.callers import Known, Room, seen_network
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_RUNS, _FRAMES, _SHEET, _LATEST = 8, 18, 120, 12
_FIRST = 2**31 - 1

_paths = ("/", "/networks/{network_id}", "/networks/{network_id}/gallery", "/runs/{run_id}", "/i/{invocation_id}")
add_rules({f"GET {path}": Rule("public") for path in (*_paths, "/models", "/models/{model_id}")})
router = GuardedRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request, live: Room) -> Response:
    """The networks that are shown to the public."""
    shown = []
    for network in await live.thread(lambda: live.store.networks(public_only=True)):
        run = await live.thread(live.store.current_run, network.id)
        models = stations(network.models, live.catalog)
        shown.append({"network": network, "models": models, "run": public_run(run) if run else None})
    return page(request, "home.html", networks=shown)


@router.get("/networks/{network_id}")
async def show_network(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """One network and what it does now."""
    network = await seen_network(live, caller, network_id)
    run = await live.thread(live.store.current_run, network_id)
    latest = await live.thread(live.store.last_invocations, run.id, _LATEST) if run else []
    places = await live.thread(lambda: live.store.installations(network_id=network_id))
    return page(
        request,
        "network.html",
        network=network,
        models=stations(network.models, live.catalog),
        problems=check_ring(network.models, live.catalog),
        own=caller.owns(network, "operate"),
        run=public_run(run) if run else None,
        invocations=[public_invocation(one, live.catalog) for one in latest],
        installations=[place for place in places if caller.sees(place) and place.watchers],
        viewers=live.hub.viewers(f"network:{network_id}"),
        query=terminal_query(request),
        now=stamp(live.clock.now()),
    )


@router.get("/networks/{network_id}/gallery")
async def gallery(
    request: Request,
    network_id: str,
    live: Room,
    caller: Known,
    before: Annotated[int | None, Query(ge=0, le=_FIRST)] = None,
) -> Response:
    """Past runs as film strips, the newest first."""
    network = await seen_network(live, caller, network_id)
    found = await live.thread(live.store.runs, network_id, _RUNS + 1, before)
    runs = [await _film(live, run) for run in found[:_RUNS]]
    earlier = found[_RUNS - 1].number if len(found) > _RUNS else None
    return page(request, "gallery.html", network=network, runs=runs, before=before, earlier=earlier)


@router.get("/runs/{run_id}")
async def show_run(
    request: Request,
    run_id: str,
    live: Room,
    caller: Known,
    after: Annotated[int, Query(ge=-1, le=_FIRST)] = -1,
) -> Response:
    """One run, as a contact sheet."""
    run, network = await seen_run(live, caller, run_id)
    found = await live.thread(live.store.invocations, run_id, after, _SHEET + 1)
    sheet = [public_invocation(one, live.catalog) for one in found[:_SHEET]]
    later = sheet[-1]["sequence_number"] if len(found) > _SHEET else None
    return page(
        request,
        "run.html",
        network=network,
        run=public_run(run),
        models=stations(run.models, live.catalog),
        invocations=sheet,
        after=after,
        later=later,
    )


@router.get("/i/{invocation_id}")
async def show_invocation(request: Request, invocation_id: str, live: Room, caller: Known) -> Response:
    """One output, as it stays."""
    shown = await live.thread(live.store.invocation, invocation_id)
    try:
        run, network = await seen_run(live, caller, shown.run_id)
    except NotThere:
        raise NotThere("invocation", invocation_id) from None
    around = await live.thread(live.store.invocations, shown.run_id, shown.sequence_number - 2, 3)
    number = shown.sequence_number
    return page(
        request,
        "invocation.html",
        network=network,
        run=public_run(run),
        shown=public_invocation(shown, live.catalog),
        previous=next((one for one in around if one.sequence_number < number), None),
        following=next((one for one in around if one.sequence_number > number), None),
    )


@router.get("/models")
async def list_models(request: Request, live: Room) -> Response:
    """All models, by what they take and give."""
    models = sorted(live.catalog.values(), key=lambda model: (model.takes, model.gives, model.deprecated, model.name))
    groups = [(*pair, list(found)) for pair, found in groupby(models, key=lambda model: (model.takes, model.gives))]
    return page(request, "models.html", groups=groups)


@router.get("/models/{model_id}")
async def show_model(request: Request, model_id: str, live: Room) -> Response:
    """About one model."""
    model = live.catalog.get(model_id)
    if model is None:
        raise NotThere("model", model_id)
    public = await live.thread(lambda: live.store.networks(public_only=True))
    seen_in = [network for network in public if model_id in network.models]
    homepage = model.homepage if (model.homepage or "").startswith(("https://", "http://")) else None
    return page(request, "model.html", model=model, homepage=homepage, networks=seen_in)


async def _film(live: Live, run: Run) -> dict[str, object]:
    found = await live.thread(live.store.invocations, run.id, -1, _FRAMES)
    strip = [public_invocation(one, live.catalog) for one in found]
    return {"run": public_run(run), "invocations": strip, "more": max(run.completed + run.failed - len(strip), 0)}
