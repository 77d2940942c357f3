"""Models that need no network and no key: any medium in, any out, always the same for the same input.

What they give are real small media, so that archive and displays can be tried end to end. What goes wrong, and when,
is told by the ``settings`` of an entry.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from hashlib import blake2b

from panic_assets.live.media import picture, tone
from panic_assets.live.platforms.base import Answer, Call, LiveModel, PlatformError
from panic_assets.live.platforms.settings import DummySettings
from panic_assets.live.values import Value

_MANNERS = ("amber", "brittle", "distant", "folded", "hollow", "patient", "restless", "woven")
_THINGS = ("anchor", "bridge", "comet", "ferry", "lantern", "orchard", "staircase", "tower")
_PLACES = ("at low tide", "before the rain", "in a drawer", "in late sun", "on the ice", "under glass", "by the road")
_WORDS_FOR = {"text": "after reading", "image": "a picture of", "audio": "the sound of"}


class Dummy:
    """See :class:`panic_assets.live.platforms.base.Platform`.

    ``started`` and ``cancelled`` hold the identifiers of the last calls of which that is true.
    """

    name, bills = "dummy", False

    def __init__(self) -> None:
        self.started: deque[str] = deque(maxlen=1000)
        self.cancelled: deque[str] = deque(maxlen=1000)
        self._calls: Counter[str] = Counter()
        self._number = 0

    async def invoke(self, call: Call) -> Answer:
        """See :class:`panic_assets.live.platforms.base.Platform`; a call that is resumed is not begun again."""
        asked = DummySettings.model_validate(call.model.settings)
        identifier = call.resume or await self._begin(call)
        self._calls[call.model.id] += 1
        is_early = self._calls[call.model.id] <= asked.fail_n_times
        try:
            await call.clock.sleep(asked.delay_seconds)
        except asyncio.CancelledError:
            self.cancelled.append(identifier)
            raise
        if asked.always_fail is not None or is_early:
            kind = asked.always_fail or asked.fail_kind
            raise PlatformError(kind, f"{call.model.id} fails on purpose ({kind})", asked.retry_after)
        return Answer(_made(call.model, call.input), call.model.cost_per_call, identifier)

    async def close(self) -> None:
        """Nothing to give back."""

    async def _begin(self, call: Call) -> str:
        self._number += 1
        identifier = f"dummy-{self._number}"
        self.started.append(identifier)
        await call.started(identifier)
        return identifier


def _made(model: LiveModel, value: Value) -> Value:
    """The output: drawn from a hash of the input and of the pair of media."""
    content = value.data or (value.text or value.key or value.url or "").encode()
    digest = blake2b(content, digest_size=32, person=f"{model.takes}>{model.gives}".encode()).digest()
    if model.gives == "text":
        manner, thing, place = (
            words[byte % len(words)] for words, byte in zip((_MANNERS, _THINGS, _PLACES), digest, strict=False)
        )
        return Value("text", text=f"{_WORDS_FOR[model.takes]} {manner} {thing} {place}, {digest[3:6].hex()}")
    if model.gives == "image":
        return Value("image", data=picture(digest), media_type="image/webp")
    return Value("audio", data=tone(digest), media_type="audio/wav")
