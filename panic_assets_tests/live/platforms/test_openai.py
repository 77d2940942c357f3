from __future__ import annotations

import asyncio
from functools import partial

import pytest

from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.platforms.openai import OpenAI
from panic_assets.live.values import Value
from panic_assets_tests.live.platforms.parts import KEY, Calls, invoke, model, refused, run, until
from panic_assets_tests.live.platforms.upstream import Reply, Upstream

PATH = "/v1/chat/completions"
CHAT = model("openai", path="gpt-5-chat-latest", settings={"price_in": 1.25, "price_out": 10.0})


def answer(text: object, **more: object) -> dict[str, object]:
    return {"id": "chat-1", "choices": [{"message": {"role": "assistant", "content": text}, **more}]}


@pytest.fixture
def opened(upstream: Upstream) -> partial[OpenAI]:
    return partial(OpenAI, f"{upstream.url}/v1/")


def test_asks_and_reads_as_the_protocol_says(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 100}
    upstream.plays("POST", PATH, Reply({**answer(" A boat, burning.\n"), "usage": usage}))
    got = invoke(opened, calls.call(CHAT))
    assert (got.value, got.upstream_id) == (Value("text", text="A boat, burning."), "chat-1")
    assert got.cost == pytest.approx((40 * 1.25 + 100 * 10) / 1e6)
    (asked,) = upstream.asked
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    system, user = asked.body.pop("messages")
    assert asked.body == {"model": "gpt-5-chat-latest", "temperature": 1.0, "max_completion_tokens": 150}
    assert system["role"] == "system"
    assert system["content"]
    assert user == {"role": "user", "content": "a red boat"}


def test_reads_what_older_servers_give(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply({"choices": [{"text": "a boat"}]}))
    got = invoke(opened, calls.call(model("openai", cost_per_call=0.5)))
    assert (got.value.text, got.cost, got.upstream_id) == ("a boat", 0.5, None)


def test_a_cost_that_is_not_known_is_not_made_up(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply({**answer("x"), "usage": {"prompt_tokens": 4}}))
    assert invoke(opened, calls.call(CHAT)).cost is None
    upstream.plays("POST", PATH, Reply({**answer("x"), "usage": {"prompt_tokens": 4, "completion_tokens": 1}}))
    assert invoke(opened, calls.call(model("openai"))).cost is None


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": {"message": f"bad key {KEY}"}}, 401), "auth", "OPENAI_API_KEY"),
        (Reply({"error": {"message": "no right"}}, 403), "auth", "OPENAI_API_KEY"),
        (Reply({"error": {"message": "no money"}}, 402), "quota", "no money"),
        (Reply({"error": {"message": "slowly"}}, 429, {"Retry-After": "7"}), "quota", "slowly"),
        (Reply({"error": {"message": "The prompt shows adult content"}}, 400), "moderation", "adult content"),
        (Reply({"error": {"message": "no", "code": "content_policy_violation"}}, 400), "moderation", "no"),
        (Reply({"error": {"message": "what?"}}, 400), "invalid", "what?"),
        (Reply({"error": {"message": "no such model"}}, 404), "invalid", "no such model"),
        (Reply(b"<html>gone</html>", 410), "invalid", "gone"),
        (Reply({"error": {"message": "what?"}}, 422), "invalid", "what?"),
        (Reply(None, 302, {"Location": "http://127.0.0.1:9/"}), "invalid", "302"),
        (Reply({"error": {"message": "oh"}}, 500), "transient", "oh"),
        (Reply(b"", 503), "transient", "nothing"),
        (Reply(cut=True), "transient", "broke off"),
        (Reply(b"{ not json"), "invalid", "no JSON"),
        (Reply({"choices": []}), "invalid", "choices"),
        (Reply([1, 2]), "invalid", "choices"),
        (Reply("text"), "invalid", "choices"),
        (Reply(answer("  ")), "invalid", "blank"),
        (Reply(answer(None)), "invalid", "blank"),
        (Reply(answer(7)), "invalid", "int"),
        (Reply(answer("", finish_reason="content_filter")), "moderation", "filter"),
        (Reply({"choices": [{"message": {"content": None, "refusal": "I won't"}}]}), "moderation", "I won't"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Reply) else None,
)
def test_what_each_failure_means(
    upstream: Upstream, opened: partial[OpenAI], calls: Calls, reply: Reply, kind: str, words: str
) -> None:
    upstream.plays("POST", PATH, reply)
    error = refused(opened, calls.call(CHAT))
    assert error.kind == kind
    assert words in str(error)
    assert KEY not in str(error)
    assert error.retry_after == (7.0 if reply.status == 429 else None)
    assert len(upstream.asked) == 1, "what costs money is asked once"


def test_a_blank_answer_is_billed_all_the_same(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply({**answer(""), "usage": {"prompt_tokens": 0, "completion_tokens": 1000}}))
    assert refused(opened, calls.call(CHAT)).cost == pytest.approx(0.01)


def test_a_server_that_hangs(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply(hangs=True))
    error = refused(opened, calls.call(model("openai", timeout_seconds=0.2)))
    assert error.kind == "timeout"
    assert "timeout_seconds" in str(error)


def test_nobody_there(calls: Calls) -> None:
    assert refused(lambda: OpenAI("http://127.0.0.1:9/v1"), calls.call(CHAT)).kind == "transient"


def test_an_answer_without_end(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply(b" " * 70_000_000))
    error = refused(opened, calls.call(CHAT))
    assert error.kind == "invalid"
    assert "67,108,864 bytes" in str(error)


def test_a_call_that_is_cancelled_lets_go(upstream: Upstream, opened: partial[OpenAI], calls: Calls) -> None:
    upstream.plays("POST", PATH, Reply(hangs=True))

    async def work() -> None:
        platform = opened()
        task = asyncio.create_task(platform.invoke(calls.call(CHAT)))
        await until(lambda: bool(upstream.asked))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await platform.close()

    run(work())


def test_an_input_that_is_no_text(opened: partial[OpenAI], calls: Calls) -> None:
    error = refused(opened, calls.call(CHAT, Value("image", data=b"x")))
    assert error.kind == "internal"


def test_no_key() -> None:
    def none(name: str) -> str:
        raise PlatformError("auth", f"there is no {name}")

    calls = Calls()
    calls._secret = none  # type: ignore[method-assign]
    assert refused(lambda: OpenAI("http://127.0.0.1:9"), calls.call(CHAT)).kind == "auth"
    assert refused(lambda: OpenAI("http://127.0.0.1:9"), Calls("two words").call(CHAT)).kind == "auth"
