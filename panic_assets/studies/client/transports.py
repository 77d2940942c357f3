"""Ways to the platform: its HTTP endpoint, or a function of this process. Each says what became of what it was given.

Here belongs what an answer means: taken, refused for good, or to be tried later. When to try again is in ``delivery``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, Protocol

import httpx2

from panic_assets.studies.client.errors import ClientError

#: Path of the endpoint on the platform.
ENDPOINT = "/api/events/ml"
# Verdicts about what was sent. All else that is no success says something of the way there: a wrong address, a missing
# right, a platform that is down or busy. Events wait for such to be put right.
_VERDICTS = frozenset({400, 409, 413, 415, 422})
_TAKEN, _DEAD = frozenset({"accepted", "duplicate"}), "dead"
_REMEDIES = {
    401: "Give the client a token or a secret that the platform knows.",
    403: "Give the client a token that may send training events.",
    404: f"Correct the address; the platform listens at {ENDPOINT}.",
    405: f"Correct the address; the platform listens at {ENDPOINT}.",
}
_MOST_ANSWER_BYTES = 2**20
_QUOTED = 500


@dataclass(frozen=True)
class Answer:
    """What became of some events. Of those taken none is to be sent again.

    ``refused`` all of them are refused, together with what was said; of more than one it may be the fault of a single
    one. ``later`` none is known to have arrived; ``pause`` is how many seconds the platform asks to wait. ``each``
    names those of the taken that were refused one by one, ``dead`` those that the platform keeps but can't apply, by
    event id and with what was said.
    """

    verdict: Literal["taken", "refused", "later"]
    reason: str = ""
    pause: float | None = None
    each: Mapping[str, str] = field(default_factory=dict)
    dead: Mapping[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """A way to the platform. `send` is called by one thread at a time and does not raise for what an answer can say."""

    def send(self, events: Sequence[dict[str, Any]]) -> Answer:
        """Send events, in order; wait until the platform has them durably or says otherwise."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class LocalTransport:
    """To a platform of the same process: ``deliver`` takes events and gives receipts, as ``EventStore.deliver`` does.

    An error of ``deliver`` with a ``status`` of 400, 409, 413, 415 or 422 refuses the events; any other is tried again.
    """

    def __init__(self, deliver: Callable[[list[dict[str, Any]]], Sequence[Any]]) -> None:
        self._deliver = deliver

    def send(self, events: Sequence[dict[str, Any]]) -> Answer:
        """Hand events over."""
        try:
            receipts = self._deliver(list(events))
        except Exception as error:  # whatever it is, training goes on
            words = f"{type(error).__name__}: {error}"
            return Answer("refused" if getattr(error, "status", None) in _VERDICTS else "later", words)
        return _taken(receipts)

    def close(self) -> None:
        """Nothing to let go of."""


class HttpTransport:
    """To a platform over HTTP. ``url`` is the platform's address, with or without the path of the endpoint.

    It shows either a token of the platform's API or signs each request with a shared secret. ``timeout`` bounds the
    connection and each silence of the server, in seconds; four times of it bounds an answer as a whole.

    Raises:
        ClientError: the address is none, or both a token and a secret are given.
    """

    def __init__(self, url: str, *, token: str | None = None, secret: str | None = None, timeout: float = 10.0) -> None:
        if token and secret:
            raise ClientError("Give a token or a secret, not both.")
        if not _is_address(url):
            raise ClientError(f"{url!r} is no address of a platform. Give one like https://panic.example.org")
        self.url = url.rstrip("/") if url.rstrip("/").endswith(ENDPOINT) else url.rstrip("/") + ENDPOINT
        self._secret = secret
        self._longest = 4 * timeout
        self._client = httpx2.Client(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=timeout,
        )

    def send(self, events: Sequence[dict[str, Any]]) -> Answer:
        """Post events: one as it is, more as a batch."""
        body = json.dumps(events[0] if len(events) == 1 else {"events": list(events)}, ensure_ascii=False).encode()
        try:
            with self._client.stream("POST", self.url, content=body, headers=self._signature(body)) as response:
                content = self._read(response)
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            return Answer("later", f"{self.url}: {type(error).__name__}: {error}")
        return self._meaning(response, content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _signature(self, body: bytes) -> dict[str, str]:
        if self._secret is None:
            return {}
        moment = str(int(time.time()))
        digest = hmac.new(self._secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"X-Panic-Signature": f"t={moment},v1={digest}"}

    def _read(self, response: httpx2.Response) -> bytes:
        """The answer, unless it never ends: a server that drips would hold the thread as long as it likes."""
        until = time.monotonic() + self._longest
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _MOST_ANSWER_BYTES or time.monotonic() > until:
                raise httpx2.ReadError(f"no end of the answer after {len(content)} bytes")
        return bytes(content)

    def _meaning(self, response: httpx2.Response, content: bytes) -> Answer:
        status = response.status_code
        if status == 202:
            return _taken(_receipts(content))
        said = content.decode("utf-8", "replace").strip()[:_QUOTED]
        reason = f"{self.url} answered {status}: {said} {_REMEDIES.get(status, '')}".strip()
        if status in _VERDICTS:
            return Answer("refused", reason)
        return Answer("later", reason, pause=seconds_asked(response.headers.get("Retry-After")))


def _is_address(url: str) -> bool:
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return address.scheme in ("http", "https") and bool(address.host)


def seconds_asked(header: str | None) -> float | None:
    """What a ``Retry-After`` asks for, in seconds or as a date; None if it can't be read."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _receipts(content: bytes) -> Sequence[Any]:
    """The receipts of an answer, of a batch or of one event. The status alone says already that events are kept."""
    try:
        answer = json.loads(content)
    except ValueError:
        return []
    receipts = answer.get("receipts", [answer]) if isinstance(answer, dict) else None
    return receipts if isinstance(receipts, list) else []


def _taken(receipts: Sequence[Any]) -> Answer:
    """The answer that some receipts, as maps or objects, make; each has an ``event_id`` and a ``status``."""
    refused: dict[str, str] = {}
    dead: dict[str, str] = {}
    for receipt in receipts or ():
        values = receipt if isinstance(receipt, dict) else getattr(receipt, "__dict__", {})
        event_id, status = values.get("event_id"), values.get("status")
        if event_id and isinstance(status, str) and status not in _TAKEN:
            among = dead if status == _DEAD else refused
            among[str(event_id)] = f"{status}: {values.get('details') or ''}"[:_QUOTED]
    return Answer("taken", each=refused, dead=dead)
