from __future__ import annotations

import asyncio
import logging

import pytest

from panic_assets.live.platforms.base import PlatformError
from panic_assets.live.platforms.vestaboard import Vestaboard, key_name
from panic_assets_tests.live.platforms.parts import KEY, SwiftClock, run, until
from panic_assets_tests.live.platforms.upstream import Reply, Upstream


class HeldClock(SwiftClock):
    """A clock whose sleepers wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.let_go.wait()
        await super().sleep(seconds)


def board(upstream: Upstream, clock: SwiftClock | None = None) -> Vestaboard:
    return Vestaboard(lambda name: f"{KEY}-{name}", clock or SwiftClock(), upstream.url, rest_seconds=15)


def test_sends_a_text_with_the_key_of_its_board(upstream: Upstream) -> None:
    upstream.plays("POST", "/", Reply({"id": "m1"}))

    async def work() -> None:
        boards = board(upstream)
        assert await boards.write("panic_1", "HELLO") == "m1"
        await boards.close()

    run(work())
    (asked,) = upstream.asked
    assert asked.body == {"text": "HELLO"}
    assert asked.headers["x-vestaboard-read-write-key"] == f"{KEY}-VESTABOARD_PANIC_1_TOKEN"


def test_the_names_of_keys() -> None:
    assert key_name("panic_4") == "VESTABOARD_PANIC_4_TOKEN"
    assert key_name("über dem-tor ") == "VESTABOARD_BER_DEM_TOR_TOKEN"


def test_a_board_rests_between_texts_and_others_do_not_wait(upstream: Upstream) -> None:
    upstream.plays("POST", "/", Reply({"id": "m1"}))
    clock = SwiftClock()

    async def work() -> None:
        boards = board(upstream, clock)
        await boards.write("a", "ONE")
        await boards.write("b", "TWO")
        assert clock.slept == []
        await boards.write("a", "THREE")
        assert clock.slept == [15.0]
        await boards.close()

    run(work())


def test_of_those_that_wait_the_newest_wins(upstream: Upstream) -> None:
    upstream.plays("POST", "/", Reply({"id": "m1"}), Reply({"id": "m2"}))

    async def work() -> list[str | None]:
        clock = HeldClock()
        boards = board(upstream, clock)
        assert await boards.write("a", "ONE") == "m1"
        waiting = [asyncio.create_task(boards.write("a", text)) for text in ("TWO", "THREE", "FOUR")]
        await until(lambda: waiting[1].done())
        clock.let_go.set()
        came = await asyncio.gather(*waiting)
        await boards.close()
        return came

    assert run(work()) == [None, None, "m2"]
    assert [one.body["text"] for one in upstream.asked] == ["ONE", "FOUR"]


@pytest.mark.parametrize(
    ("reply", "kind", "pause"),
    [
        (Reply({"message": f"bad {KEY}"}, 401), "auth", None),
        (Reply({"message": "what?"}, 400), "invalid", None),
        (Reply({"message": "gone"}, 404), "invalid", None),
        (Reply({"message": "too many requests"}, 503), "quota", 15.0),
        (Reply({"message": "too many requests"}, 503, {"Retry-After": "40"}), "quota", 40.0),
        (Reply({"message": "oh"}, 500), "transient", None),
        (Reply(cut=True), "transient", None),
        (Reply({"status": "ok"}), "invalid", None),
        (Reply(b"ok"), "invalid", None),
    ],
)
def test_what_each_failure_means(upstream: Upstream, reply: Reply, kind: str, pause: float | None) -> None:
    upstream.plays("POST", "/", reply)

    async def work() -> None:
        boards = board(upstream)
        with pytest.raises(PlatformError) as caught:
            await boards.write("a", "HELLO")
        await boards.close()
        assert (caught.value.kind, caught.value.retry_after) == (kind, pause)
        assert KEY not in str(caught.value)

    run(work())


def test_what_is_shown_already_is_no_failure(upstream: Upstream) -> None:
    upstream.plays("POST", "/", Reply(None, 304))

    async def work() -> None:
        boards = board(upstream)
        assert await boards.write("a", "HELLO") is None
        with pytest.raises(PlatformError, match="blank"):
            await boards.write("a", " \n")
        await boards.close()

    run(work())


def test_posting_waits_for_nothing_and_fails_in_the_log(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    upstream.plays("POST", "/", Reply({"message": "oh"}, 500), Reply({"id": "m2"}))

    async def work() -> None:
        boards = board(upstream)
        boards.post("a", "ONE")
        await until(lambda: "oh" in caplog.text)
        boards.post("a", "TWO")
        await until(lambda: len(upstream.asked) == 2)
        await boards.close()

    with caplog.at_level(logging.WARNING):
        run(work())
    assert [one.body["text"] for one in upstream.asked] == ["ONE", "TWO"]


def test_closing_lets_those_who_wait_go_on(upstream: Upstream) -> None:
    upstream.plays("POST", "/", Reply({"id": "m1"}))

    async def work() -> None:
        boards = board(upstream, HeldClock())
        await boards.write("a", "ONE")
        waiting = asyncio.create_task(boards.write("a", "TWO"))
        boards.post("a", "THREE")
        await until(lambda: waiting.done())
        last = asyncio.create_task(boards.write("a", "FOUR"))
        await asyncio.sleep(0)
        await boards.close()
        assert await last is None
        assert len(upstream.asked) == 1

    run(work())
