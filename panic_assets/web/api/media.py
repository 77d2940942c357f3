"""Media of the archive, to browsers.

Here belong caching and parts of a file; the bytes are the archive's. A key is the hash of what it names: who knows it
has seen that, and nobody can guess one.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header, Path, Request, Response

from panic_assets.live.store import NotThere
from panic_assets.web.api.routing import router
from panic_assets.web.errors import Problem
from panic_assets.web.security.callers import Room

media = router("media")
_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{1,5}")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: What browsers may show as what it is; anything else is handed out as a file.
_SHOWN = re.compile(r"(image/(webp|avif|png|jpeg|gif)|audio/[\w.+-]+)")
_BYTES = {"schema": {"type": "string", "format": "binary"}}


@media.get(
    "/media/{key:path}",
    response_class=Response,
    responses={
        200: {"description": "The medium", "content": {"image/*": _BYTES, "audio/*": _BYTES}},
        206: {"description": "A part of it", "content": {"image/*": _BYTES, "audio/*": _BYTES}},
        304: {"description": "The browser has it"},
        416: {"description": "There is no such part"},
    },
)
async def show_medium(
    request: Request,
    live: Room,
    key: Annotated[str, Path(max_length=200, examples=["ab/ab12….webp"])],
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """A medium. What a key names never changes, so that browsers may keep it."""
    if not _KEY.fullmatch(key):
        raise NotThere("medium", key)
    archived = await live.thread(live.store.media, key)
    etag = f'"{archived.sha256}"'
    headers = {"ETag": etag, "Cache-Control": "public, max-age=31536000, immutable", "Accept-Ranges": "bytes"}
    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if not _SHOWN.fullmatch(archived.media_type):
        headers["Content-Disposition"] = "attachment"
    if if_none_match is not None and etag in {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}:
        return Response(status_code=304, headers=headers)
    wanted = range_ if range_ and if_range in (None, etag) else None
    place = None if wanted is None else part_of(wanted, archived.byte_size)
    if place is None:
        return Response(await live.archive.read(key), media_type=archived.media_type, headers=headers)
    start, end = place
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{archived.byte_size}"
    return Response(await live.archive.open_range(key, start, end), 206, headers, archived.media_type)


def part_of(wanted: str, size: int) -> tuple[int, int] | None:
    """(start, end) of the bytes that a Range header asks for; None: all, as for a header of another form.

    Raises:
        Problem: 416: nothing of that is there.
    """
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise Problem(416, f"there are {size} bytes", "ask for some of them", {"Content-Range": f"bytes */{size}"})
    return start, end
