"""The web application, put together.

Here belongs the order of its parts; each is a module beside this one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from panic_assets.live.clock import Clock
from panic_assets.live.platforms.base import LiveModel, Platform
from panic_assets.web import errors, pages
from panic_assets.web.api import (
    accounts,
    installations,
    keeping,
    media,
    ml_events,
    networks,
    runs,
    studies,
    study_stream,
)
from panic_assets.web.live import opened
from panic_assets.web.security.headers import BodyLimit, Headers
from panic_assets.web.security.policy import require_rules
from panic_assets.web.settings import Settings
from panic_assets.web.streams import streams

#: In the order in which they are described.
_API = (
    networks.networks,
    networks.models,
    runs.runs,
    streams,
    installations.installations,
    media.media,
    studies.studies,
    study_stream.study_stream,
    accounts.sessions,
    accounts.users,
    accounts.tokens,
    keeping.keeping,
    ml_events.ml_events,
)


def create_app(
    settings: Settings,
    *,
    platforms: Mapping[str, Platform] | None = None,
    clock: Clock | None = None,
    catalog: Mapping[str, LiveModel] | None = None,
) -> FastAPI:
    """The application of one server. Its parts are opened when it starts and closed when it stops.

    Args:
        settings: see there.
        platforms: None: all that there are. They are closed with the application.
        clock: None: that of this machine.
        catalog: None: the shipped one with the models of this installation.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, platforms, clock, catalog) as live:
            app.state.live = live
            yield

    app = FastAPI(
        title="PANIC! live",
        description="Rings of generative models, prompted by people and shown on screens.",
        version=version("panic-assets"),
        lifespan=lifespan,
        openapi_url=None,  # a guarded route of the API gives it
        docs_url=None,  # would load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    app.add_middleware(BodyLimit, most=settings.body_bytes)
    app.add_middleware(Headers, ancestors=settings.frame_ancestors, is_secure=settings.secure)
    for router in (*_API, pages.router):
        app.include_router(router)
    app.state.error_page = pages.error_page
    require_rules(app)
    return app
