"""Models of Google that describe sounds and pictures, or answer texts: anything in, text out.

The key goes in a header, never in the address, which is shown in errors and logs. Media go along as data; what kind
they are is told by their own bytes. An answer comes whole or not at all: nothing to resume or to cancel upstream.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from panic_assets.live.platforms.base import Answer, Call, PlatformError
from panic_assets.live.platforms.exchange import given_bytes, given_text, text_value, token_cost
from panic_assets.live.platforms.http import Key, Service, base_address, read_key
from panic_assets.live.platforms.settings import KEY_NAMES, GeminiSettings

USUAL_ADDRESS, ADDRESS_VARIABLE = "https://generativelanguage.googleapis.com/v1beta", "PANIC_GEMINI_URL"
#: Why an answer ended that was held back rather than finished.
_WITHHELD = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "RECITATION"})


class Gemini:
    """See :class:`panic_assets.live.platforms.base.Platform`. ``url`` is where the API begins."""

    name, bills = "gemini", True

    def __init__(self, url: str | None = None) -> None:
        self._service = Service(self.name, base_address(url, ADDRESS_VARIABLE, USUAL_ADDRESS), "x-goog-api-key", "")
        self.url = self._service.address

    async def invoke(self, call: Call) -> Answer:
        """See :class:`panic_assets.live.platforms.base.Platform`."""
        asked = GeminiSettings.model_validate(call.model.settings)
        key = read_key(call.secret, KEY_NAMES[self.name])
        body = {"contents": {"role": "USER", "parts": _parts(call, asked)}}
        path = f"/models/{quote(call.model.path, safe='')}:generateContent"
        reply = await self._service.ask("POST", path, key, call.model.timeout_seconds, body)
        if reply.status_code == 400 and "API_KEY_INVALID" in reply.text:
            raise self._service.refusal(reply, key, "auth")
        content = self._service.json(reply, key)
        cost = _cost(content, call, asked)
        try:
            with self._service.hiding(key):
                value = text_value(call.model, self._text(content, key))
        except PlatformError as error:
            error.cost = cost  # it was computed, so it is billed
            raise
        return Answer(value, cost, _identifier(content))

    async def close(self) -> None:
        """See :class:`panic_assets.live.platforms.base.Platform`."""
        await self._service.close()

    def _text(self, content: Any, key: Key) -> str:
        """All parts of the first candidate that are no thoughts, one after the other."""
        if not isinstance(content, Mapping):
            raise self._service.misshapen("no mapping", content, key)
        feedback = content.get("promptFeedback")
        if isinstance(feedback, Mapping) and feedback.get("blockReason"):
            raise self._service.failed("moderation", f"refused the input: {feedback['blockReason']}", key)
        try:
            candidate = content["candidates"][0]
            parts = (candidate.get("content") or {}).get("parts") or []
            text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
            reason = candidate.get("finishReason")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._service.misshapen("no candidates[0].content.parts", content, key) from None
        if reason in _WITHHELD and not text.strip():
            raise self._service.failed("moderation", f"held its answer back: {reason}", key)
        if not parts:
            raise self._service.misshapen("no candidates[0].content.parts", content, key)
        return text


def _parts(call: Call, asked: GeminiSettings) -> list[dict[str, Any]]:
    told = [{"text": asked.prompt}] if asked.prompt else []
    if call.model.takes == "text":
        return [{"text": given_text(call.model, call.input)}, *told]
    data, media_type = given_bytes(call.model, call.input)
    return [{"inline_data": {"mime_type": media_type, "data": b64encode(data).decode("ascii")}}, *told]


def _cost(content: Any, call: Call, asked: GeminiSettings) -> float | None:
    usage = content.get("usageMetadata") if isinstance(content, Mapping) else None
    names_out = ("candidatesTokenCount", "thoughtsTokenCount")  # thoughts are billed as what comes out
    cost = token_cost(usage, ("promptTokenCount",), names_out, (asked.price_in, asked.price_out))
    return call.model.cost_per_call if cost is None else cost


def _identifier(content: Mapping[str, Any]) -> str | None:
    identifier = content.get("responseId")
    return identifier if isinstance(identifier, str) else None
