"""One server for all tests of a module: what they make in it is their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from panic_assets_tests.web.server import Person, Running, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("live"), prompts_per_minute=10_000, logins_per_address=1000) as found:
        yield found


@pytest.fixture(scope="module")
def ada(server: Running) -> Person:
    return server.person("ada@example.org")


@pytest.fixture(scope="module")
def boss(server: Running) -> Person:
    return server.person("boss@example.org", is_admin=True)


@pytest.fixture(scope="module")
def anyone(server: Running) -> Person:
    return server.person()
