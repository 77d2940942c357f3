"""Signatures of requests that carry events: who knows the shared secret may send.

Here belongs the form ``t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA256 of "<t>." and the body>``. Where the secret
lies is the server's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime

HEADER = "X-Panic-Signature"
#: How far the clocks of both sides may be apart, in seconds. Within it a request can be sent again; event ids make
#: that harmless.
WINDOW_SECONDS = 300
_FORM = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)


def signature(secret: str, body: bytes, at: int) -> str:
    """The header for a body that is sent at that second."""
    return f"t={at},v1={_digest(secret, body, at)}"


def trouble_of(header: str, body: bytes, secret: str, now: datetime) -> str | None:
    """Why a signature does not hold; None if it does."""
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return f"the signature is not of the form t=<seconds>,v1=<64 hexadecimal digits> ({HEADER})"
    at, given = int(found[1]), found[2]
    if not hmac.compare_digest(given, _digest(secret, body, at)):
        return "the signature does not fit the body and the secret"
    if abs(now.timestamp() - at) > WINDOW_SECONDS:
        return f"the signature is of another time than the last {WINDOW_SECONDS} s; see that the clocks are right"
    return None


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
