"""Bringing a database to the tables of this version.

Here belongs how the migrations are run; what they do is in `migrations`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import sqlalchemy as sa

from panic_assets.live.store.errors import LiveStoreError

if TYPE_CHECKING:
    from alembic.config import Config

#: Any number that nothing else in the same server takes as an advisory lock.
_MIGRATING = 0x70616E6963

# Alembic keeps its context in module globals.
_one_at_a_time = threading.Lock()


def upgrade(engine: sa.Engine, place: str, revision: str = "head") -> None:
    """Run every migration up to ``revision`` that ``engine``'s database lacks, in one transaction.

    Several programs may call this at the same time: one migrates, the others wait and find it done.

    Raises:
        LiveStoreError: the database was made by a newer version, or the migrated rows don't fit together.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext

    config, known = _config(), set(known_revisions())
    with _one_at_a_time, engine.connect().execution_options(writes=True) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            # A table is changed by copying it and dropping the old one, and that would take what refers to it along.
            _foreign_keys(connection, on=False)
        try:
            with connection.begin():
                if not is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
                newer = set(MigrationContext.configure(connection).get_current_heads()) - known
                if newer:
                    raise LiveStoreError(
                        f"the live store {place} was made by a newer version of panic_assets "
                        f"(its tables are at {', '.join(sorted(newer))}); update panic_assets"
                    )
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise LiveStoreError(
                        f"the live store {place} has rows that refer to rows that are gone; it was left as it was. "
                        "Restore the last backup"
                    )
        finally:
            if is_sqlite:
                _foreign_keys(connection, on=True)


def known_revisions() -> list[str]:
    """The revisions that this version knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "panic_assets.live.store:migrations")
    return config


def _foreign_keys(connection: sa.Connection, on: bool) -> None:
    """Outside of a transaction, where alone SQLite heeds it."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.cursor().execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")
