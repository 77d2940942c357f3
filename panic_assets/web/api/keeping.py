"""Running the server itself: keys of platforms, the audit log, backups, health.

Here belongs what admins do; a backup is restored while the server is down, by ``Store.restore_from``.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from typing import Annotated

from fastapi import Path as InPath
from fastapi import Query, Request
from fastapi.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from panic_assets.errors import PanicError
from panic_assets.live.platforms.settings import KEY_NAMES
from panic_assets.live.store import NotThere
from panic_assets.web.api.routing import Limit, router
from panic_assets.web.api.shapes import AuditOut, Health, SecretIn, SecretOut
from panic_assets.web.errors import Problem
from panic_assets.web.security.callers import Room
from panic_assets.web.security.policy import note

keeping = router("keeping")
SecretName = Annotated[str, InPath(pattern=r"^[A-Z][A-Z0-9_]{0,99}$", examples=["OPENAI_API_KEY"])]


@keeping.get("/api/health")
async def health(live: Room) -> Health:
    """Whether the server and its database work."""
    await live.thread(live.store.running_runs)
    return Health(ok=True, version=version("panic-assets"))


@keeping.get("/api/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, object]:
    """What the API takes and gives, as OpenAPI."""
    described: dict[str, object] = request.app.openapi()
    return described


@keeping.get("/api/secrets")
async def list_secrets(live: Room) -> list[SecretOut]:
    """The names of the keys that platforms want or that are kept, and where each comes from: never a key."""
    kept = await live.thread(live.store.secret_names)
    names = [*KEY_NAMES.values(), *(name for name in kept if name not in KEY_NAMES.values())]
    origins = await live.thread(live.secrets.origins, names)
    return [SecretOut(name=name, origin=origins[name]) for name in names]


@keeping.put("/api/secrets/{name}", status_code=204)
async def put_secret(name: SecretName, given: SecretIn, live: Room) -> None:
    """Keep a key, in place of an earlier one."""
    try:
        await live.thread(live.secrets.put, name, given.value)
    except PanicError as error:
        raise Problem(422, str(error), "correct it and send it again") from None


@keeping.delete("/api/secrets/{name}", status_code=204)
async def delete_secret(name: SecretName, live: Room) -> None:
    """Keep a key no longer; one of the environment stays."""
    if name not in await live.thread(live.store.secret_names):
        raise NotThere("secret", name)
    await live.thread(live.secrets.delete, name)


@keeping.get("/api/audit")
async def audit_log(
    live: Room, limit: Limit = 100, before: Annotated[int | None, Query(ge=0, le=2**62)] = None
) -> list[AuditOut]:
    """Who did what, the latest first."""
    return [AuditOut.of(entry) for entry in await live.thread(live.store.audit_log, limit, before)]


@keeping.get(
    "/api/backup",
    response_class=FileResponse,
    responses={200: {"content": {"application/vnd.sqlite3": {}}, "description": "One consistent SQLite file"}},
)
async def backup(request: Request, live: Room) -> Response:
    """One consistent copy of the database, while everything goes on. It holds hashes of passwords: keep it safe."""
    if live.store.path is None:
        raise Problem(409, "this database is backed up by its own server", "use pg_dump there")
    live.settings.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="backup-", dir=live.settings.folder))
    stamp = live.clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        file = await live.thread(live.store.backup_to, folder / f"panic-live-{stamp}.db")
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    note(request, file.name, bytes=file.stat().st_size)
    return _Passing(file, media_type="application/vnd.sqlite3", filename=file.name)


class _Passing(FileResponse):
    """A file alone in its folder, which is removed however the download ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.to_thread(rmtree, Path(self.path).parent, ignore_errors=True)
