"""Rows of the database made into records, and rows that others need to be there.

Here belongs what several parts of the store read alike.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from panic_assets.live.records import Installation, Invocation, Network, Run
from panic_assets.live.store.errors import NotThere
from panic_assets.live.store.settings import from_json
from panic_assets.live.store.tables import users

Row = sa.Row[Any]


def as_network(row: Row) -> Network:
    """A row of networks as its record."""
    values = from_json(row, "networks", "models", "pacing", "limits", "on_error")
    # A whole number that was just written comes back from SQLite as an int.
    return Network(**values | {"lockout_seconds": float(values["lockout_seconds"])})


def as_run(row: Row) -> Run:
    """A row of runs as its record."""
    return Run(**from_json(row, "runs", "models"))


def as_invocation(row: Row) -> Invocation:
    """A row of invocations as its record."""
    return Invocation(**row._mapping)


def as_installation(row: Row) -> Installation:
    """A row of installations as its record."""
    return Installation(**from_json(row, "installations", "watchers"))


def require_user(connection: sa.Connection, user_id: str | None) -> None:
    """Do nothing if nobody is meant, or somebody who is there; hold the row until the transaction is over.

    Raises:
        NotThere: there is no such user.
    """
    if user_id is None:
        return
    found = sa.select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True)
    if connection.execute(found).one_or_none() is None:
        raise NotThere("user", user_id)
