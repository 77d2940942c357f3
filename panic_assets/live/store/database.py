"""The database under the store: connections, transactions, and what keeps it small.

Here belongs how the store talks to SQLite or PostgreSQL; what it says is in the modules beside this one.

SQLite syncs at every commit (synchronous=FULL): after a power cut a claim that was forgotten would be a call paid
twice, and an upstream call that was forgotten would be paid for nothing. An audience makes tens of commits a second,
a disk syncs hundreds.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from panic_assets.errors import PanicError
from panic_assets.live.store.errors import LiveStoreError, described
from panic_assets.live.store.migrating import LIVE, Schema, upgrade

#: What the write-ahead log shrinks back to once it has been copied into the database.
WAL_BYTES_KEPT = 8 * 1024 * 1024


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Database:
    """Connections to the database at ``url``. Safe to use from any thread; every method is one transaction.

    ``patience_seconds`` is how long a step waits for its turn while others write. Stores with tables of their own are
    subclasses that say which in ``schema``.
    """

    schema: ClassVar[Schema] = LIVE

    def __init__(self, url: str, now: Callable[[], datetime] = utc_now, patience_seconds: float = 10.0) -> None:
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise LiveStoreError(
                f"{url!r} is no database address; such as sqlite:///data/live/live.db or postgresql+psycopg://host/name"
            ) from None
        self._now = now
        self._patience = patience_seconds
        self.place = self.url.render_as_string(hide_password=True)
        # One writer at a time is all SQLite takes. Waiting here is fair and at once; its own waiting polls.
        self._turn = threading.Lock()
        self.path: Path | None = self._open_file() if self.url.get_backend_name() == "sqlite" else None
        with self._translating():
            self._engine = self._sqlite_engine() if self.path else self._server_engine()

    def migrate(self) -> None:
        """Make the tables, or bring those of an older version up to date; rows are kept.

        Raises:
            LiveStoreError: the tables are of a newer version, or the database fails.
        """
        with self._translating():
            upgrade(self._engine, self.place, schema=self.schema)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Copy SQLite's write-ahead log into the database and cut it; nothing for other databases.

        SQLite does the first by itself every 1,000 pages, unless a reader is always in the way; this is for quiet
        moments, such as the end of a run. A busy database is left alone.
        """
        if self.path is not None:
            with self._translating(), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def close(self) -> None:
        """Give all connections back. The store can be used again afterwards: it connects when it needs to."""
        self._engine.dispose()

    @contextmanager
    def _reads(self) -> Iterator[sa.Connection]:
        """One snapshot for all that is read within."""
        with self._translating(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _writes(self) -> Iterator[sa.Connection]:
        """One transaction, alone from its first statement on where the database has one writer."""
        with (
            self._translating(),
            self._in_turn(),
            self._engine.connect() as connection,
            connection.execution_options(writes=True).begin(),
        ):
            yield connection

    def _insert(self, table: sa.Table) -> Any:
        """An insert that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.path else postgresql.insert(table)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self.path is None:
            yield
            return
        if not self._turn.acquire(timeout=self._patience):
            raise self._described("database is locked by another thread")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.StatementError as error:
            if isinstance(error.orig, PanicError):
                raise error.orig from None
            raise self._described(str(error.orig)) from error
        except (sa.exc.SQLAlchemyError, sqlite3.Error, ModuleNotFoundError) as error:
            raise self._described(str(error)) from error

    def _described(self, said: str) -> LiveStoreError:
        return described(self.place, said, self.schema.what)

    def _open_file(self) -> Path:
        name = self.url.database
        if not name or name == ":memory:" or name.startswith("file:"):
            raise LiveStoreError(
                f"the {self.schema.what} can't be {self.url}: it would be forgotten; name a file, "
                "sqlite:///folder/file.db"
            )
        path = Path(name).absolute()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # It holds password hashes: nobody else on this machine has to read them. SQLite gives its log the same.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise LiveStoreError(
                f"the {self.schema.what} {path} can't be opened ({error.strerror}): see that the folder is there and "
                "that this user may write to it"
            ) from error
        return path

    def _sqlite_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url.set(database=str(self.path)),
            connect_args={"timeout": self._patience, "check_same_thread": False},
            poolclass=sa.QueuePool,
            max_overflow=-1,
        )

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # transactions begin where `begin` says, not where the driver guesses
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                f"journal_size_limit={WAL_BYTES_KEPT}",
            ):
                connection.execute(f"PRAGMA {pragma}").close()

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            # A transaction that reads first and then writes could be refused half way; this one waits at the door.
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _server_engine(self) -> sa.Engine:
        return sa.create_engine(
            self.url, pool_pre_ping=True, pool_size=10, max_overflow=30, pool_timeout=self._patience
        )
