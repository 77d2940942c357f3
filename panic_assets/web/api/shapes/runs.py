"""Runs and invocations as they go in and out of the API.

Here belong shapes; the public form of both is made in ``live.public``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from panic_assets.live.values import Medium
from panic_assets.web.api.shapes.base import Shape


class Content(BaseModel):
    """What went into a model, or came out: a text, or the key of a medium at /media/KEY."""

    medium: Medium
    text: str | None
    key: str | None
    media_type: str | None


class ModelName(BaseModel):
    """A model as it is called."""

    id: str
    name: str


class InvocationOut(BaseModel):
    """One call of a model in a run."""

    id: str
    run_id: str
    network_id: str
    sequence_number: int
    model: ModelName
    state: Literal["ready", "invoking", "completed", "failed"]
    input: Content
    output: Content
    attempts: int
    latency_seconds: float | None
    error_kind: str | None
    started_at: str | None
    completed_at: str | None


class RunOut(BaseModel):
    """One prompt and what came of it. ``cost`` and ``error`` are there for those who operate the network."""

    id: str
    network_id: str
    number: int
    prompt: str
    models: list[str]
    state: Literal["running", "ended"]
    end_reason: str | None
    lockout_until: str | None
    completed: int
    failed: int
    started_at: str | None
    ended_at: str | None
    cost: float | None = Field(None, description="US dollars")
    error: str | None = None
    started_by: str | None = None


class RunWithInvocations(RunOut):
    """A run with the first page of its invocations; ``next_after`` asks for the next, None at the end."""

    invocations: list[InvocationOut]
    next_after: int | None


class Invocations(BaseModel):
    """A page of invocations by sequence number; ``next_after`` asks for the next, None at the end."""

    invocations: list[InvocationOut]
    next_after: int | None


class Prompt(Shape):
    """What a network shall begin with."""

    prompt: str = Field(min_length=1, max_length=2000, pattern=r"\S", examples=["a red house on a hill"])


class Prompted(BaseModel):
    """The run that a prompt began."""

    run: RunOut
    invocation: InvocationOut


class StatusOut(BaseModel):
    """What a network does now."""

    state: Literal["idle", "invoking", "archiving", "waiting", "retrying"]
    run: RunOut | None
    sequence_number: int | None
    next_at: str | None = Field(description="when the next call begins, while it waits")
    lockout_seconds_left: float = Field(description="0: a prompt would be taken")
    viewers: int


class Stopped(BaseModel):
    """How many runs were ended."""

    stopped: int
