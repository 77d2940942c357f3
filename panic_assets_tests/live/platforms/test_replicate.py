from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from panic_assets.live.media import data_uri, picture, tone
from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.platforms.replicate import Replicate
from panic_assets.live.values import Value
from panic_assets_tests.live.platforms.parts import KEY, Calls, invoke, model, refused, run, until
from panic_assets_tests.live.platforms.upstream import Reply, Upstream

MODEL, BEGIN, LOOK, CANCEL = (
    "/v1/models/maker/thing",
    "/v1/predictions",
    "/v1/predictions/p1",
    "/v1/predictions/p1/cancel",
)
DIGEST = bytes(range(32))


def done(output: Any, **more: Any) -> Reply:
    return Reply({"id": "p1", "status": "succeeded", "output": output, "metrics": {"predict_time": 2.0}, **more})


def at(status: str, **more: Any) -> Reply:
    return Reply({"id": "p1", "status": status, "output": None, **more})


@pytest.fixture
def opened(upstream: Upstream) -> partial[Replicate]:
    upstream.plays("GET", MODEL, Reply({"latest_version": {"id": "v1"}}))
    upstream.plays("POST", BEGIN, Reply({"id": "p1", "status": "starting"}, 201))
    upstream.plays("GET", LOOK, done("a boat"))
    upstream.plays("POST", CANCEL, Reply({"id": "p1", "status": "canceled"}))
    return partial(Replicate, f"{upstream.url}/v1/")


