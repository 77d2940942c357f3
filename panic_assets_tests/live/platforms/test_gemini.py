from __future__ import annotations

from base64 import b64decode
from functools import partial
from typing import Any

import pytest

from panic_assets.live.media import picture, sniff, tone
from panic_assets.live.platforms.gemini import Gemini
from panic_assets.live.values import Value
from panic_assets_tests.live.platforms.parts import KEY, Calls, invoke, model, refused
from panic_assets_tests.live.platforms.upstream import Reply, Upstream

PATH = "/v1beta/models/gemini-2.5-flash:generateContent"
SETTINGS = {"prompt": "What is heard?", "price_in": 1.0, "price_out": 2.5}
LISTENER = model("gemini", takes="audio", path="gemini-2.5-flash", settings=SETTINGS)
SOUND = Value("audio", data=tone(bytes(range(32))), media_type="audio/ogg")


def answer(*parts: dict[str, Any], **more: Any) -> Reply:
    return Reply({"candidates": [{"content": {"parts": list(parts)}}], **more})


@pytest.fixture
def opened(upstream: Upstream) -> partial[Gemini]:
    return partial(Gemini, f"{upstream.url}/v1beta")


def test_asks_and_reads_as_the_platform_says(upstream: Upstream, opened: partial[Gemini], calls: Calls) -> None:
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 80}
    upstream.plays("POST", PATH, answer({"text": " A chord. "}, usageMetadata=usage, responseId="r1"))
    got = invoke(opened, calls.call(LISTENER, SOUND))
    assert (got.value, got.upstream_id) == (Value("text", text="A chord."), "r1")
    assert got.cost == pytest.approx((100 * 1.0 + 100 * 2.5) / 1e6)
    (asked,) = upstream.asked
    assert asked.headers["x-goog-api-key"] == KEY
    assert "?" not in asked.path
    heard, told = asked.body["contents"]["parts"]
    assert asked.body["contents"]["role"] == "USER"
    assert told == {"text": "What is heard?"}
    assert heard["inline_data"]["mime_type"] == "audio/wav", "what the bytes are, not what the label says"
    assert b64decode(heard["inline_data"]["data"]) == SOUND.data


def test_pictures_and_texts_go_along_too(upstream: Upstream, opened: partial[Gemini], calls: Calls) -> None:
    upstream.plays("POST", PATH, answer({"text": "x"}))
    data = picture(bytes(range(32)))
    invoke(opened, calls.call(model("gemini", takes="image", path="gemini-2.5-flash"), Value("image", data=data)))
    invoke(opened, calls.call(model("gemini", path="gemini-2.5-flash", settings={"prompt": "Why?"}), "a boat"))
    shown, read = (one.body["contents"]["parts"] for one in upstream.asked)
    assert shown[0]["inline_data"]["mime_type"] == sniff(data) == "image/webp"
    assert read == [{"text": "a boat"}, {"text": "Why?"}]


def test_all_parts_but_thoughts_are_read(upstream: Upstream, opened: partial[Gemini], calls: Calls) -> None:
    upstream.plays("POST", PATH, answer({"text": "hm", "thought": True}, {"text": "A "}, {"text": "chord."}))
    assert invoke(opened, calls.call(LISTENER, SOUND)).value.text == "A chord."


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply({"error": {"message": f"bad {KEY}", "status": "PERMISSION_DENIED"}}, 403), "auth"),
        (Reply({"error": {"message": "bad", "details": [{"reason": "API_KEY_INVALID"}]}}, 400), "auth"),
        (Reply({"error": {"message": "what?", "code": 400}}, 400), "invalid"),
        (Reply({"error": {"message": "slowly"}}, 429), "quota"),
        (Reply({"error": {"message": "overloaded"}}, 503), "transient"),
        (Reply(cut=True), "transient"),
        (Reply(b"<html>"), "invalid"),
        (Reply([]), "invalid"),
        (Reply({}), "invalid"),
        (Reply({"candidates": []}), "invalid"),
        (Reply({"candidates": [3]}), "invalid"),
        (Reply({"candidates": [{"content": {"parts": [3]}}]}), "invalid"),
        (Reply({"candidates": [{"finishReason": "MAX_TOKENS"}]}), "invalid"),
        (Reply({"candidates": [{"finishReason": "SAFETY"}]}), "moderation"),
        (Reply({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "moderation"),
        (answer({"text": " "}), "invalid"),
    ],
)
def test_what_each_failure_means(
    upstream: Upstream, opened: partial[Gemini], calls: Calls, reply: Reply, kind: str
) -> None:
    upstream.plays("POST", PATH, reply)
    error = refused(opened, calls.call(LISTENER, SOUND))
    assert error.kind == kind
    assert KEY not in str(error)
    assert len(upstream.asked) == 1


def test_sound_that_was_not_read_before(upstream: Upstream, opened: partial[Gemini], calls: Calls) -> None:
    assert refused(opened, calls.call(LISTENER, Value("audio", url="https://x.test/a.ogg"))).kind == "internal"
    assert not upstream.asked
