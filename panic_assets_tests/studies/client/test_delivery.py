"""One attempt after the other, against a real server in all its moods; no test here waits for a pause to end."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from panic_assets.studies.client import ClientError, HttpTransport, LocalTransport, Outbox, Transport
from panic_assets.studies.client.delivery import Delivery, Pauses
from panic_assets.studies.client.events import event
from panic_assets.studies.client.transports import ENDPOINT, Answer, seconds_asked
from panic_assets_tests.studies.client.platform import Platform

PAUSES = Pauses(first=1.0, longest=8.0)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.db")


@pytest.fixture
def through(outbox: Outbox) -> Iterator[Callable[[Transport], Delivery]]:
    used: list[Transport] = []

    def delivery(transport: Transport) -> Delivery:
        used.append(transport)
        return Delivery(outbox, transport, PAUSES)

    yield delivery
    for transport in used:
        transport.close()


def put(outbox: Outbox, *steps: int, **more: Any) -> None:
    for step in steps:
        outbox.add(event("ml.run.metric", {"trial_id": "t", "step": step, **more}, source="me"))


def test_pauses_double_up_to_the_longest_and_heed_what_is_asked_within_reason() -> None:
    assert [PAUSES.after(failures, None) for failures in range(1, 7)] == [1, 2, 4, 8, 8, 8]
    assert PAUSES.after(1, 5.0) == 5
    assert PAUSES.after(6, 5.0) == 8
    assert PAUSES.after(1, 1e9) == 80
    assert PAUSES.after(10**6, None) == 8


def test_all_that_waits_goes_in_one_batch(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, *range(20))
    delivery = through(platform.transport())
    assert [delivery.attempt(), delivery.attempt()] == [0.0, None]
    assert platform.steps == list(range(20))
    assert len(platform.requests) == 1
    assert (delivery.delivered, outbox.waiting()) == (20, 0)


@pytest.mark.parametrize("manner", [500, 502, 503, 429, 408, 401, 403, 404, 405, 301, 200, "hang", "drip"])
def test_what_is_no_verdict_on_the_events_is_tried_again(
    platform: Platform, outbox: Outbox, through: Any, manner: int | str
) -> None:
    put(outbox, 0, 1)
    platform.manners = [manner] * 3
    delivery = through(platform.transport(timeout=0.1))
    assert [delivery.attempt() for _ in range(3)] == [1.0, 2.0, 4.0]
    assert platform.events == []
    assert (outbox.waiting(), outbox.refused()) == (2, [])
    assert (str(manner) if isinstance(manner, int) else platform.url) in delivery.problem
    put(outbox, 2)
    assert [delivery.attempt(), delivery.attempt()] == [0.0, None]
    assert platform.steps == [0, 1, 2]
    assert delivery.problem is None


def test_a_platform_that_is_not_there_is_waited_for(platform: Platform, outbox: Outbox, through: Any) -> None:
    platform.stop()
    put(outbox, 0)
    delivery = through(platform.transport())
    assert [delivery.attempt() for _ in range(5)] == [1, 2, 4, 8, 8]
    platform.start()
    assert delivery.attempt() == 0.0
    assert platform.steps == [0]


def test_an_answer_that_is_lost_doubles_nothing(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, 0, 1)
    platform.manners = ["lose", "lose"]
    delivery = through(platform.transport())
    assert [delivery.attempt(), delivery.attempt()] == [1.0, 2.0]
    put(outbox, 2)
    assert delivery.attempt() == 0.0
    assert platform.steps == [0, 1, 2]
    assert len(platform.requests) == 3


@pytest.mark.parametrize("status", [400, 409, 415, 422])
def test_a_refused_event_is_set_aside_and_told(
    platform: Platform, outbox: Outbox, through: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, 0)
    platform.manners = [status]
    assert through(platform.transport()).attempt() == 0.0
    (refused,) = outbox.refused()
    assert f"answered {status}" in refused.reason
    assert refused.body["payload"]["step"] == 0
    assert "refuses an event" in caplog.text
    assert outbox.waiting() == 0


def test_bad_events_hold_up_no_other(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, *range(32))
    platform.refuses = lambda one: one["payload"]["step"] in (0, 13, 31)
    delivery = through(platform.transport())
    assert delivery.attempt() == 0.0
    assert platform.steps == [step for step in range(32) if step not in (0, 13, 31)]
    assert [one.body["payload"]["step"] for one in outbox.refused()] == [0, 13, 31]
    assert len(platform.requests) < 32
    assert outbox.waiting() == 0


def test_a_failure_among_the_halves_keeps_the_rest_in_order(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, *range(8))
    platform.refuses = lambda one: one["payload"]["step"] == 6
    platform.manners = [202, 202, 503]  # all eight, the first half, then the second half meets an outage
    delivery = through(platform.transport())
    assert delivery.attempt() == 1.0
    assert (platform.steps, outbox.waiting()) == ([0, 1, 2, 3], 4)
    assert delivery.attempt() == 0.0
    assert platform.steps == [0, 1, 2, 3, 4, 5, 7]


def test_a_batch_that_is_too_large_is_divided(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, *range(10), note="x" * 500)
    put(outbox, 10, note="x" * 5000)
    platform.most_bytes = 2000
    assert through(platform.transport()).attempt() == 0.0
    assert platform.steps == list(range(10))
    (refused,) = outbox.refused()
    assert (refused.body["payload"]["step"], "413" in refused.reason) == (10, True)


def test_a_batch_holds_as_many_as_the_platform_takes(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, *range(501))
    delivery = through(platform.transport())
    assert [delivery.attempt(), delivery.attempt(), delivery.attempt()] == [0.0, 0.0, None]
    assert [len(json.loads(body).get("events", [0])) for _, body in platform.requests] == [500, 1]
    assert platform.steps == list(range(501))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("5", 5.0), ("0.5", 0.5), ("-3", 0.0), ("nan", None), ("soon", None), (None, None)],
)
def test_what_the_platform_asks_for_is_read(header: str | None, seconds: float | None) -> None:
    assert seconds_asked(header) == seconds


def test_a_date_to_come_back_at_is_read() -> None:
    asked = seconds_asked(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert asked is not None
    assert 3000 < asked <= 3600


def test_a_busy_platform_is_left_alone_as_long_as_it_asks(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, 0)
    platform.manners, platform.headers = [429], {"Retry-After": "6"}
    assert through(platform.transport()).attempt() == 6.0


def test_a_token_is_shown(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, 0)
    through(platform.transport(token="panic_secret")).attempt()
    assert platform.requests[0][0]["Authorization"] == "Bearer panic_secret"
    assert platform.requests[0][0]["Content-Type"] == "application/json"


def test_a_secret_signs_time_and_body(platform: Platform, outbox: Outbox, through: Any) -> None:
    put(outbox, 0, 1)
    through(platform.transport(secret="s3")).attempt()
    headers, body = platform.requests[0]
    moment, digest = (part.partition("=")[2] for part in headers["X-Panic-Signature"].split(","))
    assert hmac.new(b"s3", f"{moment}.".encode() + body, hashlib.sha256).hexdigest() == digest
    assert abs(datetime.now(UTC).timestamp() - int(moment)) < 60
    assert "s3" not in str(headers)


@pytest.mark.parametrize("url", ["{}", "{}/", "{}/api/events/ml", "{}/api/events/ml/"])
def test_the_endpoint_is_found(platform: Platform, url: str) -> None:
    assert HttpTransport(url.format(platform.url)).url == platform.url + ENDPOINT


@pytest.mark.parametrize("url", ["", "localhost:3000", "ftp://x", "http://", "http://x:port"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ClientError, match="no address"):
        HttpTransport(url)


def test_a_token_and_a_secret_are_one_too_many() -> None:
    with pytest.raises(ClientError, match="not both"):
        HttpTransport("http://localhost", token="a", secret="b")


class Refusal(Exception):
    status = 422


def test_a_platform_of_the_same_process_may_refuse_or_fail(outbox: Outbox, through: Any) -> None:
    came: list[int] = []
    errors: list[Exception] = [RuntimeError("database is locked"), KeyError("x")]

    def deliver(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if errors:
            raise errors.pop()
        if any(one["payload"]["step"] == 1 for one in events):
            raise Refusal("step 1 is bad")
        came.extend(one["payload"]["step"] for one in events)
        return [{"event_id": one["event_id"], "status": "accepted"} for one in events]

    put(outbox, 0, 1, 2)
    delivery = through(LocalTransport(deliver))
    assert [delivery.attempt() for _ in range(4)] == [1.0, 2.0, 0.0, None]
    assert came == [0, 2]
    assert [one.reason for one in outbox.refused()] == ["Refusal: step 1 is bad"]


def test_receipts_tell_single_events_apart(outbox: Outbox, through: Any, caplog: pytest.LogCaptureFixture) -> None:
    def deliver(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        statuses = ["accepted", "malformed", "duplicate", "dead"]
        pairs = zip(events, statuses, strict=True)
        return [{"event_id": one["event_id"], "status": status, "details": "why"} for one, status in pairs]

    put(outbox, 0, 1, 2, 3)
    delivery = through(LocalTransport(deliver))
    assert [delivery.attempt(), delivery.attempt()] == [0.0, None]
    assert [(one.body["payload"]["step"], one.reason) for one in outbox.refused()] == [(1, "malformed: why")]
    assert (delivery.delivered, delivery.dead, outbox.waiting()) == (3, 1, 0)
    assert "can't apply it (dead: why)" in caplog.text


class Broken:
    """A transport of a trainer's own, with a defect."""

    def send(self, events: Any) -> Answer:
        raise ZeroDivisionError("in a transport")

    def close(self) -> None:
        pass


def test_a_defect_of_a_transport_loses_nothing(outbox: Outbox, through: Any) -> None:
    put(outbox, 0)
    delivery = through(Broken())
    assert [delivery.attempt(), delivery.attempt()] == [1.0, 2.0]
    assert (outbox.waiting(), delivery.problem) == (1, "ZeroDivisionError: in a transport")


def test_an_outage_is_told_once_and_its_end_once(
    platform: Platform, outbox: Outbox, through: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put(outbox, 0)
    platform.manners = [500] * 4
    delivery = through(platform.transport())
    for _ in range(5):
        delivery.attempt()
    assert [record.getMessage()[:27] for record in caplog.records if record.name.startswith("panic_assets")] == [
        "Events wait in " + str(outbox.path)[:12],
        "The platform takes events a",
    ]
