"""Rows of the lake for what a live run did.

Here belongs what each column says of a live run. Where rows go is up to ``partition``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from panic_assets.experiment import UNSEEDED
from panic_assets.live.records import Invocation, Network, Run
from panic_assets.live.to_lake.media import Medium
from panic_assets.live.to_lake.names import SYSTEM, source_id
from panic_assets.loop.ids import invocation_id
from panic_assets.loop.planning import ARROW

#: Kinds of errors of live models that have a word of their own among the kinds of events.
_KINDS = {"timeout": "timed_out"}


@dataclass
class Trajectory:
    """One run of the lake as it is being read: what its outcome is made of.

    ``planned`` is its row of ``runs``; ``flagged`` counts outputs with a flag, those that the lake had included.
    """

    first: int
    planned: dict[str, Any]
    flagged: int = 0
    length: int = 0
    retries: int = 0
    model_seconds: float = 0.0
    events: int = 0
    rejected: int = 0
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failure: Invocation | None = None
    before: Invocation | None = field(default=None, repr=False)

    def take(self, invocation: Invocation) -> None:
        """Count an output in."""
        self.length += 1
        self.retries += max(invocation.attempts - 1, 0)
        self.model_seconds += invocation.latency_seconds or 0.0
        self.started_at = self.started_at or invocation.started_at
        self.completed_at = invocation.completed_at or self.completed_at
        self.before = invocation

    def fail(self, invocation: Invocation) -> None:
        """Count a step without an output in."""
        self.events += 1
        if self.failure is None and invocation.error_kind != "cancelled":
            self.failure = invocation


def state_of(run: Run) -> str:
    """What tells, as JSON, whether a run has gone on since: it is a fingerprint."""
    return json.dumps([run.id, run.state, run.end_reason, run.completed, run.failed])


def experiment_row(key: str, network: Network, runs: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """The row of ``imported_experiments``; ``runs`` are the rows of that table."""
    return {
        "experiment": key,
        "source_id": source_id(network.id),
        "system": SYSTEM,
        "era": "live",
        "source_schema": "live store",
        "source_file": network.name,
        "networks": _json(list(dict.fromkeys(row["network"] for row in runs))),
        "prompts": _json(list(dict.fromkeys(row["prompt"] for row in runs))),
        "embedding_models": "[]",
        "max_length": max((row["max_length"] for row in runs), default=1),
        "imported_at": now,
    }


def invocation_row(key: dict[str, Any], of: Trajectory, place: int, row: Invocation, device: str | None) -> Any:
    """The row of ``invocations`` of an output; what it is when it is a medium is added by the caller."""
    return {
        **key,
        "sequence_number": place,
        "invocation_id": invocation_id(of.planned["run_id"], place),
        "model": row.model,
        "type": row.output_medium,
        "seed": row.seed,
        "device": device,
        "text": row.output_text,
        "flags": [],
        "model_seconds": row.latency_seconds,
        "retries": max(row.attempts - 1, 0),
        "started_at": row.started_at,
        "completed_at": row.completed_at,
    }


def source_row(key: dict[str, Any], of: Trajectory, place: int, row: Invocation) -> dict[str, Any]:
    """The row of ``imported_invocations``."""
    return {
        **key,
        "sequence_number": place,
        "source_id": source_id(row.id),
        "input_source_id": source_id(of.before.id) if of.before else None,
        "inserted_at": row.created_at,
        "updated_at": row.completed_at,
    }


def medium_row(key: dict[str, Any], place: int, medium: Medium) -> dict[str, Any]:
    """The row of ``images`` or ``sounds``."""
    return {**key, "sequence_number": place, **medium.row}


def event_row(key: str, run_number: int, row: Invocation, device: str | None) -> dict[str, Any]:
    """A step without an output, as a row of ``events`` without its number. Its message names it once and for all."""
    return {
        "experiment": key,
        "happened_at": row.completed_at or row.created_at,
        "kind": _KINDS.get(row.error_kind or "", "error"),
        "model": row.model,
        "device": device,
        "message": f"live step {row.sequence_number} ({row.id}): {row.error_kind}: {row.error}",
        "run_numbers": [run_number],
    }


def outcome_row(key: dict[str, Any], of: Trajectory, run: Run, is_last: bool) -> dict[str, Any]:
    """How a trajectory ended. Why a live run ended is no reason of the lake, except at its length or with an error."""
    error, failed_at = None, None
    if of.failure is not None:
        reason, error = "failed", f"{of.failure.error_kind}: {of.failure.error}"
        failed_at = of.failure.completed_at
    elif is_last and run.end_reason == "failed":
        reason, error, failed_at = "failed", run.error or "the live run failed", run.ended_at
    elif is_last and run.end_reason == "length" and of.length >= of.planned["max_length"]:
        reason = "length"
    else:
        reason = "unknown"
    return {
        **key,
        "stop_reason": reason,
        "length": of.length,
        "error": error,
        "failed_at": failed_at,
        "flagged": of.flagged,
        "retries": of.retries,
        "model_seconds": of.model_seconds,
        "started_at": of.started_at,
        "completed_at": failed_at or of.completed_at or run.ended_at,
        "events": of.events,
    }


def imported_row(key: dict[str, Any], of: Trajectory, run: Run, is_last: bool) -> dict[str, Any]:
    """The row of ``imported_runs``: why the live run ended, in its own words."""
    counts = {"imported": of.length, "failed": of.events, "rejected": of.rejected}
    return {
        **key,
        "source_id": source_id(run.id),
        "source_run_number": run.number,
        "source_stop_reason": (run.end_reason or run.state) if is_last else "skipped",
        "source_invocations": sum(counts.values()),
        "rejected": of.rejected,
        "tally": _json({"invocations": {name: count for name, count in counts.items() if count}}),
        "fingerprint": state_of(run),
        "inserted_at": run.started_at,
        "updated_at": run.ended_at,
    }


def longest(run: Run, network: Network, length: int) -> int:
    """Length at which a run was to stop; where there was no such limit, that which it has."""
    if run.end_reason == "length":
        return max(run.completed + run.failed, 1)
    return max(network.limits.invocations or length, length, 1)


def runs_row(key: dict[str, Any], identity: bytes, run: Run, prompt_number: int, replicate: int) -> dict[str, Any]:
    """The row of ``runs``, without its longest length."""
    return {
        **key,
        "run_id": identity,
        "network": ARROW.join(run.models),
        "models": list(run.models),
        "prompt_number": prompt_number,
        "prompt": run.prompt,
        "seed": UNSEEDED,
        "replicate": replicate,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
