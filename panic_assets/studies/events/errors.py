"""What can be wrong with an event, each with a status of HTTP and what the answer says.

Here belong the exceptions; what they mean to a trainer is in the documentation of the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from panic_assets.errors import PanicError
from panic_assets.live.store.errors import LiveStoreError

_MOST_TOLD = 20


class EventError(PanicError):
    """An event that can't be taken. ``error`` is a word for programs, ``details`` say each thing that is wrong."""

    status: ClassVar[int]
    reason: ClassVar[Literal["malformed", "unprocessable"]]

    def __init__(self, error: str, details: Sequence[str], received: str | None = None) -> None:
        more = [f"and {len(details) - _MOST_TOLD} more"] if len(details) > _MOST_TOLD else []
        self.error, self.details, self.received = error, (*details[:_MOST_TOLD], *more), received
        super().__init__(f"{error}: {self.details[0] if received is None else received}")

    def lines(self) -> tuple[str, ...]:
        """The same for people, and for the list of dead letters."""
        received = "" if self.received is None else f": {self.received}"
        return (f"{self.error}{received}", *self.details)

    def told(self) -> dict[str, Any]:
        """What an answer carries beside its status."""
        received = {} if self.received is None else {"received": self.received}
        return {"error": self.error, "details": list(self.details), **received}


class Malformed(EventError):
    """It can't be read: no JSON, no event of a known name, a required field that is not there."""

    status, reason = 400, "malformed"


class TooLarge(EventError):
    """It is larger than an event may be, or there are more than a request may have."""

    status, reason = 413, "malformed"


class Unprocessable(EventError):
    """It can be read, and a value is of a wrong type or out of its range."""

    status, reason = 422, "unprocessable"


class LettersFull(LiveStoreError):
    """There are too many dead letters to keep one more. Nothing of the batch was taken: it can be sent again."""

    def __init__(self, place: str, most: int) -> None:
        super().__init__(
            f"the event store {place} holds {most} dead letters, which is all it keeps: look at them, then replay or "
            "discard some. Nothing was taken of what was sent last; send it again then"
        )
