"""A Chromium of the system, tabs that write down everything a page does wrong, and one server for the whole folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from panic_assets_tests.web.pages.parts import Tabs
from panic_assets_tests.web.server import Person, Running, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("pages"), prompts_per_minute=10_000, logins_per_address=1000) as found:
        yield found


@pytest.fixture(scope="session")
def ada(server: Running) -> Person:
    return server.person("ada@example.org")


@pytest.fixture(scope="session")
def boss(server: Running) -> Person:
    return server.person("boss@example.org", is_admin=True)


@pytest.fixture(scope="session")
def anyone(server: Running) -> Person:
    return server.person()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


@pytest.fixture
def tabs(chromium: Any) -> Iterator[Tabs]:
    opened = Tabs(chromium)
    yield opened
    opened.close()
    assert opened.complaints == []
