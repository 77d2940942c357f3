"""The terminal: where anyone with a pass types a prompt and sees what comes of it; and the code that hands passes out.

Here belong its pages. A pass is a signed token in the address; who operates the network needs none.
"""

from __future__ import annotations

from base64 import b64encode

from fastapi import Request, Response

from panic_assets.live.public import public_invocation, public_run, stamp
from panic_assets.live.runner import BadPrompt
from panic_assets.live.store import NotThere
from panic_assets.web.api.networks import create_terminal, qr_svg
from panic_assets.web.api.runs import start
from panic_assets.web.api.shapes import TerminalIn
from panic_assets.web.errors import Problem
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import complaints, page, see, terminal_query
from panic_assets.web.security.callers import Caller, Known, Room, not_yours
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_LATEST = 24

add_rules(
    {
        "GET /networks/{network_id}/terminal": Rule("terminal", "prompt"),
        "POST /networks/{network_id}/terminal": Rule("terminal", "prompt"),
        "GET /networks/{network_id}/terminal/expired": Rule("public"),
        "GET /networks/{network_id}/qr": Rule("operator", None, "terminal.create"),
        "GET /networks/{network_id}/qr.svg": Rule("operator", None, "terminal.create"),
    }
)
router = GuardedRouter(include_in_schema=False)


@router.get("/networks/{network_id}/terminal")
async def terminal(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """The terminal of one network."""
    return await _terminal(request, live, caller, network_id)


@router.post("/networks/{network_id}/terminal")
async def prompt(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """A prompt from a browser without scripts."""
    typed = str((await request.form()).get("prompt", ""))
    try:
        await start(live, caller, network_id, typed)
    except (Problem, BadPrompt) as error:
        if isinstance(error, Problem) and error.status in (401, 403):
            raise
        return await _terminal(request, live, caller, network_id, complaints(error)[0], typed)
    return see(f"/networks/{network_id}/terminal{terminal_query(request)}")


@router.get("/networks/{network_id}/terminal/expired")
async def expired(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """A pass that has run out, or never was one. It tells no more of a private network than any address would."""
    try:
        network = await live.thread(live.store.network, network_id)
    except NotThere:
        network = None
    seen = network if network is not None and caller.sees(network) else None
    return page(request, "expired.html", network=seen)


@router.get("/networks/{network_id}/qr")
async def show_code(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """A code for visitors, which renews itself well before it runs out."""
    network = await live.thread(live.store.network, network_id)
    code = await _code(request, network_id, live, caller)
    seconds = live.settings.terminal_seconds
    image = f"data:image/svg+xml;base64,{b64encode(code).decode('ascii')}"
    refresh = max(min(seconds / 3, 300.0), 1.0)
    return page(request, "qr.html", network=network, code=image, refresh=refresh, minutes=max(seconds // 60, 1))


@router.get("/networks/{network_id}/qr.svg")
async def draw_code(request: Request, network_id: str, live: Room, caller: Known) -> Response:
    """A fresh code."""
    code = await _code(request, network_id, live, caller)
    return Response(code, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


async def _code(request: Request, network_id: str, live: Live, caller: Caller) -> bytes:
    return qr_svg((await create_terminal(request, network_id, TerminalIn(seconds=None), live, caller)).url)


async def _terminal(
    request: Request, live: Live, caller: Caller, network_id: str, says: str = "", typed: str = ""
) -> Response:
    network = await live.thread(live.store.network, network_id)
    has_pass = caller.terminal is not None and caller.terminal.lets_into(network_id)
    if not has_pass and not caller.owns(network, "prompt"):
        raise not_yours("network") if caller.sees(network) else NotThere("network", network_id)
    run = await live.thread(live.store.current_run, network_id)
    latest = await live.thread(live.store.last_invocations, run.id, _LATEST) if run else []
    return page(
        request,
        "terminal.html",
        422 if says else 200,
        network=network,
        run=public_run(run) if run else None,
        invocations=[public_invocation(one, live.catalog) for one in latest],
        token=request.query_params.get("token", "") if has_pass else "",
        query=terminal_query(request) if has_pass else "",
        expires=stamp(caller.terminal.expires_at) if has_pass and caller.terminal and not caller.user else "",
        now=stamp(live.clock.now()),
        says=says,
        typed=typed,
    )
