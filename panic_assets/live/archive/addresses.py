"""Which addresses may be fetched: those of the web, and not those of this house.

Here belongs judging addresses. A platform, or who listens in on it, could otherwise let this server ask its own
network: a router's pages, another service, the keys that a cloud keeps for its machines.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2

from panic_assets.live.archive.errors import ArchiveError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Private networks that may be asked: all, none, or these.
Inside = bool | tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
#: Addresses of a host that are tried.
_MOST = 4
#: IPv6 addresses that end in an IPv4 address to which a gateway translates them.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Place:
    """An address that was checked. ``hosts``: what to connect to; asking for the name again could find others."""

    url: httpx2.URL
    hosts: tuple[str, ...]

    def requests(self, client: httpx2.AsyncClient) -> list[httpx2.Request]:
        """A request for each of the hosts, that asks for the name all the same."""
        name = self.url.raw_host.decode("ascii")
        headers = {"Host": self.url.netloc.decode("ascii"), "Accept": "*/*", "Accept-Encoding": "identity"}
        return [
            client.build_request(
                "GET", self.url.copy_with(host=host), headers=headers, extensions={"sni_hostname": name}
            )
            for host in self.hosts
        ]


def shown(url: httpx2.URL | str) -> str:
    """An address as an error may tell it: what follows ? is often a signature that opens it."""
    return str(url).partition("?")[0].partition("#")[0][:200]


def parsed(address: str) -> httpx2.URL:
    """An address of the web.

    Raises:
        ArchiveError: it is none, or has a name and password in it.
    """
    try:
        url = httpx2.URL(address)
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise ArchiveError("permanent", f"{shown(address)!r} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65536:
        raise ArchiveError("permanent", f"{shown(address)!r} is not fetched: only http and https addresses are")
    if url.userinfo:
        raise ArchiveError("permanent", f"an address of {url.host} is not fetched: it has a name and password in it")
    return url


async def checked(url: httpx2.URL, inside: Inside) -> Place:
    """Where a name leads, if that is outside.

    Raises:
        ArchiveError: it leads nowhere, or inside alone.
    """
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(
            url.raw_host.decode("ascii"), port, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise ArchiveError("transient", f"{url.host} can't be found: {error}") from None
    hosts = list(dict.fromkeys(str(address[4][0]) for address in found))
    allowed = [host for host in hosts if _may(ipaddress.ip_address(host.partition("%")[0]), inside)]
    if not allowed:
        raise ArchiveError(
            "permanent",
            f"{shown(url)} is not fetched: {url.host} is {', '.join(hosts) or 'nowhere'}, inside a private network. "
            "An archive that is to fetch from there is opened with allow_private",
        )
    return Place(url, tuple(allowed[:_MOST]))


def networks(inside: bool | Sequence[str]) -> Inside:
    """Private networks as they are written, such as fd12:3456::/32.

    Raises:
        ArchiveError: one is none.
    """
    if isinstance(inside, bool):
        return inside
    try:
        return tuple(ipaddress.ip_network(network) for network in inside)
    except ValueError as error:
        raise ArchiveError("permanent", f"allow_private: {error}; write networks such as fd12:3456::/32") from None


def _may(address: Address, inside: Inside) -> bool:
    if isinstance(inside, bool):
        return inside or is_public(address)
    return is_public(address) or any(address in network for network in inside)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, also where it wraps another one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved
