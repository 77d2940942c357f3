"""What a platform is to the runner: a model is invoked with a value and gives one, or an error of a known kind.

Here belong shapes that all platforms share; HTTP belongs to each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from panic_assets.errors import PanicError
from panic_assets.live.clock import Clock
from panic_assets.live.records import ErrorKind
from panic_assets.live.values import Medium, Value


class PlatformError(PanicError):
    """A call that failed. ``kind`` decides what is done about it; ``retry_after`` is what the platform asks, seconds.

    ``cost`` is what was billed all the same, in US dollars, where it is known.
    """

    def __init__(
        self, kind: ErrorKind, message: str, retry_after: float | None = None, cost: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.cost = cost


@dataclass(frozen=True)
class LiveModel:
    """A model that can be part of a live network. ``path`` is its name on the platform, ``settings`` what goes with it.

    A ``deprecated`` model still resolves, so that old runs keep their names, but is no longer offered.
    """

    id: str
    name: str
    platform: str
    path: str
    takes: Medium
    gives: Medium
    description: str = ""
    homepage: str | None = None
    deprecated: bool = False
    cost_per_call: float | None = None
    timeout_seconds: float = 60.0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a call gave: the value, its cost in US dollars where known, the platform's identifier of the call.

    ``seed`` is the noise number that was used, where the platform was given one.
    """

    value: Value
    cost: float | None = None
    upstream_id: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Call:
    """One call: the model, its input, and what a platform needs on the way.

    ``secret(name)`` gives a key, such as OPENAI_API_KEY, or raises `PlatformError` of kind auth; a key is never put
    into an error or a log. ``started(upstream_id)`` is awaited as soon as the platform has given its identifier, so
    that the call can be cancelled or resumed after a crash; ``resume`` is that identifier after one.
    """

    model: LiveModel
    input: Value
    secret: Callable[[str], str]
    started: Callable[[str], Awaitable[None]]
    clock: Clock
    resume: str | None = None


class Platform(Protocol):
    """A platform. A call that is cancelled (asyncio) cancels what runs upstream before it lets go.

    ``bills``: whether a call costs money, so that it must not be made twice when nobody knows whether it was made.
    """

    name: str
    bills: bool

    async def invoke(self, call: Call) -> Answer:
        """Make the call.

        Raises:
            PlatformError: it failed; the kind tells whether trying again may help.
        """

    async def close(self) -> None:
        """Give connections and processes back."""
