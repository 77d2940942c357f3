"""Asking a hosted platform over HTTP: one request, bounded in time and size, and what each way to fail means.

Here belong the connection and the classification of refusals. What is asked, and when again, is each platform's
business. A key is in no text of this module, be it an error's, a log's or a representation's.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import httpx2

from panic_assets.errors import PanicError
from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.platforms.faults import kind_of_status
from panic_assets.live.records import ErrorKind
from panic_assets.models.adapters.connection import server_words, wanted_pause

CONNECT_SECONDS = 10.0
MOST_BYTES = 64 * 1024**2
_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")  # a key within an address would be shown with it
_KEY = re.compile(r"[!-~]+")
_REMEDIES: dict[str, str] = {
    "quota": "Wait until the quota is there again, or pay for more.",
    "moderation": "Another prompt is needed; nothing is put in its place.",
    "transient": "It may go well if asked again.",
    "invalid": "Correct the model's entry in the catalog by what the platform says.",
}
Result = TypeVar("Result")


@dataclass(frozen=True)
class Key:
    """A secret with the name it is kept under."""

    name: str
    value: str = field(repr=False)


def read_key(secret: Callable[[str], str], name: str) -> Key:
    """The key of that name, fit for a header.

    Raises:
        PlatformError: of kind auth: there is none, or it has letters that no key has.
    """
    value = secret(name).strip()
    if not _KEY.fullmatch(value):
        raise PlatformError("auth", f"{name} holds no key: it is empty or has odd letters. Set it to one.")
    return Key(name, value)


def base_address(given: str | None, variable: str, usual: str) -> str:
    """Where a platform's API begins: what is given, else the environment variable, else the usual place.

    Raises:
        PanicError: what is given is no address such as https://api.example.org/v1; the text leaves out what.
    """
    for where, address in ((None, given), (variable, os.environ.get(variable, "").strip() or None)):
        if address is not None and not _ADDRESS.fullmatch(address):
            said = f"the environment variable {where}" if where else "the address of the platform"
            raise PanicError(f"{said} is not such as https://api.example.org/v1, without a name, key or query in it")
        if address is not None:
            return address.rstrip("/")
    return usual


class Service:
    """The HTTP side of a platform. ``header`` and ``prefix`` say how its key is sent."""

    def __init__(self, name: str, address: str, header: str = "Authorization", prefix: str = "Bearer ") -> None:
        self.name, self.address = name, address
        self._header, self._prefix = header, prefix
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=20)
        self._client = httpx2.AsyncClient(limits=limits, verify=certificates())
        self._background: set[asyncio.Task[Any]] = set()

    async def ask(
        self, method: str, path: str, key: Key, seconds: float, body: Any = None, most: int = MOST_BYTES
    ) -> httpx2.Response:
        """The answer to one request, whatever its status; ``seconds`` bound all of it. ``path`` starts with /.

        Raises:
            PlatformError: of kind transient: no connection; timeout; invalid: more than ``most`` bytes came.
        """
        headers = {self._header: self._prefix + key.value}
        timeout = httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream(method, self.address + path, headers=headers, json=body, timeout=timeout) as reply,
            ):
                came = bytearray()
                async for part in reply.aiter_bytes():
                    came += part
                    if len(came) > most:
                        raise PlatformError("invalid", f"{self._who()} answered with more than {most:,} bytes")
                kept = {name: reply.headers[name] for name in ("Retry-After",) if name in reply.headers}
                return httpx2.Response(reply.status_code, headers=kept, content=bytes(came))
        except (TimeoutError, httpx2.TimeoutException) as error:
            if isinstance(error, httpx2.ConnectTimeout):
                raise PlatformError("transient", f"{self._who()} can't be reached: no answer to the call") from None
            what = f"{self._who()} did not answer within {seconds:g} seconds. Raise timeout_seconds of the model."
            raise PlatformError("timeout", what) from None
        except (httpx2.RequestError, httpx2.InvalidURL, httpx2.StreamError) as error:
            what = self._quoted(f"{type(error).__name__}: {error}", key)
            raise PlatformError("transient", f"{self._who()} can't be reached or broke off ({what})") from None

    def json(self, reply: httpx2.Response, key: Key) -> Any:
        """The content of an answer of status 200 or 201.

        Raises:
            PlatformError: it is a refusal, or no JSON.
        """
        if reply.status_code not in (200, 201):
            raise self.refusal(reply, key)
        try:
            return reply.json()
        except ValueError:
            raise self.misshapen("no JSON", reply.text, key) from None

    def refusal(self, reply: httpx2.Response, key: Key, kind: ErrorKind | None = None) -> PlatformError:
        """The error that a status other than 200 means; of a refused key the server's words are left out."""
        status, words = reply.status_code, server_words(reply)
        kind = kind or kind_of_status(status, words, _code(reply))
        if kind == "auth":  # such answers quote parts of the key
            remedy = f"Set {key.name} to a key that has the right to this model."
            return PlatformError("auth", f"{self._who()} answered {status}: it refuses the key. {remedy}")
        pause = wanted_pause(reply.headers.get("Retry-After"))
        remedy = _REMEDIES[kind]
        return PlatformError(kind, f"{self._who()} answered {status}: {self._quoted(words, key)}. {remedy}", pause)

    def misshapen(self, what: str, content: object, key: Key) -> PlatformError:
        """The error for an answer that lacks what it should have."""
        return PlatformError("invalid", f"{self._who()} answered with {what}: {self._quoted(str(content), key)}")

    def failed(self, kind: ErrorKind, words: str, key: Key, cost: float | None = None) -> PlatformError:
        """The error for a computation that the platform began and did not finish."""
        return PlatformError(kind, f"{self.name}: {self._quoted(words, key)}", cost=cost)

    @contextmanager
    def hiding(self, key: Key) -> Iterator[None]:
        """Whatever `PlatformError` is raised within is cut short and has no key in it, as part of words given back."""
        try:
            yield
        except PlatformError as error:
            error.args = (_short(str(error).replace(key.value, "***"), 600),)
            raise

    def in_background(self, work: Coroutine[Any, Any, Result], seconds: float) -> asyncio.Task[Result]:
        """Work that outlives a caller who is cancelled, for ``seconds`` at most."""

        async def bounded() -> Result:
            async with asyncio.timeout(seconds):
                return await work

        task = asyncio.create_task(bounded())
        self._background.add(task)
        task.add_done_callback(self._forget)
        return task

    async def close(self) -> None:
        """Wait for what is in the background, which is bounded, and close the connections."""
        if self._background:
            await asyncio.wait(set(self._background))
        await self._client.aclose()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it

    def _who(self) -> str:
        return f"{self.name} at {self.address}"

    def _quoted(self, text: str, key: Key) -> str:
        """Words on one line, cut short, and without the key, which some platforms give back."""
        words = " ".join(text.replace(key.value, "***").split()).replace(key.value, "***")
        return _short(words, 300).rstrip(".") or "nothing"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " ..."


@cache
def certificates() -> ssl.SSLContext:
    """Read once: it takes longer than all else that opens a platform."""
    return httpx2.create_ssl_context()


def _code(reply: httpx2.Response) -> object:
    try:
        return reply.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
