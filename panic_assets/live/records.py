"""The rows of the live store as plain objects, and the words for their states.

Here belong shapes alone; ``store`` reads and writes them. Identifiers are 22 random URL-safe characters, so that no
address can be guessed from another. Times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from panic_assets.live.values import Medium

RunState = Literal["running", "ended"]
EndReason = Literal["stopped", "pre_empted", "failed", "length", "budget", "duration", "restarted"]
InvocationState = Literal["ready", "invoking", "completed", "failed"]
ErrorKind = Literal["auth", "quota", "moderation", "transient", "invalid", "timeout", "cancelled", "internal"]
ErrorAction = Literal["retry", "skip", "stop"]


@dataclass(frozen=True)
class Pacing:
    """How long a network rests between invocations, by the age of its run, in seconds.

    ``steps`` are (age below which it holds, rest); the last age may be None: from there on for good. ``board_rest`` is
    the least rest after a split-flap board was written, ``first_rest`` that after the prompt was shown on one.
    """

    steps: tuple[tuple[float | None, float], ...] = ((600.0, 1.0), (3600.0, 15.0), (None, 600.0))
    board_rest: float = 8.0
    first_rest: float = 10.0


@dataclass(frozen=True)
class Limits:
    """What ends a run by itself: invocations, seconds, cost in US dollars; None for no limit."""

    invocations: int | None = 1000
    seconds: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class OnError:
    """What is done about each kind of error: retry (then stop when ``attempts`` are used up), skip the step, stop."""

    actions: dict[str, ErrorAction] = field(
        default_factory=lambda: {
            "auth": "stop",
            "quota": "stop",
            "moderation": "skip",
            "transient": "retry",
            "timeout": "retry",
            "invalid": "stop",
            "internal": "stop",
        }
    )
    attempts: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(frozen=True)
class Network:
    """A ring of models that people may prompt. ``models`` may be a draft that can't be run yet."""

    id: str
    name: str
    description: str
    models: tuple[str, ...]
    lockout_seconds: float
    pacing: Pacing
    limits: Limits
    on_error: OnError
    is_public: bool
    owner_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Run:
    """One prompt and what came of it. ``number`` counts the runs of its network, from 1; ``models`` is a snapshot."""

    id: str
    network_id: str
    number: int
    prompt: str
    started_by: str
    models: tuple[str, ...]
    state: RunState
    end_reason: EndReason | None
    error: str | None
    lockout_until: datetime
    completed: int
    failed: int
    cost: float
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class Invocation:
    """One model call of a run. ``input_*`` and ``output_*``: a text, or the key of a medium in the archive."""

    id: str
    run_id: str
    network_id: str
    sequence_number: int
    model: str
    state: InvocationState
    input_medium: Medium
    input_text: str | None
    input_key: str | None
    output_medium: Medium
    output_text: str | None
    output_key: str | None
    attempts: int
    upstream_id: str | None
    latency_seconds: float | None
    seed: int | None
    cost: float | None
    error_kind: ErrorKind | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True)
class Watcher:
    """One screen or board of an installation; see ``displays`` for what it shows and which fields its kind has."""

    name: str
    kind: Literal["grid", "single", "vestaboard"]
    rows: int | None = None
    columns: int | None = None
    stride: int | None = None
    offsets: tuple[int, ...] = ()
    show_invoking: bool = False
    initial_prompt: bool = False
    board: str | None = None


@dataclass(frozen=True)
class Installation:
    """Watchers in one place that follow a network; moving it to another network switches its screens."""

    id: str
    name: str
    network_id: str
    watchers: tuple[Watcher, ...]
    is_public: bool
    owner_id: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Event:
    """Something that happened, as displays are told: ``number`` grows over all events of a server's life.

    ``kind``: ``run`` (a run began or ended), ``invocation`` (any change of one), ``network``, ``installation``,
    ``board`` (what a simulated board shows).
    ``data`` is what anyone may see of it, ready for JSON.
    """

    number: int
    topic: str
    kind: Literal["run", "invocation", "network", "installation"]
    data: dict[str, Any]
