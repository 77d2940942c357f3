"""Talking to an OpenAI-compatible server over HTTP.

Here belong the connection pool, what is asked again and when, and what each refusal means. What is asked for, and how
an answer is read, is the business of ``servers``. The key of the API is in no text of this module, be it an error's.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from panic_assets.models.entry import ServerSource
from panic_assets.models.errors import ModelCallError, ModelError, ModelLoadError

_LONGEST_PAUSE = 120.0  # seconds; a server that wants more of them is not going to answer in this session
_BUSY = frozenset({408, 429})
# No other input would be answered, so the experiment is to end here and to be continued later, not to fail run by run.
_ENDS_ALL = frozenset({401, 402, 403, 404, 429, 502, 503})
_REMEDIES = {
    400: "Correct parameters and extra_body by what the server says.",
    401: "Set the environment variable {key_variable} to a key that the server accepts.",
    402: "The account has no credit left.",
    403: "The key in {key_variable} has no right to this model.",
    413: "Ask for smaller pictures, or have the server take larger requests.",
    422: "Correct parameters and extra_body by what the server says; null for a field of ours leaves it out.",
    429: "Lower batch, or wait until the quota is there again.",
}
_CONTEXT = ("context length", "context size", "context window", "maximum context", "too many tokens", "max_model_len")


class Connection:
    """A server that speaks OpenAI's protocol. Any number of threads may use it at once."""

    def __init__(self, name: str, source: ServerSource) -> None:
        self._name, self._source = name, source
        try:
            self._address = source.address
        except ValueError as error:
            raise self._load_error(str(error), "Correct or unset it.") from None
        self._key = self._read_key()
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(source.timeout_seconds, connect=min(10.0, source.timeout_seconds)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )
        weakref.finalize(self, self._client.close)

    def check(self) -> None:
        """Ask for the list of models, to find early that the server is not there or refuses the key.

        A server without such a list is taken as it is; so is one whose list lacks the model, since some know others.

        Raises:
            ModelLoadError: it does not answer, or refuses the key.
        """
        response = self._ask("GET", "/models")
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise self._refusal(response)

    def chat(self, body: dict[str, Any]) -> Any:
        """The answer to ``POST /chat/completions``, as JSON values; ``body`` lacks the name of the model alone.

        Raises:
            ModelCallError: this question has no answer; another may have one.
            ModelLoadError: no question has one: no connection, no right, no such model, no quota.
        """
        response = self._ask("POST", "/chat/completions", {"model": self._source.model, **body})
        if response.status_code != 200:
            raise self._refusal(response)
        try:
            return response.json()
        except ValueError:
            remedy = f"Is {self._address} where its API begins? Most such addresses end in /v1."
            raise self.malformed(f"no JSON but {response.text}", remedy) from None

    def malformed(self, what: str, remedy: str = "") -> ModelCallError:
        """The error for an answer that is not of the protocol's shape."""
        said = self._quoted(what)
        return ModelCallError(f"{self._name}: the server at {self._address} answered {said}. {remedy}".rstrip())

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
        """The first answer worth having, or the last one, after pauses that grow or that the server asks for."""
        pause = self._source.pause_seconds
        for attempts_left in reversed(range(self._source.attempts)):
            wanted: float | None = None
            try:
                response = self._client.request(method, self._address + path, json=body)
            except (httpx2.RequestError, httpx2.InvalidURL) as error:
                if not attempts_left:
                    raise self._silence(error) from error
            else:
                if response.status_code not in _BUSY and response.status_code < 500:
                    return response
                wanted = wanted_pause(response.headers.get("Retry-After"))
                if not attempts_left or (wanted or 0.0) > _LONGEST_PAUSE:
                    return response
            time.sleep(min(pause, _LONGEST_PAUSE) if wanted is None else wanted)
            pause *= 2
        raise AssertionError("source.attempts is positive")

    def _silence(self, error: Exception) -> ModelError:
        source = self._source
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
            what = f"did not answer within {source.timeout_seconds:g} seconds, {source.attempts} times"
            remedy = "Raise source.timeout_seconds, or lower batch or max_new_tokens."
            return ModelCallError(f"{self._name}: the server at {self._address} {what}. {remedy}")
        if isinstance(error, httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError):
            what = f"broke off {source.attempts} times ({type(error).__name__}: {error})"
            return ModelCallError(f"{self._name}: the server at {self._address} {what}. See what it says itself.")
        what = f"there is no connection after {source.attempts} attempts ({type(error).__name__}: {error})"
        where = f"source.url or {source.url_variable}" if source.url_variable else "source.url"
        return self._load_error(what, f"Start the server, or correct {where}.")

    def _refusal(self, response: httpx2.Response) -> ModelError:
        """What an answer other than 200 means, with the server's own words."""
        status = response.status_code
        said = self._quoted(server_words(response))
        key = self._source.key_variable or "that source.key_variable is to name"
        remedy = _REMEDIES.get(status, "See what the server itself says.").format(key_variable=key)
        if status == 404:
            remedy = self._those_it_has()
        elif status == 400 and any(words in said.lower() for words in _CONTEXT):
            remedy = "Lower max_new_tokens or shorten the texts, or start the server with a longer context."
        if status in _ENDS_ALL:
            return self._load_error(f"it answered {status}: {said}", remedy)
        return ModelCallError(f"{self._name}: the server at {self._address} answered {status}: {said}. {remedy}")

    def _those_it_has(self) -> str:
        wrong_place = f"Correct source.model, or source.url if {self._address} is not where the API begins."
        try:
            response = self._client.get(f"{self._address}/models")
            names = [str(model["id"]) for model in response.json()["data"]]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return wrong_place
        shown = ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
        return f"{wrong_place} It has {self._quoted(shown) if shown else 'no models'}."

    def _read_key(self) -> str | None:
        variable = self._source.key_variable
        if variable is None:
            return None
        key = os.environ.get(variable, "").strip()
        if not key:
            raise self._load_error(f"the environment variable {variable} has no key", "Set it to one.")
        if not (key.isascii() and key.isprintable()):
            raise self._load_error(
                f"the environment variable {variable} holds no key: it has odd letters", "Correct it."
            )
        return key

    def _quoted(self, text: str) -> str:
        """Words of the server on one line, cut short, and without the key, which some give back."""
        words = " ".join(text.split()).replace(self._key or "\0", "***")
        return (words if len(words) <= 400 else words[:400] + " ...").rstrip(".") or "nothing"

    def _load_error(self, what: str, remedy: str) -> ModelLoadError:
        return ModelLoadError(self._name, str(self._source), what, remedy)


def server_words(response: httpx2.Response) -> str:
    """The server's words, from the places where servers have them: error.message, message, detail, or all it sent."""
    try:
        content = response.json()
    except ValueError:
        return response.text
    error = content.get("error", content) if isinstance(content, dict) else content
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error)
    return str(error)


def wanted_pause(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as number or date (RFC 9110); None if it asks for none."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
