"""Bringing a database to the tables of this version.

Here belongs how the migrations are run; what they do is in `migrations`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from panic_assets.live.store.errors import LiveStoreError

if TYPE_CHECKING:
    from alembic.config import Config

#: Any number that nothing else in the same server takes as an advisory lock.
_MIGRATING = 0x70616E6963

# Alembic keeps its context in module globals.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Schema:
    """Whose tables a database has: what it is called in messages, and where its migrations and their state are.

    Databases with other names of ``version_table`` can share one server's schema.
    """

    what: str
    migrations: str
    version_table: str


LIVE = Schema("live store", "panic_assets.live.store:migrations", "alembic_version")


def upgrade(engine: sa.Engine, place: str, revision: str = "head", schema: Schema = LIVE) -> None:
    """Run every migration up to ``revision`` that ``engine``'s database lacks, in one transaction.

    Several programs may call this at the same time: one migrates, the others wait and find it done.

    Raises:
        LiveStoreError: the database was made by a newer version, or the migrated rows don't fit together.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext

    config, known = _config(schema), set(known_revisions(schema))
    with _one_at_a_time, engine.connect().execution_options(writes=True) as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            # A table is changed by copying it and dropping the old one, and that would take what refers to it along.
            _foreign_keys(connection, on=False)
        try:
            with connection.begin():
                if not is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
                options = {"version_table": schema.version_table}
                newer = set(MigrationContext.configure(connection, opts=options).get_current_heads()) - known
                if newer:
                    raise LiveStoreError(
                        f"the {schema.what} {place} was made by a newer version of panic_assets "
                        f"(its tables are at {', '.join(sorted(newer))}); update panic_assets"
                    )
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise LiveStoreError(
                        f"the {schema.what} {place} has rows that refer to rows that are gone; it was left as it was. "
                        "Restore the last backup"
                    )
        finally:
            if is_sqlite:
                _foreign_keys(connection, on=True)


def known_revisions(schema: Schema = LIVE) -> list[str]:
    """The revisions that this version knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory.from_config(_config(schema)).walk_revisions()]


def _config(schema: Schema) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", schema.migrations)
    return config


def _foreign_keys(connection: sa.Connection, on: bool) -> None:
    """Outside of a transaction, where alone SQLite heeds it."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.cursor().execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")
