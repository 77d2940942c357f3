"""The outbox: events on disk until the platform has them, in the order in which they happened.

Here belongs the file alone. Who takes events out of it and when is in ``delivery``. An event leaves the file once the
platform has it, or stays set aside, with the reason, when the platform says that it will never take it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panic_assets.studies.client.errors import OutboxError
from panic_assets.studies.client.events import encoded

_VERSION = 1
_WAIT_SECONDS = 30.0  # for another process that writes the same file
_SCHEMA = """
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    refusal TEXT
);
CREATE INDEX waiting ON events (position) WHERE refusal IS NULL;
CREATE TABLE sequences (trial_id TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Waiting:
    """An event that the platform does not have yet. Positions rise in the order of emission."""

    position: int
    body: str

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return len(self.body.encode())


@dataclass(frozen=True)
class Refused:
    """An event that the platform will not take as it is, and what the platform says about it."""

    event_id: str
    body: dict[str, Any]
    reason: str


class Outbox:
    """A file of events. Any number of threads and processes may use it; what `add` gave back survives ``kill -9``.

    Raises:
        OutboxError: the file is no outbox, is of a newer version, or its place can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error
        with self._told():
            self._prepare()

    def add(self, body: dict[str, Any]) -> bool:
        """Keep an event; on disk when this returns. False if one of its id waits already.

        An event with a trial gets ``seq``, its number among the events of this trial, counted from 0 over restarts.

        Raises:
            OutboxError: the file can't be written.
        """
        trial = body.get("payload", {}).get("trial_id")
        with self._transaction() as connection:
            known = connection.execute("SELECT 1 FROM events WHERE event_id = ?", (body["event_id"],)).fetchone()
            if known:
                return False
            if trial is not None:
                row = connection.execute(
                    "INSERT INTO sequences VALUES (?, 0) ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last",
                    (str(trial),),
                ).fetchone()
                body = {**body, "seq": row[0]}
            connection.execute("INSERT INTO events (event_id, body) VALUES (?, ?)", (body["event_id"], encoded(body)))
        return True

    def first(self, most: int, most_bytes: int) -> list[Waiting]:
        """The first events that wait, in order: no more than so many, of no more bytes, but always one if one waits."""
        taken: list[Waiting] = []
        size = 0
        with self._told():
            rows = self._connection.execute(
                "SELECT position, body FROM events WHERE refusal IS NULL ORDER BY position LIMIT ?", (most,)
            ).fetchall()
        for position, body in rows:
            one = Waiting(position, body)
            size += one.size
            if taken and size > most_bytes:
                break
            taken.append(one)
        return taken

    def remove(self, positions: Sequence[int]) -> None:
        """Let go of events that the platform has."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM events WHERE position = ?", [(position,) for position in positions])

    def set_aside(self, position: int, reason: str) -> None:
        """Keep an event out of the queue, with what the platform said about it."""
        with self._transaction() as connection:
            connection.execute("UPDATE events SET refusal = ? WHERE position = ?", (reason, position))

    def waiting(self) -> int:
        """How many events the platform does not have yet, without those set aside."""
        with self._told():
            row = self._connection.execute("SELECT count(*) FROM events WHERE refusal IS NULL").fetchone()
        return int(row[0])

    def refused(self) -> list[Refused]:
        """The events set aside, in order."""
        with self._told():
            rows = self._connection.execute(
                "SELECT event_id, body, refusal FROM events WHERE refusal IS NOT NULL ORDER BY position"
            ).fetchall()
        return [Refused(event_id, json.loads(body), reason) for event_id, body, reason in rows]

    def put_back(self) -> int:
        """Queue the events set aside again, at their old places; how many they were."""
        with self._transaction() as connection:
            return connection.execute("UPDATE events SET refusal = NULL WHERE refusal IS NOT NULL").rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an event that was told as kept survives a loss of power
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            connection.execute("ROLLBACK")
            raise OutboxError(
                f"{self.path}: written by a newer version ({version}; this one knows {_VERSION}). Update this client."
            )
        if version == 0:
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """One thread at a time; errors of SQLite name the file."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise self._error(error) from error

    def _error(self, error: Exception) -> OutboxError:
        return OutboxError(
            f"{self.path}: the outbox can't be used ({error}). Make room and give the right to write there; if the "
            "file is damaged, move it away, rescue its events with `sqlite3 FILE .recover`, and start again."
        )