def test_the_life_of_a_prediction(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", LOOK, at("starting"), at("processing"), at("processing"), done(["a ", "boat "]))
    settings = {"input": {"max_tokens": 100}, "price_per_second": 0.001}
    got = invoke(opened, calls.call(model("replicate", settings=settings)))
    assert got.value == Value("text", text="a boat")
    assert got.cost == pytest.approx(0.002)
    assert got.upstream_id == "p1"
    assert calls.begun == ["p1"]
    (asked,) = upstream.of("POST", BEGIN)
    assert asked.body == {"version": "v1", "input": {"prompt": "a red boat", "max_tokens": 100}}
    assert {one.headers["authorization"] for one in upstream.asked} == {f"Bearer {KEY}"}
    assert calls.clock.slept == [0.25, 0.375, 0.5625, 0.84375]
    assert not upstream.of("POST", CANCEL)


def test_waits_grow_to_a_bound(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", LOOK, *[at("processing")] * 20, done("x"))
    invoke(opened, calls.call(model("replicate", timeout_seconds=300)))
    assert max(calls.clock.slept) == 5.0
    assert calls.clock.slept == sorted(calls.clock.slept)


def test_versions_are_looked_up_once_an_hour(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    async def work() -> None:
        platform = opened()
        for _ in range(3):
            await platform.invoke(calls.call(model("replicate")))
        assert len(upstream.of("GET", MODEL)) == 1
        await calls.clock.sleep(3600)
        await platform.invoke(calls.call(model("replicate")))
        assert len(upstream.of("GET", MODEL)) == 2
        upstream.plays("POST", BEGIN, Reply({"detail": "Invalid version"}, 422))
        with pytest.raises(PlatformError):
            await platform.invoke(calls.call(model("replicate")))
        with pytest.raises(PlatformError):
            await platform.invoke(calls.call(model("replicate")))
        assert len(upstream.of("GET", MODEL)) == 3, "a version that is refused is looked up anew"
        await platform.close()

    run(work())


def test_a_pinned_version_is_not_looked_up(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    invoke(opened, calls.call(model("replicate", settings={"version": "0" * 64})))
    assert not upstream.of("GET", MODEL)
    assert upstream.of("POST", BEGIN)[0].body["version"] == "0" * 64


@pytest.mark.parametrize(
    ("output", "settings", "text"),
    [
        ("a boat", {}, "a boat"),
        (["a", " ", "boat"], {}, "a boat"),
        ({"text": "a boat"}, {}, "a boat"),
        ({"transcription": "a boat", "language": "en"}, {}, "a boat"),
        ({"said": "a boat", "text": "x"}, {"output_key": "said"}, "a boat"),
        ({"text": "{'<DETAILED_CAPTION>': 'a \"red\" boat'}"}, {"repair_key": "DETAILED_CAPTION"}, 'a "red" boat'),
        ({"text": "{'<DETAILED_CAPTION>': \"it's a boat\"}"}, {"repair_key": "DETAILED_CAPTION"}, "it's a boat"),
        ('{"DETAILED_CAPTION": "a boat"}', {"repair_key": "DETAILED_CAPTION"}, "a boat"),
    ],
)
def test_texts(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, output: Any, settings: dict[str, Any], text: str
) -> None:
    upstream.plays("GET", LOOK, done(output))
    assert invoke(opened, calls.call(model("replicate", settings=settings))).value.text == text


@pytest.mark.parametrize(
    "output",
    [
        "https://x.test/a.wav",
        ["https://x.test/a.wav"],
        {"wav": "https://x.test/a.wav"},
        {"audio": "https://x.test/a.wav"},
    ],
)
def test_media_as_addresses(upstream: Upstream, opened: partial[Replicate], calls: Calls, output: Any) -> None:
    upstream.plays("GET", LOOK, done(output))
    got = invoke(opened, calls.call(model("replicate", gives="audio", cost_per_call=0.06)))
    assert got.value == Value("audio", url="https://x.test/a.wav")
    assert got.cost == 0.06


def test_media_as_data(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    data = picture(DIGEST, "png")
    upstream.plays("GET", LOOK, done([data_uri(data, "application/octet-stream")]))
    got = invoke(opened, calls.call(model("replicate", gives="image")))
    assert got.value == Value("image", data=data, media_type="image/png")


@pytest.mark.parametrize(
    ("gives", "output"),
    [
        ("text", None),
        ("text", ""),
        ("text", []),
        ("text", [1]),
        ("text", {"nothing": "known"}),
        ("text", 3),
        ("image", None),
        ("image", []),
        ("image", ["file:///etc/passwd"]),
        ("image", {"wav": None}),
        ("image", "data:image/png;base64,%%%"),
    ],
)
def test_outputs_that_are_none(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, gives: str, output: Any
) -> None:
    upstream.plays("GET", LOOK, done(output))
    error = refused(opened, calls.call(model("replicate", gives=gives, cost_per_call=0.5)))
    assert (error.kind, error.cost) == ("invalid", 0.5)


def test_text_in_quotes_that_can_not_be_read(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    wanted = model("replicate", settings={"repair_key": "CAPTION"})
    for output in ("plain", "{'OTHER': 'x'}", "[" * 5000, "{'CAPTION': 3}", "__import__('os')"):
        upstream.plays("GET", LOOK, done(output))
        assert refused(opened, calls.call(wanted)).kind == "invalid"


def test_templates_and_keys(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    settings = {"template": "Sing of {text}!", "input_key": "prompt_a"}
    invoke(opened, calls.call(model("replicate", settings=settings), "a {text} boat"))
    assert upstream.of("POST", BEGIN)[0].body["input"] == {"prompt_a": "Sing of a {text} boat!"}


@pytest.mark.parametrize(
    ("takes", "data", "kind"), [("image", picture(DIGEST), "webp"), ("audio", tone(DIGEST), "wav")]
)
def test_media_go_along_as_data(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, takes: Any, data: bytes, kind: str
) -> None:
    given = Value(takes, data=data, media_type="application/octet-stream", url="https://x.test/old")
    invoke(opened, calls.call(model("replicate", takes=takes), given))
    assert upstream.of("POST", BEGIN)[0].body["input"] == {takes: data_uri(data, f"{takes}/{kind}")}


def test_media_that_are_only_an_address_or_too_large(
    upstream: Upstream, opened: partial[Replicate], calls: Calls
) -> None:
    wanted = model("replicate", takes="image", settings={"input_key": "media"})
    invoke(opened, calls.call(wanted, Value("image", url="https://x.test/a.webp")))
    invoke(opened, calls.call(wanted, Value("image", data=b"x" * 2_000_000, url="https://x.test/b.webp")))
    inputs = [one.body["input"]["media"] for one in upstream.of("POST", BEGIN)]
    assert inputs == ["https://x.test/a.webp", "https://x.test/b.webp"]
    assert refused(opened, calls.call(wanted, Value("image", key="aa/b.webp"))).kind == "internal"


def test_the_pair_that_makes_a_picture_again(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    edit = {"path": "maker/editor", "input_key": "input_image", "input": {"guidance": 2.5}}
    first = model("replicate", gives="image", settings={"edit": edit})
    upstream.plays("GET", "/v1/models/maker/editor", Reply({"latest_version": {"id": "v2"}}))
    upstream.plays("GET", LOOK, done("https://x.test/a.png"))
    invoke(opened, calls.call(first))
    invoke(opened, calls.call(first, "https://x.test/a.png"))
    drawn, edited = (one.body for one in upstream.of("POST", BEGIN))
    assert drawn == {"version": "v1", "input": {"prompt": "a red boat"}}
    assert edited == {"version": "v2", "input": {"guidance": 2.5, "input_image": "https://x.test/a.png"}}
    second = model("replicate", takes="image", settings={"gives_address": True})
    got = invoke(opened, calls.call(second, Value("image", data=b"x", url="https://x.test/a.png")))
    assert (got.value.text, got.cost) == ("https://x.test/a.png", 0.0)
    assert refused(opened, calls.call(second, Value("image", data=b"x"))).kind == "invalid"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (at("failed", error="NSFW content detected", metrics={"predict_time": 3}), "moderation"),
        (at("failed", error="The input was flagged as sensitive (E005)"), "moderation"),
        (at("failed", error="Prediction interrupted; please retry (code: PA)"), "transient"),
        (at("failed", error="IndexError: list index out of range"), "invalid"),
        (at("failed", error=None), "invalid"),
        (at("canceled"), "cancelled"),
        (at("aborted"), "invalid"),
    ],
)
def test_predictions_that_end_badly(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, reply: Reply, kind: str
) -> None:
    upstream.plays("GET", LOOK, at("processing"), reply)
    error = refused(opened, calls.call(model("replicate", cost_per_call=9, settings={"price_per_second": 0.01})))
    assert error.kind == kind
    assert error.cost == (0.03 if "metrics" in reply.body else None)
    assert len(upstream.of("POST", BEGIN)) == 1
    assert upstream.of("POST", BEGIN)[0].body["input"] == {"prompt": "a red boat"}, "a prompt is never replaced"
    assert not upstream.of("POST", CANCEL)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply({"detail": f"no such key {KEY}"}, 401), "auth"),
        (Reply({"detail": "pay"}, 402), "quota"),
        (Reply({"detail": "slowly"}, 429, {"Retry-After": "3"}), "quota"),
        (Reply({"detail": "gone"}, 410), "invalid"),
        (Reply({"detail": "what?"}, 422), "invalid"),
        (Reply({"detail": "oh"}, 500), "transient"),
        (Reply(cut=True), "transient"),
        (Reply({"status": "starting"}, 201), "invalid"),
        (Reply({"id": "../../x"}, 201), "invalid"),
        (Reply([], 201), "invalid"),
        (Reply(b"not json", 201), "invalid"),
    ],
)
def test_beginning_is_never_repeated(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, reply: Reply, kind: str
) -> None:
    upstream.plays("POST", BEGIN, reply)
    error = refused(opened, calls.call(model("replicate")))
    assert error.kind == kind
    assert error.retry_after == (3.0 if reply.status == 429 else None)
    assert KEY not in str(error)
    assert len(upstream.of("POST", BEGIN)) == 1
    assert calls.begun == []


def test_looking_is_repeated(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", MODEL, Reply(None, 500), Reply(cut=True), Reply({"latest_version": {"id": "v1"}}))
    busy = Reply({"detail": "slowly"}, 429, {"Retry-After": "9"})
    upstream.plays("GET", LOOK, Reply(None, 502), at("processing"), Reply(cut=True), busy, done("a boat"))
    assert invoke(opened, calls.call(model("replicate", timeout_seconds=60))).value.text == "a boat"
    assert len(upstream.of("POST", BEGIN)) == 1
    assert 9.0 in calls.clock.slept


def test_looking_is_not_repeated_for_ever(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", MODEL, Reply(None, 500))
    assert refused(opened, calls.call(model("replicate"))).kind == "transient"
    assert len(upstream.of("GET", MODEL)) == 3
    upstream.plays("GET", MODEL, Reply({"latest_version": {"id": "v1"}}))
    upstream.plays("GET", LOOK, Reply(None, 500))
    assert refused(opened, calls.call(model("replicate", timeout_seconds=1000))).kind == "transient"
    assert len(upstream.of("GET", LOOK)) == 9
    assert len(upstream.of("POST", CANCEL)) == 1, "nobody will see its end"


@pytest.mark.parametrize(
    "reply", [Reply({"detail": "x"}), Reply({"latest_version": None}), Reply([]), Reply({"detail": "x"}, 404)]
)
def test_models_without_a_version(upstream: Upstream, opened: partial[Replicate], calls: Calls, reply: Reply) -> None:
    upstream.plays("GET", MODEL, reply)
    assert refused(opened, calls.call(model("replicate"))).kind == "invalid"
    assert not upstream.of("POST", BEGIN)


def test_a_path_that_is_none(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    assert refused(opened, calls.call(model("replicate", path="../predictions"))).kind == "invalid"
    assert not upstream.asked


def test_a_status_that_is_none_is_cancelled(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    for body in ([], {"status": 3}, {}):
        upstream.plays("GET", LOOK, Reply(body))
        assert refused(opened, calls.call(model("replicate"))).kind == "invalid"
    assert len(upstream.of("POST", CANCEL)) == 3


def test_a_deadline_cancels_upstream(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", LOOK, at("processing"))
    error = refused(opened, calls.call(model("replicate", timeout_seconds=20)))
    assert error.kind == "timeout"
    assert "20 seconds" in str(error)
    assert sum(calls.clock.slept) == pytest.approx(20)
    assert len(upstream.of("POST", CANCEL)) == 1


def test_a_cancelled_call_cancels_upstream(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    held = threading.Event()
    upstream.plays("GET", LOOK, at("processing"), Reply({"status": "processing"}, holds=held))

    async def work() -> None:
        platform = opened()
        task = asyncio.create_task(platform.invoke(calls.call(model("replicate"))))
        await until(lambda: len(upstream.of("GET", LOOK)) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(upstream.of("POST", CANCEL)) == 1, "before it lets go"
        held.set()
        await platform.close()

    run(work())


def test_a_call_cancelled_while_it_begins(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    """The answer to the beginning is waited for: without the identifier nothing could be cancelled."""
    held = threading.Event()
    upstream.plays("POST", BEGIN, Reply({"id": "p1"}, 201, holds=held))

    async def work() -> None:
        platform = opened()
        task = asyncio.create_task(platform.invoke(calls.call(model("replicate"))))
        await until(lambda: len(upstream.of("POST", BEGIN)) == 1)
        task.cancel()
        await asyncio.sleep(0.02)
        task.cancel()  # an impatient caller gets away, and the rest goes on without it
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not upstream.of("POST", CANCEL)
        held.set()
        await platform.close()
        assert len(upstream.of("POST", CANCEL)) == 1

    run(work())


def test_a_record_that_fails_cancels_upstream(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    async def broken(identifier: str) -> None:
        raise OSError("disk full")

    calls._started = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk full"):
        invoke(opened, calls.call(model("replicate")))
    assert len(upstream.of("POST", CANCEL)) == 1


def test_resuming_does_not_pay_again(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", LOOK, at("processing"), done("a boat"))
    got = invoke(opened, calls.call(model("replicate"), resume="p1"))
    assert (got.value.text, got.upstream_id) == ("a boat", "p1")
    assert calls.begun == []
    assert not upstream.of("POST", BEGIN)
    assert not upstream.of("GET", MODEL)


@pytest.mark.parametrize(
    "reply", [Reply({"detail": "no such"}, 404), at("canceled"), at("aborted"), at("succeeded", data_removed=True)]
)
def test_resuming_what_is_lost_begins_anew(
    upstream: Upstream, opened: partial[Replicate], calls: Calls, reply: Reply
) -> None:
    upstream.plays("GET", "/v1/predictions/old", reply)
    got = invoke(opened, calls.call(model("replicate"), resume="old"))
    assert (got.value.text, got.upstream_id, calls.begun) == ("a boat", "p1", ["p1"])


def test_resuming_what_failed_does_not_begin_anew(upstream: Upstream, opened: partial[Replicate], calls: Calls) -> None:
    upstream.plays("GET", LOOK, at("failed", error="NSFW"))
    assert refused(opened, calls.call(model("replicate"), resume="p1")).kind == "moderation"
    assert not upstream.of("POST", BEGIN)
