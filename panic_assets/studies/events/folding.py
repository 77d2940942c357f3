"""What all events of a trial or a model run come to: the columns that describe it.

Here belongs a pure function of a set of events: their order and their repetition change nothing. Which state it is in
is decided when each event is taken, by ``applying``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from panic_assets.studies.records import FINAL, State


@dataclass(frozen=True)
class Told:
    """An event that was taken, as it is kept. ``seq`` orders events of one trial at the same moment."""

    name: str
    source: str
    occurred_at: datetime
    seq: int | None
    event_id: str
    payload: Mapping[str, Any]


#: The state that each event puts its trial or run into, where its payload does not say.
_STATES: dict[str, State] = {
    "ml.trial.complete": "completed",
    "ml.trial.failed": "failed",
    "ml.trial.cancelled": "cancelled",
}
#: Columns of a trial that an event may tell, whichever tells last.
_OF_TRIAL = (
    "mode", "arm", "pair", "seed", "parameters", "mlflow_run_id", "candidate_id", "metrics", "artifact_uri",
    "duration_ms", "rank", "warnings", "error_type", "error_message",
)  # fmt: skip
_OF_RUN = ("spec", "requested_trials", "mlflow_experiment_id", "best_metric", "best_trial_id", "error_message")
#: Of a run, without columns of their own.
_BESIDE = ("search_space_version", "max_params")
_EMPTY: dict[str, Any] = {"parameters": {}, "metrics": {}, "warnings": []}


def state_of(name: str, payload: Mapping[str, Any]) -> State:
    """The state that an event of a trial or a run asks for."""
    if name == "ml.trial.failed" and payload.get("error_type") == "timeout":
        return "timed_out"
    state: State = _STATES[name] if name in _STATES else payload["state"]
    return state


def trial_columns(events: Iterable[Told], has_nan: bool) -> dict[str, Any]:
    """What a trial's start and end tell of it; ``has_nan``: some metric of it was no number."""
    told = _in_order(events)
    values: dict[str, Any] = {column: _EMPTY.get(column) for column in _OF_TRIAL}
    for event in told:
        values |= {column: event.payload[column] for column in _OF_TRIAL if event.payload.get(column) is not None}
        if event.payload.get("reason") is not None:
            values["error_message"] = event.payload["reason"]
    if has_nan or None in values["metrics"].values():
        values["error_type"] = values["error_type"] or "nan_loss"
    return {**values, "source": _source(told), **_times(told)}


def run_columns(events: Iterable[Told]) -> dict[str, Any]:
    """What a run's start and end tell of it. ``completed_trials`` is there only if its end tells it."""
    told = _in_order(events)
    values: dict[str, Any] = dict.fromkeys(_OF_RUN)
    metadata: dict[str, Any] = {}
    for event in told:
        values |= {column: event.payload[column] for column in _OF_RUN if event.payload.get(column) is not None}
        metadata |= {key: event.payload[key] for key in _BESIDE if event.payload.get(key) is not None}
        metadata |= event.payload.get("metadata") or {}
        if "completed_trials" in event.payload:
            values["completed_trials"] = event.payload["completed_trials"]
    return {**values, "metadata": metadata or None, "source": _source(told), **_times(told)}


def _in_order(events: Iterable[Told]) -> list[Told]:
    """Ends after starts, whatever the clocks say; then by time, by number, by id."""
    return sorted(
        events,
        key=lambda event: (_is_end(event), event.occurred_at, -1 if event.seq is None else event.seq, event.event_id),
    )


def _is_end(event: Told) -> bool:
    return state_of(event.name, event.payload) in FINAL


def _source(told: list[Told]) -> str:
    return next((event.source for event in reversed(told) if not _is_end(event)), told[-1].source)


def _times(told: list[Told]) -> dict[str, datetime | None]:
    begun = [event.occurred_at for event in told if state_of(event.name, event.payload) == "running"]
    ended = [event.occurred_at for event in told if _is_end(event)]
    return {"started_at": min(begun, default=None), "finished_at": max(ended, default=None)}
