"""Calls, a clock that costs no time, and models to call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from panic_assets.live.platforms.base import Answer, Call, LiveModel, Platform, PlatformError
from panic_assets.live.values import Value

Result = TypeVar("Result")
KEY = "sk-3f9a17c2e8b04d65"


@dataclass
class SwiftClock:
    """A clock that goes on by what is slept, at once."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def model(platform: str, takes: str = "text", gives: str = "text", **values: Any) -> LiveModel:
    given = {"id": "a-model", "name": "A model", "path": "maker/thing", "timeout_seconds": 30.0}
    return LiveModel(**{**given, "platform": platform, "takes": takes, "gives": gives, **values})


class Calls:
    """Makes calls and remembers what they told."""

    def __init__(self, key: str = KEY) -> None:
        self.key, self.clock = key, SwiftClock()
        self.begun: list[str] = []

    def call(self, wanted: LiveModel, given: Value | str = "a red boat", resume: str | None = None) -> Call:
        value = Value("text", text=given) if isinstance(given, str) else given
        return Call(wanted, value, self._secret, self._started, self.clock, resume)

    def _secret(self, name: str) -> str:
        return self.key

    async def _started(self, identifier: str) -> None:
        self.begun.append(identifier)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def invoke(opened: Callable[[], Platform], call: Call) -> Answer:
    """One call on a platform that is opened for it and closed after it."""

    async def work() -> Answer:
        platform = opened()
        try:
            return await platform.invoke(call)
        finally:
            await platform.close()

    return run(work())


def refused(opened: Callable[[], Platform], call: Call) -> PlatformError:
    """The error that a call ends in."""
    with pytest.raises(PlatformError) as caught:
        invoke(opened, call)
    return caught.value


async def until(is_so: Callable[[], bool], what: str = "") -> None:
    for _ in range(2000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never came: {what}")
