"""Chat models of OpenAI, and of any server that speaks its chat completions: text in, text out.

An answer comes whole or not at all, so there is nothing to resume or to cancel upstream: a call that is cancelled
closes its connection.
"""

from __future__ import annotations

from typing import Any

from panic_assets.live.platforms.base import Answer, Call, PlatformError
from panic_assets.live.platforms.exchange import given_text, text_value, token_cost
from panic_assets.live.platforms.http import Key, Service, base_address, read_key
from panic_assets.live.platforms.settings import KEY_NAMES, OpenAISettings

USUAL_ADDRESS, ADDRESS_VARIABLE = "https://api.openai.com/v1", "PANIC_OPENAI_URL"


class OpenAI:
    """See :class:`panic_assets.live.platforms.base.Platform`. ``url`` is where the API begins."""

    name, bills = "openai", True

    def __init__(self, url: str | None = None) -> None:
        self._service = Service(self.name, base_address(url, ADDRESS_VARIABLE, USUAL_ADDRESS))
        self.url = self._service.address

    async def invoke(self, call: Call) -> Answer:
        """See :class:`panic_assets.live.platforms.base.Platform`."""
        asked = OpenAISettings.model_validate(call.model.settings)
        key = read_key(call.secret, KEY_NAMES[self.name])
        body = {
            "model": call.model.path,
            "messages": [
                {"role": "system", "content": asked.system},
                {"role": "user", "content": given_text(call.model, call.input)},
            ],
            "temperature": asked.temperature,
            "max_completion_tokens": asked.max_completion_tokens,
        }
        reply = await self._service.ask("POST", "/chat/completions", key, call.model.timeout_seconds, body)
        content = self._service.json(reply, key)
        usage = content.get("usage") if isinstance(content, dict) else None
        cost = token_cost(usage, ("prompt_tokens",), ("completion_tokens",), (asked.price_in, asked.price_out))
        cost = call.model.cost_per_call if cost is None else cost
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
        try:
            choice = content["choices"][0]
            message = choice.get("message") or {"content": choice["text"]}  # text: of older servers
            text, refusal = message.get("content"), message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._service.misshapen("no choices[0].message", content, key) from None
        if refusal or choice.get("finish_reason") == "content_filter":
            raise self._service.failed("moderation", f"refused: {refusal or 'its filter cut the answer'}", key)
        return text if text is not None else ""


def _identifier(content: Any) -> str | None:
    return content["id"] if isinstance(content.get("id"), str) else None
