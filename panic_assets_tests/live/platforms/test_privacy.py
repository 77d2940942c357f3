"""No key of any platform shows in an error, its traceback, a log or a representation, whatever the platform answers."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panic_assets.live.media import tone
from panic_assets.live.platforms.base import Answer, Platform, PlatformError
from panic_assets.live.platforms.gemini import Gemini
from panic_assets.live.platforms.http import Key
from panic_assets.live.platforms.openai import OpenAI
from panic_assets.live.platforms.replicate import Replicate
from panic_assets.live.platforms.vestaboard import Vestaboard
from panic_assets.live.values import Value
from panic_assets_tests.live.platforms.parts import Calls, model, run
from panic_assets_tests.live.platforms.upstream import Reply, Upstream

KEYS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)
ECHOES: list[Callable[[str], Any]] = [
    lambda key: {"error": {"message": f"the key {key} is not right", "code": key}},
    lambda key: {"detail": key + " " * 3 + key},
    lambda key: {"detail": "x" * (300 - len(key) // 2) + key},
    lambda key: [key],
    lambda key: {"choices": [{"message": {"content": 3, "key": key}}], "id": key},
    lambda key: {"candidates": [{"content": {"key": key}}]},
    lambda key: {"id": "p1", "status": "failed", "error": f"no: {key}", "latest_version": {"id": "v"}},
    lambda key: {"id": "p1", "status": key, "latest_version": {"id": "v"}},
    lambda key: {"id": "p1", "status": "succeeded", "output": {key: 1}, "latest_version": {"id": "v"}},
    lambda key: f"<html>{key}</html>".encode(),
]
SOUND = Value("audio", data=tone(b"123"))


async def _all(upstream: Upstream, calls: Calls) -> list[Answer | PlatformError | str | None]:
    """What came of one call on each platform."""
    wanted: list[tuple[Platform, Any, Any]] = [
        (OpenAI(upstream.url), model("openai", timeout_seconds=5), "a boat"),
        (Gemini(upstream.url), model("gemini", takes="audio", path="g", timeout_seconds=5), SOUND),
        (Replicate(upstream.url), model("replicate", timeout_seconds=1), "a boat"),
    ]
    came: list[Answer | PlatformError | str | None] = []
    for platform, asked, value in wanted:
        try:
            came.append(await platform.invoke(calls.call(asked, value)))
        except PlatformError as error:
            came.append(error)
        await platform.close()
    boards = Vestaboard(lambda name: calls.key, calls.clock, upstream.url)
    try:
        came.append(await boards.write("a", "HELLO"))
    except PlatformError as error:
        came.append(error)
    await boards.close()
    return came


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, echo=st.sampled_from(ECHOES), status=st.sampled_from([200, 201, 400, 401, 403, 422, 429, 500]))
def test_keys_stay_hidden(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, key: str, echo: Callable[[str], Any], status: int
) -> None:
    caplog.clear()
    upstream.asked.clear()
    reply = Reply(echo(key), status)
    paths = ("/chat/completions", "/predictions", "/models/g:generateContent", "/")
    upstream.scripts = {("POST", path): [reply] for path in paths}
    upstream.scripts |= {("GET", path): [reply] for path in ("/models/maker/thing", "/predictions/p1")}
    calls = Calls(key)
    with caplog.at_level(logging.DEBUG):
        came = run(_all(upstream, calls))
    assert len(upstream.asked) >= 4
    for one in came:
        if isinstance(one, PlatformError):
            shown = "".join(traceback.format_exception(one)) + repr(one) + repr(one.args)
            assert key not in shown
    assert key not in caplog.text
    assert not any(key in one.path for one in upstream.asked), "no key is in an address"
    assert key not in repr(Key("NAME", key))


def test_the_keys_do_travel(upstream: Upstream) -> None:
    """Else the test above would prove nothing."""
    run(_all(upstream, Calls("sk-travelling-key")))
    sent = [" ".join(one.headers.values()) for one in upstream.asked]
    assert len(sent) == 4
    assert all("sk-travelling-key" in headers for headers in sent)
