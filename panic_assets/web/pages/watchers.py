"""Screens: one page for each watcher of an installation, made to be left on.

Here belongs the page as it is loaded; what it shows then is told by events and drawn by watch.js.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from fastapi import Request, Response

from panic_assets.web.api.installations import seen_watcher
from panic_assets.web.pages.rendering import page, terminal_query
from panic_assets.web.security.callers import Known, Room
from panic_assets.web.security.headers import allow_framing
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

add_rules({"GET /watch/{installation_id}/{name}": Rule("public")})
router = GuardedRouter(include_in_schema=False)


@router.get("/watch/{installation_id}/{name}")
async def watch(request: Request, installation_id: str, name: str, live: Room, caller: Known) -> Response:
    """One screen."""
    installation, watcher = await seen_watcher(live, caller, installation_id, name)
    allow_framing(request)
    events = f"/api/installations/{installation_id}/watchers/{name}/events{terminal_query(request)}"
    return page(
        request,
        "watch.html",
        installation=installation,
        watcher=watcher,
        settings=json.dumps(asdict(watcher)),
        events=events,
        text="",
    )
