"""Backups of the store, and whether one can be trusted.

Here belongs copying the database out and back. Media are copied with the archive, not here.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import LiveStoreError, described
from panic_assets.live.store.migrating import known_revisions
from panic_assets.live.store.tables import metadata, sessions


class Backups(Database):
    """The part of the store that copies itself."""

    def backup_to(self, path: Path | str) -> Path:
        """Write one consistent copy of the database to a new file, while others go on working; the path of it.

        The file is whole or not there, and only its owner may read it: it holds password hashes.

        Raises:
            LiveStoreError: the file exists, it can't be written, or the database is a server's own to back up.
        """
        if self.path is None:
            raise LiveStoreError(
                f"the live store {self.place} is backed up by its server: "
                f"pg_dump --format=custom --file={path} {self.url.database}, and pg_restore to bring it back"
            )
        target = Path(path).absolute()
        if target.exists():
            raise LiveStoreError(
                f"{target} exists already; name a file that does not: backups don't replace each other"
            )
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with self._translating(), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM INTO ?", (str(part),))
            _sync(part)
            os.link(part, target)
            _sync(target.parent)
        except OSError as error:
            raise LiveStoreError(
                f"the backup {target} could not be written ({error.strerror}); nothing is left of it. See that there "
                "is space and that this user may write there"
            ) from error
        finally:
            part.unlink(missing_ok=True)
        return target

    def restore_from(self, backup: Path | str) -> None:
        """Put the content of the file ``backup`` in the place of this database's, in one transaction, and migrate it.

        Nobody should run networks meanwhile: what a runner holds in memory would not be in the store any more. All
        sessions end, since the backup may have some that were revoked after it; API tokens are as they were then.

        Raises:
            LiveStoreError: the backup is not sound, the database is a server's own to restore, or others don't stop
                writing; nothing was changed.
        """
        if self.path is None:
            raise LiveStoreError(f"the live store {self.place} is restored by its server: pg_restore")
        problems = check_database(backup)
        if problems:
            raise LiveStoreError(f"not restored: {'; '.join(problems)}")
        deadline = time.monotonic() + self._patience

        def give_up(status: int, _remaining: int, _total: int) -> None:
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
                raise described(self.place, "database is locked")

        with (
            self._translating(),
            self._in_turn(),
            _opened(Path(backup).absolute()) as source,
            closing(sqlite3.connect(self.path, timeout=self._patience)) as target,
        ):
            source.backup(target, progress=give_up)
        self.migrate()
        with self._writes() as connection:
            connection.execute(sessions.delete())


def check_database(path: Path | str) -> list[str]:
    """Everything that speaks against restoring the SQLite file ``path``; empty if it is a sound live store.

    A file of an older version is sound: it is migrated when it is used.
    """
    place = Path(path).absolute()
    if not place.is_file():
        return [f"{place} is not there, or is no file"]
    try:
        with _opened(place) as connection:
            damage = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
            if damage != ["ok"]:
                return [f"{place} is damaged: {line}" for line in damage]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" not in tables or not tables & set(metadata.tables):
                return [f"{place} is a database, but no live store"]
            found = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
            revisions = known_revisions()
            problems = [
                f"{place} was made by a newer version of panic_assets (its tables are at {revision})"
                for revision in found
                if revision not in revisions
            ]
            if not found:
                problems.append(f"{place} does not say of which version its tables are")
            if found == revisions[:1] and (missing := sorted(set(metadata.tables) - tables)):
                problems.append(f"{place} lacks the tables {', '.join(missing)}")
            strays = {row[0] for row in connection.execute("PRAGMA foreign_key_check")}
            problems += [f"{place}: rows of {table} refer to rows that are gone" for table in sorted(strays)]
            return problems
    except sqlite3.Error as error:
        return [f"{place} can't be read as a database: {error}"]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
