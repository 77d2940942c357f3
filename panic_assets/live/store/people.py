"""Accounts and what belongs to them, as plain objects.

Here belong shapes alone. Secrets are never among them: of passwords and tokens there are only hashes, which are not
shown when an object is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class User:
    """Somebody who operates networks. ``email`` is in lower case."""

    id: str
    email: str
    password_hash: str = field(repr=False)
    is_admin: bool
    created_at: datetime


@dataclass(frozen=True)
class Session:
    """A login that holds until ``expires_at``; ``agent`` is the browser, so that a person can tell them apart."""

    token_hash: str = field(repr=False)
    user_id: str
    agent: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ApiToken:
    """What a program shows instead of a password; it may do what ``scopes`` name."""

    id: str
    user_id: str
    name: str
    token_hash: str = field(repr=False)
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Attempts:
    """How often something was tried in the present window; the count starts again at ``until``."""

    number: int
    until: datetime


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to what. ``number`` grows."""

    number: int
    at: datetime
    actor: str
    action: str
    target: str
    details: dict[str, Any]
