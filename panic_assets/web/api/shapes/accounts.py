"""Sessions, users and API tokens as they go in and out of the API.

Here belong shapes and how records become them; no hash is in any.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from panic_assets.live.store import ApiToken, Session, User
from panic_assets.web.api.shapes.base import Shape, Word
from panic_assets.web.security.callers import Scope


class Login(Shape):
    """An account and its password."""

    email: str = Field(max_length=320, examples=["somebody@example.org"])
    password: str = Field(max_length=1000, examples=["correct horse battery"])


class Me(BaseModel):
    """The user who calls."""

    id: str
    email: str
    is_admin: bool


class SessionOut(BaseModel):
    """Who is signed in, and what a write must send as X-CSRF-Token."""

    user: Me
    csrf_token: str
    expires_at: datetime


class SessionListed(BaseModel):
    """One login of the caller; ``is_current`` for the one that asks."""

    agent: str
    created_at: datetime
    expires_at: datetime
    is_current: bool

    @classmethod
    def of(cls, session: Session, current: Session | None) -> SessionListed:
        """Without what its token is known by."""
        is_current = current is not None and session.token_hash == current.token_hash
        return cls(
            agent=session.agent, created_at=session.created_at, expires_at=session.expires_at, is_current=is_current
        )


class UserIn(Shape):
    """A new account."""

    email: str = Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$", examples=["somebody@example.org"])
    password: str = Field(min_length=12, max_length=1000, examples=["correct horse battery"])
    is_admin: bool = False


class UserOut(BaseModel):
    """An account."""

    id: str
    email: str
    is_admin: bool
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> UserOut:
        """Without its password."""
        return cls(**{field: getattr(user, field) for field in cls.model_fields})


class OwnPassword(Shape):
    """The present password and the next."""

    old: str = Field(max_length=1000)
    new: str = Field(min_length=12, max_length=1000)


class NewPassword(Shape):
    """Another password."""

    new: str = Field(min_length=12, max_length=1000)


class TokenIn(Shape):
    """A new API token; ``days`` None: until it is revoked."""

    name: Word
    scopes: list[Scope] = Field(min_length=1, max_length=5, examples=[["read", "prompt"]])
    days: int | None = Field(None, ge=1, le=3650)


class TokenOut(BaseModel):
    """An API token; ``token`` itself is shown once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    token: str | None = None

    @classmethod
    def of(cls, kept: ApiToken, token: str | None = None) -> TokenOut:
        """Without what it is known by."""
        fields = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        return cls(token=token, **{field: getattr(kept, field) for field in fields})
