"""Fetching the bytes that an address leads to, bounded in size and time.

Here belongs HTTP. What the bytes are is found out from them by others: headers are not believed.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

import httpx2

from panic_assets.live.archive.addresses import Inside, Place, checked, parsed, shown
from panic_assets.live.archive.errors import ArchiveError, Kind
from panic_assets.live.platforms.http import certificates

_REDIRECTS = 5
_MOVED = frozenset((301, 302, 303, 307, 308))
_PASSING = frozenset((408, 425, 429))


@dataclass(frozen=True)
class Bounds:
    """What a fetch may take: bytes, also after unpacking; seconds to connect, between two parts, and in all."""

    most_bytes: int = 64 * 1024**2
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    total_seconds: float = 120.0


async def fetch(address: str, bounds: Bounds, inside: Inside = False) -> bytes:
    """The bytes at an address.

    Raises:
        ArchiveError: transient: no connection, too slow, broken off, or the server says that it is its own fault;
            permanent: gone, too large, redirected in circles, or not an address that may be fetched.
    """
    timeout = httpx2.Timeout(bounds.read_seconds, connect=bounds.connect_seconds)
    limits = httpx2.Limits(max_keepalive_connections=0)
    try:
        async with (
            asyncio.timeout(bounds.total_seconds),
            httpx2.AsyncClient(timeout=timeout, limits=limits, verify=certificates()) as client,
        ):
            url = parsed(address)
            for _ in range(_REDIRECTS + 1):
                place = await checked(url, inside)
                found = await _ask(client, place, bounds)
                if isinstance(found, bytes):
                    return found
                url = parsed(str(url.join(found)))
    except (TimeoutError, httpx2.TimeoutException):
        raise ArchiveError("transient", f"{shown(address)} is too slow") from None
    except (httpx2.RequestError, httpx2.StreamError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ArchiveError("transient", f"{shown(address)} can't be reached or broke off ({what})") from None
    except httpx2.InvalidURL as error:
        raise ArchiveError("permanent", f"{shown(address)} redirects to what is no address: {error}") from None
    raise ArchiveError("permanent", f"{shown(address)} redirects more than {_REDIRECTS} times")


async def _ask(client: httpx2.AsyncClient, place: Place, bounds: Bounds) -> bytes | str:
    """The content, or where it has moved to."""
    requests = place.requests(client)
    for number, request in enumerate(requests, start=1):
        try:
            reply = await client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if number == len(requests):
                raise
            continue
        try:
            if reply.status_code in _MOVED and "Location" in reply.headers:
                return str(reply.headers["Location"])
            return await _content(reply, place, bounds)
        finally:
            await reply.aclose()
    raise AssertionError("a checked place has a host")


async def _content(reply: httpx2.Response, place: Place, bounds: Bounds) -> bytes:
    status = reply.status_code
    if status != 200:
        kind: Kind = "transient" if status >= 500 or status in _PASSING else "permanent"
        gone = "; such addresses expire" if status in (401, 403, 404, 410) else ""
        raise ArchiveError(kind, f"{shown(place.url)} answers {status}{gone}")
    told = reply.headers.get("Content-Length", "")
    if told.isdecimal() and int(told) > bounds.most_bytes:
        raise _too_large(place, bounds)
    came = bytearray()
    # Raw, because what unpacks by itself unpacks any amount before its size can be looked at.
    async for part in reply.aiter_raw():
        came += part
        if len(came) > bounds.most_bytes:
            raise _too_large(place, bounds)
    if not came:
        raise ArchiveError("transient", f"{shown(place.url)} is empty")
    return _unpacked(bytes(came), reply.headers.get("Content-Encoding", "identity").strip().lower(), place, bounds)


def _unpacked(content: bytes, encoding: str, place: Place, bounds: Bounds) -> bytes:
    if encoding in ("", "identity"):
        return content
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ArchiveError("permanent", f"{shown(place.url)} is packed with {encoding[:20]!r}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=47)  # of gzip or zlib, as its head says
    try:
        unpacked = unpacker.decompress(content, bounds.most_bytes + 1)
    except zlib.error as error:
        raise ArchiveError("transient", f"{shown(place.url)} came damaged: {error}") from None
    if len(unpacked) > bounds.most_bytes:
        raise _too_large(place, bounds)
    if not unpacker.eof:
        raise ArchiveError("transient", f"{shown(place.url)} broke off")
    return unpacked


def _too_large(place: Place, bounds: Bounds) -> ArchiveError:
    return ArchiveError("permanent", f"{shown(place.url)} has more than {bounds.most_bytes:,} bytes")
