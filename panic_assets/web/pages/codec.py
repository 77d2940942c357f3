"""Pages of codecs: which experiments they were tried on, and what that came to.

Here belong pages alone; what they show is read and drawn by ``reports.codec``.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from panic_assets.codec.rates import NotMeasured
from panic_assets.codec.verdicts import headline
from panic_assets.lake import Lake
from panic_assets.live.store import NotThere
from panic_assets.reports.codec.article import article
from panic_assets.reports.codec.contents import measured_experiments, measured_in
from panic_assets.web.live import Live
from panic_assets.web.pages.rendering import page
from panic_assets.web.security.callers import Room
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_see = Rule("operator")
add_rules({"GET /codec": _see, "GET /codec/{experiment}": _see})
router = GuardedRouter(include_in_schema=False)

_Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


@router.get("/codec")
async def list_measured(request: Request, live: Room) -> Response:
    """Experiments whose pictures codecs were tried on."""

    def found() -> list[tuple[str, str]]:
        lake = _lake(live)
        every = [measured_in(lake, name) for name in measured_experiments(lake)]
        return [(one.experiment, one.why_not or headline(one.verdicts)) for one in every]

    return page(request, "codecs.html", measured=await live.thread(found))


@router.get("/codec/{experiment}")
async def show_measured(request: Request, experiment: _Name, live: Room) -> Response:
    """What codecs make of an experiment's pictures."""
    try:
        measured = await live.thread(measured_in, _lake(live), experiment)
    except NotMeasured:
        raise NotThere("report about codecs of the experiment", experiment) from None
    return page(request, "codec.html", measured=measured, article=await live.thread(article, measured))


def _lake(live: Live) -> Lake:
    return Lake(live.settings.data / "lake")
