"""Installations in the store: watchers in one place that follow a network.

Here belongs keeping them; what a watcher may be and what it shows is in the room's ``displays``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from panic_assets.live.records import Installation, Watcher
from panic_assets.live.store.columns import new_id
from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import BadValue, NotThere
from panic_assets.live.store.rows import as_installation, require_user
from panic_assets.live.store.settings import to_json
from panic_assets.live.store.tables import installations, networks

_FIELDS = ("name", "network_id", "watchers", "is_public", "owner_id")


class Installations(Database):
    """The part of the store that keeps installations."""

    def create_installation(
        self,
        name: str,
        network_id: str,
        watchers: Sequence[Watcher] = (),
        is_public: bool = False,
        owner_id: str | None = None,
    ) -> Installation:
        """A new installation that follows a network.

        Raises:
            NotThere: there is no such network or owner.
            BadValue: no name, or two watchers of one name.
        """
        given = {"name": name, "watchers": watchers, "is_public": is_public, "owner_id": owner_id}
        values = _checked({**given, "network_id": network_id})
        now = self._now()
        with self._writes() as connection:
            _require_others(connection, values)
            statement = installations.insert().values(id=new_id(), created_at=now, updated_at=now, **values)
            return as_installation(connection.execute(statement.returning(installations)).one())

    def update_installation(self, installation_id: str, **fields: Any) -> Installation:
        """Change the fields that are named, such as the network that it follows.

        Raises:
            NotThere: there is no such installation, network or owner.
            BadValue: there is no such field, or it can't hold that.
        """
        values = _checked(fields)
        with self._writes() as connection:
            _require_others(connection, values)
            return _update(connection, installation_id, updated_at=self._now(), **values)

    def installation(self, installation_id: str) -> Installation:
        """The installation of that id.

        Raises:
            NotThere: there is none.
        """
        with self._reads() as connection:
            return _one(connection, installation_id)

    def installations(
        self, owner_id: str | None = None, network_id: str | None = None, public_only: bool = False
    ) -> list[Installation]:
        """All, or those of one owner, or of one network, or that anyone may see; the oldest first."""
        wanted = sa.select(installations).order_by(installations.c.created_at, installations.c.id)
        if owner_id is not None:
            wanted = wanted.where(installations.c.owner_id == owner_id)
        if network_id is not None:
            wanted = wanted.where(installations.c.network_id == network_id)
        if public_only:
            wanted = wanted.where(installations.c.is_public)
        with self._reads() as connection:
            return [as_installation(row) for row in connection.execute(wanted)]

    def delete_installation(self, installation_id: str) -> None:
        """Remove an installation; the network that it followed stays.

        Raises:
            NotThere: there is none.
        """
        with self._writes() as connection:
            gone = connection.execute(installations.delete().where(installations.c.id == installation_id)).rowcount
        if not gone:
            raise NotThere("installation", installation_id)

    def add_watcher(self, installation_id: str, watcher: Watcher) -> Installation:
        """One watcher more, after the others.

        Raises:
            NotThere: there is no such installation.
            BadValue: it has a watcher of that name already.
        """
        return self._change_watchers(installation_id, lambda watchers: [*watchers, watcher])

    def update_watcher(self, installation_id: str, name: str, watcher: Watcher) -> Installation:
        """Put ``watcher`` in the place of the one called ``name``; its own name may be another.

        Raises:
            NotThere: there is no such installation or watcher.
            BadValue: its new name is taken.
        """

        def replaced(watchers: Sequence[Watcher]) -> list[Watcher]:
            _require_watcher(watchers, name)
            return [watcher if old.name == name else old for old in watchers]

        return self._change_watchers(installation_id, replaced)

    def remove_watcher(self, installation_id: str, name: str) -> Installation:
        """One watcher less.

        Raises:
            NotThere: there is no such installation or watcher.
        """

        def without(watchers: Sequence[Watcher]) -> list[Watcher]:
            _require_watcher(watchers, name)
            return [old for old in watchers if old.name != name]

        return self._change_watchers(installation_id, without)

    def reorder_watchers(self, installation_id: str, names: Sequence[str]) -> Installation:
        """Put the watchers in the order of ``names``, which has each of them once.

        Raises:
            NotThere: there is no such installation.
            BadValue: a name is missing, unknown, or there twice.
        """

        def ordered(watchers: Sequence[Watcher]) -> list[Watcher]:
            by_name = {watcher.name: watcher for watcher in watchers}
            if sorted(names) != sorted(by_name):
                raise BadValue("names", tuple(names), f"each of {', '.join(by_name) or 'no watchers'} once")
            return [by_name[name] for name in names]

        return self._change_watchers(installation_id, ordered)

    def _change_watchers(
        self, installation_id: str, change: Callable[[Sequence[Watcher]], list[Watcher]]
    ) -> Installation:
        with self._writes() as connection:
            watchers = to_json("watchers", change(_one(connection, installation_id, hold=True).watchers))
            return _update(connection, installation_id, updated_at=self._now(), watchers=watchers)


def _one(connection: sa.Connection, installation_id: str, hold: bool = False) -> Installation:
    wanted = sa.select(installations).where(installations.c.id == installation_id)
    row = connection.execute(wanted.with_for_update() if hold else wanted).one_or_none()
    if row is None:
        raise NotThere("installation", installation_id)
    return as_installation(row)


def _update(connection: sa.Connection, installation_id: str, **values: Any) -> Installation:
    statement = installations.update().where(installations.c.id == installation_id).values(**values)
    row = connection.execute(statement.returning(installations)).one_or_none()
    if row is None:
        raise NotThere("installation", installation_id)
    return as_installation(row)


def _require_others(connection: sa.Connection, values: dict[str, Any]) -> None:
    require_user(connection, values.get("owner_id"))
    if "network_id" in values:
        network_id = values["network_id"]
        found = sa.select(networks.c.id).where(networks.c.id == network_id).with_for_update(key_share=True)
        if connection.execute(found).one_or_none() is None:
            raise NotThere("network", network_id)


def _require_watcher(watchers: Sequence[Watcher], name: str) -> None:
    if not any(watcher.name == name for watcher in watchers):
        raise NotThere("watcher", name)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(fields.keys() - set(_FIELDS))
    if unknown:
        raise BadValue("a field of an installation", unknown[0], f"the fields are {', '.join(_FIELDS)}")
    if not fields.get("name", "-").strip():
        raise BadValue("name", fields["name"], "an installation needs a name")
    return {field: to_json(field, value) if field == "watchers" else value for field, value in fields.items()}
