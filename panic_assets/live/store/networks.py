"""Networks in the store.

Here belongs making, changing and removing them. Drafts that can't run are as welcome as others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from panic_assets.live.records import Limits, Network, OnError, Pacing
from panic_assets.live.store.columns import new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import BadValue, NotThere, StillFollowed, StillRunning
from panic_assets.live.store.rows import as_network, as_run, require_user
from panic_assets.live.store.settings import to_json
from panic_assets.live.store.tables import installations, is_running, networks, runs

_JSON = ("models", "pacing", "limits", "on_error")
_FIELDS = ("name", "description", "lockout_seconds", "is_public", "owner_id", *_JSON)
_LONGEST_LOCKOUT = 24 * 3600.0


class Networks(Database):
    """The part of the store that keeps networks."""

    def create_network(
        self,
        name: str,
        description: str = "",
        models: Sequence[str] = (),
        lockout_seconds: float = 30.0,
        pacing: Pacing = Pacing(),  # noqa: B008 - frozen
        limits: Limits = Limits(),  # noqa: B008 - frozen
        on_error: OnError | None = None,
        is_public: bool = False,
        owner_id: str | None = None,
    ) -> Network:
        """A new network; ``on_error`` left out is `OnError` as it comes.

        Raises:
            BadValue: a field holds what it can't hold.
            NotThere: there is no such owner.
        """
        values = _checked(
            {
                "name": name,
                "description": description,
                "models": models,
                "lockout_seconds": lockout_seconds,
                "pacing": pacing,
                "limits": limits,
                "on_error": OnError() if on_error is None else on_error,
                "is_public": is_public,
                "owner_id": owner_id,
            }
        )
        now = self._now()
        with self._writes() as connection:
            require_user(connection, owner_id)
            statement = networks.insert().values(id=new_id(), created_at=now, updated_at=now, **values)
            return as_network(connection.execute(statement.returning(networks)).one())

    def update_network(self, network_id: str, **fields: Any) -> Network:
        """Change the fields that are named; a run that goes on keeps the models it began with.

        Raises:
            NotThere: there is no such network or owner.
            BadValue: there is no such field, or it can't hold that.
        """
        values = _checked(fields)
        with self._writes() as connection:
            require_user(connection, values.get("owner_id"))
            statement = networks.update().where(networks.c.id == network_id).values(updated_at=self._now(), **values)
            row = connection.execute(statement.returning(networks)).one_or_none()
        if row is None:
            raise NotThere("network", network_id)
        return as_network(row)

    def network(self, network_id: str) -> Network:
        """The network of that id.

        Raises:
            NotThere: there is none.
        """
        with self._reads() as connection:
            row = connection.execute(sa.select(networks).where(networks.c.id == network_id)).one_or_none()
        if row is None:
            raise NotThere("network", network_id)
        return as_network(row)

    def networks(self, owner_id: str | None = None, public_only: bool = False) -> list[Network]:
        """All networks, or those of one owner, or those that anyone may see; the oldest first."""
        wanted = sa.select(networks).order_by(networks.c.created_at, networks.c.id)
        if owner_id is not None:
            wanted = wanted.where(networks.c.owner_id == owner_id)
        if public_only:
            wanted = wanted.where(networks.c.is_public)
        with self._reads() as connection:
            return [as_network(row) for row in connection.execute(wanted)]

    def delete_network(self, network_id: str) -> None:
        """Remove a network with all its runs. Media stay in the archive: other runs may share them.

        Raises:
            NotThere: there is none.
            StillRunning: it runs.
            StillFollowed: installations show it.
        """
        with self._writes() as connection:
            found = sa.select(networks.c.id).where(networks.c.id == network_id).with_for_update()
            if connection.execute(found).one_or_none() is None:
                raise NotThere("network", network_id)
            running = sa.select(runs).where(runs.c.network_id == network_id, is_running)
            if (row := connection.execute(running).one_or_none()) is not None:
                raise StillRunning(as_run(row))
            followers = sa.select(installations.c.name).where(installations.c.network_id == network_id)
            if names := list(connection.scalars(followers.order_by(installations.c.name))):
                raise StillFollowed(network_id, names)
            connection.execute(networks.delete().where(networks.c.id == network_id))


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(fields.keys() - set(_FIELDS))
    if unknown:
        raise BadValue("a field of a network", unknown[0], f"the fields are {', '.join(_FIELDS)}")
    values = {field: to_json(field, value) if field in _JSON else value for field, value in fields.items()}
    if "name" in values and not values["name"].strip():
        raise BadValue("name", values["name"], "a network needs a name")
    lockout = values.get("lockout_seconds", 0.0)
    if not (math.isfinite(lockout) and 0 <= lockout <= _LONGEST_LOCKOUT):
        raise BadValue("lockout_seconds", lockout, f"it is from 0 to {_LONGEST_LOCKOUT:g} seconds (a day)")
    return values
