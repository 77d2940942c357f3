"""Opening a SQLite file so that reading it leaves no trace.

Here belongs how a file is opened; what is in it belongs to ``schema`` and ``source``.

* A file that nobody has open (no write-ahead log beside it) is opened as immutable: SQLite then makes no file beside
  it, so that it may lie on read-only media. :meth:`Opened.check` notices if somebody writes to it nevertheless.
* A file with a write-ahead log is opened through that log, together with its writers. An index of the log that SQLite
  had to make is removed afterwards, unless somebody else uses it by then.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from panic_assets.interop.panic_tda.schema import SourceError

_MAGIC = b"SQLite format 3\0"
_WAIT_S = 30.0
# The byte of the log's index that a connection locks as long as it has the index open.
_DEADMAN = 128


class Opened:
    """One connection that can only read, in one transaction: it sees the file as it was at the start.

    Raises:
        SourceError: there is no such file, it is no SQLite file, or it can't be opened without writing to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log, self._index = Path(f"{path}-wal"), Path(f"{path}-shm")
        self._examine()
        self._live = self._log.exists() and (self._log.stat().st_size > 0 or self._index.exists())
        self._made_index = self._live and not self._index.exists()
        self._seen = self._state()
        self.connection = self._connect()

    def _examine(self) -> None:
        try:
            with self.path.open("rb") as file:
                start = file.read(len(_MAGIC))
        except OSError as error:
            raise SourceError(f"{self.path} can't be read: {error.strerror}. Correct the path.") from None
        if start != _MAGIC:
            raise SourceError(f"{self.path} is not a SQLite file: it does not start as one. Name a PANIC-TDA database.")
        journal = Path(f"{self.path}-journal")
        if journal.exists() and journal.stat().st_size > 0:
            raise SourceError(
                f"{self.path} is in the midst of a change, or was left so: {journal.name} lies beside it. Wait for its "
                "writer; if there is none, open a copy of both files once with the sqlite3 program."
            )

    def _connect(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode=ro{'' if self._live else '&immutable=1'}"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)
            connection.text_factory = _text
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            raise SourceError(
                f"{self.path} can't be opened: {error}. If a file {self._log.name} lies beside it, both need a "
                "folder that can be written to; if it is damaged, rescue it with `sqlite3 FILE .recover`."
            ) from None
        return connection

    def _state(self) -> tuple[int, int, int]:
        found = os.stat(self.path)
        return found.st_size, found.st_mtime_ns, found.st_ino

    def check(self) -> None:
        """Make sure that what was read so far belongs together.

        Raises:
            SourceError: somebody wrote to a file that nobody had open at the start.
        """
        if not self._live and self._state() != self._seen:
            raise SourceError(f"{self.path} was written to while it was read. Import it again.")

    def close(self) -> None:
        """End the transaction and leave the folder as it was."""
        self.connection.close()
        if self._made_index:
            self._remove_index()

    def _remove_index(self) -> None:
        try:
            with self._index.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _DEADMAN)
                self._index.unlink()
        except OSError:
            # Gone, or in use by somebody who came later.
            return


def _text(raw: bytes) -> str | bytes:
    """Text that is UTF-8; the bytes of any other, which then can't pass for text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
