"""Tokens: what is signed, what is only random, and what is kept of them.

Here belong making and reading tokens; who they let in is in ``callers``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

from panic_assets.live.clock import Clock

API_PREFIX = "panic_"


@dataclass(frozen=True)
class Terminal:
    """What a terminal's token says: it may prompt that network (None: any) until ``expires_at``. ``id`` is its own."""

    id: str
    network_id: str | None
    expires_at: datetime

    def lets_into(self, network_id: str | None) -> bool:
        """Whether it is for that network."""
        return self.network_id is None or self.network_id == network_id


class Signer:
    """Signs and reads tokens with the key of this server."""

    def __init__(self, key: str, clock: Clock) -> None:
        self._clock = clock
        self._key = key.encode()
        self._terminals = URLSafeSerializer(
            key, salt="panic terminal", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )

    def terminal(self, network_id: str | None, seconds: float) -> tuple[str, Terminal]:
        """A new token for a terminal, and what it says."""
        expires_at = (self._clock.now() + timedelta(seconds=seconds)).replace(microsecond=0)
        terminal = Terminal(secrets.token_urlsafe(9), network_id, expires_at)
        said = {"i": terminal.id, "n": network_id, "e": int(expires_at.timestamp())}
        return str(self._terminals.dumps(said)), terminal

    def read_terminal(self, token: str) -> Terminal | None:
        """What a token says, if this server signed it and it has not expired; None otherwise."""
        try:
            said = self._terminals.loads(token)
        except BadSignature:
            return None
        terminal = Terminal(said["i"], said["n"], datetime.fromtimestamp(said["e"], UTC))
        return terminal if terminal.expires_at > self._clock.now() else None

    def csrf(self, session_hash: str) -> str:
        """The token that proves that a form was made for that session."""
        return hmac.new(self._key, b"panic csrf " + session_hash.encode(), hashlib.sha256).hexdigest()

    def is_csrf(self, given: str, session_hash: str) -> bool:
        """Whether it is."""
        return hmac.compare_digest(given.encode(), self.csrf(session_hash).encode())


def session_token() -> str:
    """A new random token of a login."""
    return secrets.token_urlsafe(32)


def api_token() -> str:
    """A new random token of a program."""
    return API_PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What is kept of a random token: 256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()
