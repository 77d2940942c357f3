"""Bodies read before any database is asked: what each says, or why it says nothing.

Here belongs what an event is known by again: its id, or what it says where it has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from panic_assets.studies.client.events import uuid7
from panic_assets.studies.events.dialects import translate
from panic_assets.studies.events.errors import EventError
from panic_assets.studies.events.schema import SCHEMA_VERSION, Event
from panic_assets.studies.events.wire import canonical, digest_of, sound

#: A client that sends an event again may write the time anew.
_TIMES = ("occurred_at", "timestamp", "at")
_IDS = ("event_id", "id")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True)
class Offer:
    """An event that can be read. ``digest`` is equal for equal bodies."""

    event: Event
    remarks: tuple[str, ...]
    digest: str

    @property
    def event_id(self) -> str | None:
        """Its own id, if it has one."""
        return self.event.event_id

    @cached_property
    def kept_payload(self) -> dict[str, Any]:
        """The payload as it is kept: what was said, and the state also where it goes without saying."""
        said = self.event.payload.model_dump(mode="json", exclude_unset=True)
        state = getattr(self.event.payload, "state", None)
        return said if state is None else said | {"state": state}

    def stamped(self, now: datetime) -> Offer:
        """With an id and a time."""
        event = self.event
        if event.event_id is not None and event.occurred_at is not None:
            return self
        told = {"event_id": event.event_id or uuid7(), "occurred_at": event.occurred_at or now}
        return replace(self, event=event.model_copy(update=told))

    def body(self) -> dict[str, Any]:
        """The event in our own form, to be read again."""
        said = self.event.model_dump(mode="json", exclude_unset=True, exclude={"payload"})
        stamps = self.event.model_dump(mode="json", include={"event_id", "occurred_at"})
        return {"schema_version": SCHEMA_VERSION, **said, **stamps, "payload": self.kept_payload}


@dataclass(frozen=True)
class Unreadable:
    """A body that is no event, as far as it was understood."""

    error: EventError
    digest: str
    body: dict[str, Any] | None
    event_id: str | None
    name: str | None


def offer_of(body: Any) -> Offer:
    """What a body says.

    Raises:
        EventError: it says no event that is known here.
    """
    clean = sound(body)
    text = canonical(clean)
    if any(isinstance(clean.get(name), str) for name in _IDS):
        text = canonical({name: value for name, value in clean.items() if name not in _TIMES})
    event, remarks = translate(clean)
    return Offer(event, remarks, digest_of(text))


def read(body: Any) -> Offer | Unreadable:
    """The same, without raising."""
    try:
        return offer_of(body)
    except EventError as error:
        return _unreadable(body, error)


def _unreadable(body: Any, error: EventError) -> Unreadable:
    try:
        clean = sound(body)
        text = canonical(clean)
    except EventError as worse:
        # Nothing of it is kept, so that all that are wrong in the same way are one.
        return Unreadable(error, digest_of(str(worse)), None, None, None)
    event_id = next((clean[name] for name in _IDS if _is_id(clean.get(name))), None)
    name = next((clean[name][:200] for name in ("name", "event") if isinstance(clean.get(name), str)), None)
    return Unreadable(error, digest_of(text), clean, event_id, name)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
