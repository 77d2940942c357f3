"""Events of training: taking them, and the letters that came to nothing.

Here belongs the wire: what is read of a request, and which answer it gets. What events mean is the studies room's.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse

from panic_assets.studies.events.errors import EventError, LettersFull, Malformed, TooLarge, Unprocessable
from panic_assets.studies.events.offers import Offer, Unreadable, offer_of, read
from panic_assets.studies.events.rows import Receipt
from panic_assets.studies.events.schema import StudyKey
from panic_assets.studies.events.wire import parsed
from panic_assets.web.api.routing import Limit, router
from panic_assets.web.api.shapes.ml_events import (
    EVENT_SCHEMA,
    BatchTaken,
    LetterOut,
    LettersOut,
    ReceiptOut,
    Replay,
    Taken,
)
from panic_assets.web.errors import Problem, too_many
from panic_assets.web.live import Live
from panic_assets.web.security.callers import Known, Room
from panic_assets.web.security.policy import note

ml_events = router("training events")
#: Of one request.
MOST_EVENTS = 500
#: Bytes that are read faster than handed to a thread.
_SMALL = 16 * 1024
_REMEDY = "docs/studies-events.md tells what an event looks like"
_MESSAGES = {
    "accepted": "the event is kept",
    "duplicate": "the event was kept before; nothing changed",
    "dead": "the event is kept as a dead letter; details say why",
}


@ml_events.post(
    "/api/events/ml",
    status_code=202,
    response_model=Taken | BatchTaken,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": EVENT_SCHEMA}}}},
)
async def take_events(request: Request, live: Room, caller: Known) -> Response:
    """Take one event of training, or a batch of at most 500. What is answered with 202 is on the disk."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "what is sent is compressed", "send it as it is")
    raw = await request.body()
    key = caller.token.id if caller.token else caller.address
    _pay(live, key, 1)
    try:
        offers, is_batch = _read(raw) if len(raw) <= _SMALL else await live.take(_read, raw)
    except EventError as error:
        raise Problem(error.status, str(error), _REMEDY, None, **error.told()) from None
    _pay(live, key, len(offers) - 1)
    try:
        receipts = await live.event_intake.take(offers)
    except LettersFull as error:
        raise Problem(503, str(error), "tell the operator", {"Retry-After": "60"}) from None
    # As a response of its own: checking what was just made would take longer than making it.
    answer = _batch(receipts) if is_batch else _single(receipts[0], offers[0])
    return JSONResponse(answer.model_dump(), 202)


@ml_events.get("/api/events/ml/dead-letters")
async def list_dead_letters(
    live: Room,
    study: Annotated[StudyKey | None, Query(description="those of that study")] = None,
    limit: Limit = 100,
    after: Annotated[int, Query(ge=0, le=2**62, description="those with ids above it")] = 0,
) -> LettersOut:
    """Events that could not be applied, the oldest first, and why."""
    letters = await live.thread(live.events.dead_letters, study, limit, after)
    total = await live.thread(live.events.count_dead_letters)
    return LettersOut(total=total, letters=[LetterOut.of(letter) for letter in letters])


@ml_events.post("/api/events/ml/dead-letters/replay")
async def replay_dead_letters(request: Request, given: Replay, live: Room) -> BatchTaken:
    """Try dead letters again, all or those named. Those that can be applied now are gone from the list."""
    receipts = await live.take(live.events.replay, given.letter_ids)
    answer = _batch(receipts)
    note(request, "dead letters", accepted=answer.accepted, dead=answer.dead)
    return answer


@ml_events.delete("/api/events/ml/dead-letters/{letter_id}", status_code=204)
async def discard_dead_letter(letter_id: Annotated[int, Path(ge=1, le=2**62)], live: Room) -> None:
    """Forget a dead letter for good."""
    if not await live.thread(live.events.discard, [letter_id]):
        raise Problem(404, f"there is no dead letter {letter_id}", "look at the list; it may have been replayed")


def _pay(live: Live, key: str, events: int) -> None:
    wait = live.event_rates.wait(key, events)
    if wait:
        raise too_many("training events", wait)


def _read(raw: bytes) -> tuple[list[Offer | Unreadable], bool]:
    """What was sent, and whether it is a batch. In a batch single events may be unreadable.

    Raises:
        EventError: the request as a whole can't be read, or its only event can't.
    """
    body = parsed(raw)
    if not isinstance(body, dict) or "events" not in body:
        return [offer_of(body)], False
    bodies: Any = body["events"]
    if len(body) > 1:
        raise Malformed("validation_failed", ['a batch is {"events": [...]} and nothing beside it'])
    if not isinstance(bodies, list) or not bodies:
        raise Unprocessable("validation_failed", [f"events: a list of 1 to {MOST_EVENTS} events is expected"])
    if len(bodies) > MOST_EVENTS:
        raise TooLarge("too_many_events", [f"events: {len(bodies)} of them; send at most {MOST_EVENTS} at once"])
    return [read(body) for body in bodies], True


def _single(receipt: Receipt, offer: Offer | Unreadable) -> Taken:
    assert isinstance(offer, Offer)
    assert receipt.event_id is not None
    return Taken(
        event_id=receipt.event_id,
        event_name=offer.event.name,
        correlation_id=offer.event.correlation_id,
        status=receipt.status,
        message=_MESSAGES[receipt.status],
        details=list(receipt.details),
    )


def _batch(receipts: list[Receipt]) -> BatchTaken:
    counts = {status: sum(receipt.status == status for receipt in receipts) for status in _MESSAGES}
    return BatchTaken(
        accepted=counts["accepted"],
        duplicates=counts["duplicate"],
        dead=counts["dead"],
        receipts=[ReceiptOut.of(receipt) for receipt in receipts],
    )
