"""A platform for each test, and the way to it without a proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from panic_assets_tests.studies.client.platform import Platform


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def platform() -> Iterator[Platform]:
    one = Platform().start()
    yield one
    one.stop()
