"""Events of training, what became of them, and dead letters, as they go in and out of the API.

Here belong shapes and how rows become them; the form of an event itself is the studies room's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from panic_assets.studies.events.rows import DeadLetter, Receipt
from panic_assets.studies.events.schema import PAYLOADS
from panic_assets.web.api.shapes.base import Shape

#: What may be posted, for OpenAPI: a single event in any dialect, or a batch.
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "schema_version": {"type": "integer", "enum": [1]},
        "event_id": {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{1,128}$"},
        "name": {"type": "string", "enum": list(PAYLOADS)},
        "event": {"type": "string", "enum": list(PAYLOADS), "description": "the same as name"},
        "occurred_at": {"type": "string", "format": "date-time"},
        "source": {"type": "string", "maxLength": 200},
        "study": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"},
        "correlation_id": {"type": "string"},
        "seq": {"type": "integer", "minimum": 0},
        "payload": {"type": "object"},
        "metadata": {"type": "object"},
        "measurements": {"type": "object"},
        "events": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 500},
    },
    "example": {
        "schema_version": 1,
        "event_id": "01a1ff56-a0ba-716e-bf4c-acd3c9dbe172",
        "name": "ml.run.metric",
        "occurred_at": "2026-05-01T20:00:00Z",
        "study": "external",
        "payload": {"trial_id": "trial-7", "step": 3, "metrics": {"train_loss": 0.41}},
    },
}


class ReceiptOut(BaseModel):
    """What became of one event of a batch."""

    event_id: str | None
    name: str | None
    status: Literal["accepted", "duplicate", "dead"]
    details: list[str]

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptOut:
        """All of it."""
        return cls(**{**receipt.__dict__, "details": list(receipt.details)})


class Taken(BaseModel):
    """One event is kept."""

    success: Literal[True] = True
    event_id: str
    event_name: str
    correlation_id: str | None
    status: Literal["accepted", "duplicate", "dead"]
    message: str
    details: list[str]


class BatchTaken(BaseModel):
    """All events of a batch are kept, those that can't be read or applied as dead letters."""

    success: Literal[True] = True
    accepted: int
    duplicates: int
    dead: int
    receipts: list[ReceiptOut]


class LetterOut(BaseModel):
    """A dead letter. ``body`` is the event in our own form, or what was sent where that is no event."""

    letter_id: int
    reason: str
    details: list[str]
    event_id: str | None
    name: str | None
    study: str | None
    model_run_id: str | None
    trial_id: str | None
    body: dict[str, Any] | None
    received_at: datetime

    @classmethod
    def of(cls, letter: DeadLetter) -> LetterOut:
        """All of it."""
        return cls(**{**letter.__dict__, "details": list(letter.details)})


class LettersOut(BaseModel):
    """Dead letters, the oldest first; ``total`` counts all there are, by reason."""

    total: dict[str, int]
    letters: list[LetterOut]


class Replay(Shape):
    """Which dead letters are tried again; None: all."""

    letter_ids: list[Annotated[int, Field(ge=1, le=2**62)]] | None = Field(None, max_length=500)
