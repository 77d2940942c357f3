"""Live stores for tests: a SQLite file, or a PostgreSQL schema of its own where a server is named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from panic_assets.live.records import Invocation, Network, Run
from panic_assets.live.store import Store

#: Such as postgresql+psycopg://user@127.0.0.1:5433/postgres: a server where tests may make and drop schemas.
SERVER = "PANIC_TEST_POSTGRES"
KINDS = ("sqlite", "postgresql") if SERVER in os.environ else ("sqlite",)


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, 20, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def go(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@contextmanager
def address(kind: str, folder) -> Iterator[str]:
    """The address of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/live/live.db"
        return
    server = sa.create_engine(os.environ[SERVER], isolation_level="AUTOCOMMIT")
    schema = f"test_{uuid.uuid4().hex}"
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        url = sa.make_url(os.environ[SERVER]).update_query_dict({"options": f"-csearch_path={schema}"})
        yield url.render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        server.dispose()


@contextmanager
def opened(kind: str, folder, now: Callable[[], datetime] | None = None) -> Iterator[Store]:
    """A migrated store."""
    with address(kind, folder) as url:
        store = Store(url, now or HandClock())
        store.migrate()
        try:
            yield store
        finally:
            store.close()


def begun(store: Store, models=("one", "two")) -> tuple[Network, Run, Invocation]:
    """A network that runs, and its invocation 0."""
    network = store.create_network("ring", models=models)
    return network, *store.begin_run(network.id, "a red house", "terminal", models, "text")
