"""A server that plays platforms; the makers' own addresses can't be reached from here, even by mistake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from panic_assets_tests.live.platforms.parts import Calls
from panic_assets_tests.live.platforms.upstream import Upstream, serving

NOWHERE = "http://127.0.0.1:9"
VARIABLES = ("PANIC_OPENAI_URL", "PANIC_REPLICATE_URL", "PANIC_GEMINI_URL", "PANIC_VESTABOARD_URL")


@pytest.fixture(autouse=True)
def _no_real_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, NOWHERE)
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving() as one:
        assert one.url.startswith("http://127.0.0.1:")
        yield one


@pytest.fixture
def calls() -> Calls:
    return Calls()
