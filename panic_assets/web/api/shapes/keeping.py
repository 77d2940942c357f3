"""Keys of platforms, the audit log and health, as they go in and out of the API.

Here belong shapes and how records become them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from panic_assets.live.store import AuditEntry
from panic_assets.web.api.shapes.base import Shape


class SecretIn(Shape):
    """The key of a platform. It can't be read back."""

    value: str = Field(min_length=1, max_length=4000)


class SecretOut(BaseModel):
    """Where the key of that name comes from; None: there is none."""

    name: str
    origin: Literal["environment", "store"] | None


class AuditOut(BaseModel):
    """Who did what to what."""

    number: int
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditOut:
        """All of it."""
        return cls(**{field: getattr(entry, field) for field in cls.model_fields})


class Health(BaseModel):
    """Whether the server works."""

    ok: bool
    version: str
