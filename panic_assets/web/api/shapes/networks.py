"""Networks, their models and terminals, as they go in and out of the API.

Here belong shapes and how records become them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from panic_assets.live.networks import check_ring
from panic_assets.live.platforms.base import LiveModel
from panic_assets.live.records import Limits, Network, OnError, Pacing
from panic_assets.live.values import Medium
from panic_assets.web.api.shapes.base import Shape, Word
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Caller

ModelId = Annotated[str, Field(pattern=r"^[\w.-]{1,100}$", examples=["dummy-t2i"])]
Ring = Annotated[list[ModelId], Field(max_length=100, examples=[["dummy-t2i", "dummy-i2t"]])]
Markdown = Annotated[str, Field(max_length=20_000)]
Lockout = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False, description="seconds")]


class NetworkIn(Shape):
    """A new network. Its models may be a draft that can't run yet."""

    name: Word
    description: Markdown = ""
    models: Ring = Field(default_factory=list)
    lockout_seconds: Lockout = 30.0
    pacing: Pacing = Pacing()
    limits: Limits = Limits()
    on_error: OnError = Field(default_factory=OnError)
    is_public: bool = False

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Tower", "models": ["dummy-t2i", "dummy-i2t"], "is_public": True}}
    )


class NetworkChange(Shape):
    """The fields of a network that change; those left out stay."""

    name: Word | None = None
    description: Markdown | None = None
    models: Ring | None = None
    lockout_seconds: Lockout | None = None
    pacing: Pacing | None = None
    limits: Limits | None = None
    on_error: OnError | None = None
    is_public: bool | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"models": ["dummy-t2t"], "lockout_seconds": 10}})


class Running(BaseModel):
    """How a network runs, for those who operate it."""

    pacing: Pacing
    limits: Limits
    on_error: OnError
    owner_id: str | None
    problems: list[str] = Field(description="why it can't run, in the order of the ring")


class NetworkOut(BaseModel):
    """A network. ``running`` is there for those who may operate it."""

    id: str
    name: str
    description: str
    models: list[str]
    lockout_seconds: float
    is_public: bool
    runnable: bool
    viewers: int
    created_at: datetime
    updated_at: datetime
    running: Running | None = None

    @classmethod
    def of(cls, network: Network, live: Live, caller: Caller) -> NetworkOut:
        """As the caller may see it."""
        problems = check_ring(network.models, live.catalog)
        running = None
        if caller.owns(network, "read"):
            running = Running(
                pacing=network.pacing,
                limits=network.limits,
                on_error=network.on_error,
                owner_id=network.owner_id,
                problems=problems,
            )
        return cls(
            id=network.id,
            name=network.name,
            description=network.description,
            models=list(network.models),
            lockout_seconds=network.lockout_seconds,
            is_public=network.is_public,
            runnable=not problems,
            viewers=live.hub.viewers(f"network:{network.id}"),
            created_at=network.created_at,
            updated_at=network.updated_at,
            running=running,
        )


class ModelOut(BaseModel):
    """A model that networks can be made of."""

    id: str
    name: str
    platform: str
    takes: Medium
    gives: Medium
    description: str
    homepage: str | None
    deprecated: bool

    @classmethod
    def of(cls, model: LiveModel) -> ModelOut:
        """Without its settings and where it is called."""
        return cls(**{field: getattr(model, field) for field in cls.model_fields})


class Draft(Shape):
    """A list of models that may become a ring."""

    models: Ring


class DraftOut(BaseModel):
    """What keeps a draft from running, and which models could come next."""

    runnable: bool
    problems: list[str]
    next_takes: Medium = Field(description="what a model that is added at the end must take")


class TerminalIn(Shape):
    """For how long, in seconds; None as the server is set up, and never for longer."""

    seconds: int | None = Field(None, ge=1)


class TerminalOut(BaseModel):
    """A terminal's token. It is shown once."""

    token: str
    url: str
    expires_at: datetime
