"""What happens in a study, told to its monitor as server-sent events, at most twice a second.

Here belongs the stream. It begins with ``state``: the trials that run, those that ended last, and their curves; it goes
on with ``trials``: what is new. Who comes back with Last-Event-ID is told what it missed, or the state again where that
is too much. Training may be any process: its changes are found in the event store.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from fastapi import Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from panic_assets.reports.study.contents import trial_of
from panic_assets.reports.study.curves import SIGMA
from panic_assets.studies.events.rows import MetricRow, TrialRow
from panic_assets.studies.records import FINAL
from panic_assets.web.api.routing import router
from panic_assets.web.api.studies import StudyName
from panic_assets.web.api.study_room import Studies, StudyRoom, counted
from panic_assets.web.api.study_shapes import curves_of
from panic_assets.web.errors import Problem, too_many
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Known, Room, identify
from panic_assets.web.security.policy import Rule, add_rules
from panic_assets.web.streams import HeldStream, LastId, event_of

add_rules({"GET /api/studies/{study}/events": Rule("operator")})
study_stream = router("studies")

#: Seconds between two looks: pages are told at most so often, however many events there are.
PERIOD = 0.5
#: Trials whose curves are shown: all that run come first.
SHOWN = 60
#: Points of a curve for whoever comes late.
POINTS = 60
#: Changes beyond which who was away is given the state anew.
_MOST_MISSED = 2000
#: Metrics of a trial that are told; singular values of layers are on the trial's own page.
_MOST_METRICS = 8
#: Periods between two looks whether the caller may still see it.
_CHECKED_EVERY = 60
_LONGEST = 200  # characters of an error


@study_stream.get(
    "/api/studies/{study}/events",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Events `state` and `trials`, each with its place as id",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def study_events(
    request: Request, study: StudyName, live: Room, caller: Known, room: Studies, last_event_id: LastId = None
) -> Response:
    """What happens in a study."""
    await live.thread(room.mark, study)
    if live.closing.is_set():
        raise Problem(503, "the server is stopping", "come again in a moment", {"Retry-After": "5"})
    if not live.streams.take(caller.address):
        raise too_many("streams", 10.0)
    is_place = bool(last_event_id and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19)
    after = int(last_event_id or "") if is_place else None
    return HeldStream(live, caller.address, _told(request, live, room, study, after))


async def _told(
    request: Request, live: Live, room: StudyRoom, study: str, after: int | None
) -> AsyncIterator[ServerSentEvent]:
    ends = asyncio.get_running_loop().time() + live.settings.stream_seconds
    yield ServerSentEvent(retry=2000, comment="welcome")
    looks = 0
    while not live.closing.is_set() and asyncio.get_running_loop().time() < ends:
        looks += 1
        if looks % _CHECKED_EVERY == 0 and not (await identify(request)).has("read"):
            return
        kind, data, place = await live.thread(_news, room, study, after)
        if data is not None:
            yield event_of(kind, data, place)
        after = place
        try:
            await asyncio.wait_for(live.closing.wait(), PERIOD)
        except TimeoutError:
            continue


def _news(room: StudyRoom, study: str, after: int | None) -> tuple[str, dict[str, Any] | None, int]:
    """What to tell who knows all until ``after``: kind and data, None for nothing, and the place that this leads to."""
    if after is None:
        place, _ = room.store.changes(2**62)
        return "state", state_of(room, study), place
    place, changes = room.store.changes(after)
    own = [change for change in changes if change.study == study]
    if place < after or len(own) > _MOST_MISSED:  # another store than the one the place was of, or too much
        return "state", state_of(room, study), place
    if not own:
        return "trials", None, place
    wanted = {change.key for change in own if change.kind in ("trial", "metrics")}
    trials = [row for row in (room.store.trial(trial_id, study) for trial_id in sorted(wanted)) if row is not None]
    fresh = [row for row in room.store.metrics(study=study, after=after) if row.trial_id in wanted]
    return "trials", _shown(trials, fresh) | {"counts": _counts(room, study)}, place


def state_of(room: StudyRoom, study: str) -> dict[str, Any]:
    """What a monitor shows at this moment: all trials that run, then those that ended last."""
    rows = room.trials(study)
    running = [row for row in rows if row.state not in FINAL]
    over = sorted((row for row in rows if row.state in FINAL), key=lambda row: str(row.finished_at or ""), reverse=True)
    shown = [*running, *over[: max(SHOWN - len(running), 12)]]
    metrics = [point for row in shown[:SHOWN] for point in room.metrics(study, row.trial_id)]
    return _shown(shown, metrics) | {"counts": _counts(room, study)}


def _counts(room: StudyRoom, study: str) -> dict[str, int]:
    return next((counted(row) for row in room.store.studies() if row.study == study), {})


def _shown(trials: Sequence[TrialRow], metrics: Iterable[MetricRow]) -> dict[str, Any]:
    kept = [row for row in metrics if not row.metric.startswith(SIGMA)]
    points = {
        trial_id: dict(list(curves.items())[:_MOST_METRICS]) for trial_id, curves in curves_of(kept, POINTS).items()
    }
    return {"trials": [_trial(row) for row in trials], "points": points}


def _trial(row: TrialRow) -> dict[str, Any]:
    # The store's own word for what is told: an arm for every trial, times as ISO 8601.
    known = trial_of({"trial_id": row.trial_id, "arm": row.arm, "spectral_norm": row.spectral_norm})
    final = {name: value for name, value in row.metrics.items() if value is not None and math.isfinite(value)}
    return {
        "id": row.trial_id,
        "arm": known.arm,
        "spectral_norm": row.spectral_norm,
        "mode": row.mode,
        "pair": row.pair,
        "state": row.state,
        "error": (row.error_type or row.error_message or "")[:_LONGEST],
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "duration_ms": row.duration_ms,
        "accuracy": final.get("test_accuracy", final.get("validation_accuracy")),
        "loss": final.get("test_loss", final.get("validation_loss")),
    }
