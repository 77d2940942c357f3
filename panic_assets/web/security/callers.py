"""Who is calling: a person with a session, a program with a token, a terminal, or anyone.

Here belongs telling them apart and what each may see; what a route asks for is in ``policy``.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Literal

from fastapi import Depends, Request

from panic_assets.live.records import Installation, Network
from panic_assets.live.store import ApiToken, NotThere, Session, User
from panic_assets.studies.events.signatures import HEADER as SIGNATURE_HEADER
from panic_assets.studies.events.signatures import trouble_of
from panic_assets.web.errors import Problem
from panic_assets.web.live import Live, live_of
from panic_assets.web.security.signing import API_PREFIX, Terminal, hash_of

Scope = Literal["read", "prompt", "train", "operate", "admin"]
#: What each scope of an API token lets do. No token may do more than its user.
SCOPES: dict[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "prompt": frozenset({"prompt"}),
    "train": frozenset({"train"}),
    "operate": frozenset({"read", "prompt", "operate"}),
    "admin": frozenset({"read", "prompt", "train", "operate", "admin"}),
}
COOKIE = "panic_session"
TERMINAL_HEADER, TERMINAL_QUERY = "X-Terminal-Token", "token"
CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "csrf_token"
#: A session is lengthened when this part of its life is gone: not at every request, which would each be a write.
_LENGTHENED_AFTER = 0.1


@dataclass(frozen=True)
class Caller:
    """Who makes a request. ``trouble`` says why a credential that was shown does not hold.

    ``signed``: the request bears a signature that holds; only routes for trainers look for one.
    """

    address: str
    user: User | None = None
    session: Session | None = None
    token: ApiToken | None = None
    terminal: Terminal | None = None
    trouble: str | None = None
    session_grew: bool = False
    signed: bool = False

    @property
    def name(self) -> str:
        """As it is written down: ``user:ID``, ``token:ID of user:ID``, ``terminal:ID``, ``trainer`` or ``anyone``."""
        if self.user is not None:
            return f"token:{self.token.id} of user:{self.user.id}" if self.token else f"user:{self.user.id}"
        if self.terminal is not None:
            return f"terminal:{self.terminal.id}"
        return "trainer" if self.signed else "anyone"

    @property
    def is_admin(self) -> bool:
        """Whether the user is one, and the token does not keep it from that."""
        return self.user is not None and self.user.is_admin and self.has("admin")

    def has(self, scope: str) -> bool:
        """Whether a person is calling, or a program whose token has the scope."""
        if self.user is None:
            return False
        return self.token is None or any(scope in SCOPES.get(given, ()) for given in self.token.scopes)

    def owns(self, thing: Network | Installation, scope: str) -> bool:
        """Whether it is the caller's own, or anybody's and the caller is an admin; within ``scope``."""
        if self.user is None or not self.has(scope):
            return False
        return self.user.is_admin or thing.owner_id == self.user.id

    def sees(self, thing: Network | Installation) -> bool:
        """Whether the caller may know of it."""
        if thing.is_public or self.owns(thing, "read"):
            return True
        return isinstance(thing, Network) and self.terminal is not None and self.terminal.lets_into(thing.id)

    def without_session(self) -> Caller:
        """The same, without what a cookie says."""
        return replace(self, user=None, session=None) if self.session is not None else self


def caller_of(request: Request) -> Caller:
    """Who makes this request, as the guard of its route found."""
    caller: Caller = request.state.caller
    return caller


Known = Annotated[Caller, Depends(caller_of)]
Room = Annotated[Live, Depends(live_of)]


def cookie_name(live: Live) -> str:
    """The name of the cookie of sessions; the prefix makes browsers keep other hosts and plain HTTP from setting it."""
    return f"__Host-{COOKIE}" if live.settings.secure else COOKIE


async def identify(request: Request, is_trainer: bool = False) -> Caller:
    """Who is calling. A bearer token counts alone; else a terminal's token and a session may both be there.

    ``is_trainer``: the route is for trainers, who ask hundreds of times a second; a token that held counts for some
    seconds without being looked up.
    """
    live = live_of(request)
    caller = Caller(address_of(request))
    authorization = request.headers.get("authorization", "")
    if authorization:
        known = live.trainers.known(authorization) if is_trainer else None
        if known is not None:
            return replace(caller, user=known[0], token=known[1])
        caller = await _by_token(live, caller, authorization)
        if is_trainer and caller.user is not None and caller.token is not None:
            live.trainers.remember(authorization, caller.user, caller.token)
        return caller
    shown = request.headers.get(TERMINAL_HEADER) or request.query_params.get(TERMINAL_QUERY)
    if shown:
        terminal = live.signer.read_terminal(shown)
        trouble = None if terminal else "the terminal's token has expired or is not from here"
        caller = replace(caller, terminal=terminal, trouble=trouble)
    cookie = request.cookies.get(cookie_name(live))
    return await _by_cookie(live, caller, cookie) if cookie else caller


async def signed(request: Request, caller: Caller) -> Caller:
    """The caller, with what a signature of the body says. Without one nothing changes."""
    header = request.headers.get(SIGNATURE_HEADER)
    if header is None:
        return caller
    live = live_of(request)
    secret = await live.thread(live.event_secret)
    if secret is None:
        return replace(caller, trouble="requests can't be signed here: there is no secret for training events")
    trouble = trouble_of(header, await request.body(), secret, live.clock.now())
    return replace(caller, signed=trouble is None, trouble=trouble or caller.trouble)


async def _by_token(live: Live, caller: Caller, authorization: str) -> Caller:
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    token = None
    if scheme.lower() == "bearer" and value.startswith(API_PREFIX):
        token = await live.thread(live.store.api_token, hash_of(value))
    if token is None:
        return replace(caller, trouble="the API token is revoked, has expired or is not from here")
    user = await live.thread(live.store.user, token.user_id)
    return replace(caller, user=user, token=token)


async def _by_cookie(live: Live, caller: Caller, cookie: str) -> Caller:
    session = await live.thread(live.store.session, hash_of(cookie))
    if session is None:
        return replace(caller, trouble=caller.trouble or "the session is over")
    user = await live.thread(live.store.user, session.user_id)
    settings, now = live.settings, live.clock.now()
    longest = session.created_at + timedelta(seconds=settings.session_longest_seconds)
    wanted = min(now + timedelta(seconds=settings.session_seconds), longest)
    grown = (wanted - session.expires_at).total_seconds() > settings.session_seconds * _LENGTHENED_AFTER
    if grown:
        await live.thread(live.store.extend_session, session.token_hash, wanted)
        session = replace(session, expires_at=wanted)
    return replace(caller, user=user, session=session, session_grew=grown)


def address_of(request: Request) -> str:
    """The address that the request comes from: X-Forwarded-For counts only as far as trusted proxies wrote it."""
    address = request.client.host if request.client else "unknown"
    trusted = _networks(live_of(request).settings.trusted_proxies)
    if not _is_in(address, trusted):
        return address
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed([part.strip() for part in forwarded if part.strip()]):
        try:
            address = str(ipaddress.ip_address(hop))
        except ValueError:
            return address
        if not _is_in(address, trusted):
            return address
    return address


def base_url(request: Request) -> str:
    """What an address for people begins with, without a slash at the end."""
    given = live_of(request).settings.public_url
    return given or str(request.base_url).rstrip("/")


@lru_cache(maxsize=16)
def _networks(given: tuple[str, ...]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(network, strict=False) for network in given)


def _is_in(address: str, networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


async def seen_network(live: Live, caller: Caller, network_id: str) -> Network:
    """The network, if the caller may know of it.

    Raises:
        NotThere: there is none, or it is not the caller's to see: the two look alike.
    """
    network = await live.thread(live.store.network, network_id)
    if not caller.sees(network):
        raise NotThere("network", network_id)
    return network


async def own_network(live: Live, caller: Caller, network_id: str) -> Network:
    """The network, if the caller may change it.

    Raises:
        NotThere: the caller may not even know of it.
        Problem: 403: the caller may see it and no more.
    """
    network = await seen_network(live, caller, network_id)
    if not caller.owns(network, "operate"):
        raise not_yours("network")
    return network


async def seen_installation(live: Live, caller: Caller, installation_id: str) -> Installation:
    """The installation, if the caller may know of it.

    Raises:
        NotThere: there is none, or it is not the caller's to see.
    """
    installation = await live.thread(live.store.installation, installation_id)
    if not caller.sees(installation):
        raise NotThere("installation", installation_id)
    return installation


async def own_installation(live: Live, caller: Caller, installation_id: str) -> Installation:
    """The installation, if the caller may change it.

    Raises:
        NotThere: the caller may not even know of it.
        Problem: 403: the caller may see it and no more.
    """
    installation = await seen_installation(live, caller, installation_id)
    if not caller.owns(installation, "operate"):
        raise not_yours("installation")
    return installation


def not_yours(what: str) -> Problem:
    """403 for something that the caller may see."""
    return Problem(403, f"this {what} is somebody else's", "ask its owner or an admin")
