"""Styles and scripts, served from the package as they are: there is no build step.

Here belongs handing files out and the mark of the present version, by which screens know that they are old.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.metadata import version
from typing import Annotated

from fastapi import Header, Response

from panic_assets.live.store import NotThere
from panic_assets.web.security.policy import GuardedRouter, Rule, add_rules

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
#: Browsers ask each time whether a file is still the same: pages and scripts of two versions never meet.
_CACHING = "no-cache"

add_rules({"GET /static/build": Rule("public"), "GET /static/{name}": Rule("public")})
router = GuardedRouter(include_in_schema=False)


@router.get("/static/build")
async def show_build() -> Response:
    """The mark of the present version."""
    return Response(build(), media_type="text/plain", headers={"Cache-Control": "no-store"})


@router.get("/static/{name}")
async def show_file(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """One style, script or drawing."""
    if name not in _files():
        raise NotThere("file", name)
    data, etag = _files()[name]
    headers = {"ETag": etag, "Cache-Control": _CACHING}
    if if_none_match is not None and etag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def build() -> str:
    """Changes with the package, its styles, scripts and templates."""
    mark = hashlib.blake2b(version("panic-assets").encode(), digest_size=8)
    for name, (data, _) in sorted(_files().items()):
        mark.update(name.encode() + data)
    for template in sorted((resources.files("panic_assets.web") / "templates").iterdir(), key=lambda file: file.name):
        mark.update(template.read_bytes())
    return mark.hexdigest()


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    found = {}
    # Articles about studies and codecs look alike here and in reports, which bring their own style and script.
    shared = [resources.files(f"panic_assets.reports.{room}") / "shared" for room in ("study", "codec")]
    for file in (
        *(resources.files("panic_assets.web") / "static").iterdir(),
        *(file for folder in shared for file in folder.iterdir()),
    ):
        if file.name.rpartition(".")[2] in _TYPES:
            data = file.read_bytes()
            found[file.name] = data, f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    return found
