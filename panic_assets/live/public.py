"""What anyone may see of runs and invocations, ready for JSON.

Here belongs the one form that events, pages and the API share: no names of people, no keys, no errors' inner words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from mimetypes import guess_type
from typing import Any

from panic_assets.live.platforms.base import LiveModel
from panic_assets.live.records import Invocation, Run
from panic_assets.live.values import Medium


def public_invocation(invocation: Invocation, catalog: Mapping[str, LiveModel]) -> dict[str, Any]:
    """An invocation with the name of its model; a model that is no longer in the catalog is called by its id."""
    model = catalog.get(invocation.model)
    return {
        "id": invocation.id,
        "run_id": invocation.run_id,
        "network_id": invocation.network_id,
        "sequence_number": invocation.sequence_number,
        "model": {"id": invocation.model, "name": model.name if model else invocation.model},
        "state": invocation.state,
        "input": _content(invocation.input_medium, invocation.input_text, invocation.input_key),
        "output": _content(invocation.output_medium, invocation.output_text, invocation.output_key),
        "attempts": invocation.attempts,
        "latency_seconds": invocation.latency_seconds,
        "error_kind": invocation.error_kind,
        "started_at": stamp(invocation.started_at),
        "completed_at": stamp(invocation.completed_at),
    }


def public_run(run: Run) -> dict[str, Any]:
    """A run without who started it and what it cost."""
    return {
        "id": run.id,
        "network_id": run.network_id,
        "number": run.number,
        "prompt": run.prompt,
        "models": list(run.models),
        "state": run.state,
        "end_reason": run.end_reason,
        "lockout_until": stamp(run.lockout_until),
        "completed": run.completed,
        "failed": run.failed,
        "started_at": stamp(run.started_at),
        "ended_at": stamp(run.ended_at),
    }


def stamp(time: datetime | None) -> str | None:
    """A time in UTC as ISO 8601 with Z; None stays None."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None


def _content(medium: Medium, text: str | None, key: str | None) -> dict[str, Any]:
    return {"medium": medium, "text": text, "key": key, "media_type": guess_type(key)[0] if key else None}
