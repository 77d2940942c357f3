"""Media in the store: what the archive knows of each file.

Here belong the rows about media; the files themselves are the archive's.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.database import Database
from panic_assets.live.store.errors import NotThere
from panic_assets.live.store.tables import invocations
from panic_assets.live.store.tables import media as media_table
from panic_assets.live.values import Archived


class Media(Database):
    """The part of the store that keeps media."""

    def add_media(self, archived: Archived) -> None:
        """Remember a medium; one that is known already, by its key, stays as it is."""
        statement = self._insert(media_table).values(**asdict(archived)).on_conflict_do_nothing(index_elements=["key"])
        with self._writes() as connection:
            connection.execute(statement)

    def media(self, key: str) -> Archived:
        """The medium of that key.

        Raises:
            NotThere: there is none.
        """
        found = self._media(sa.select(media_table).where(media_table.c.key == key))
        if not found:
            raise NotThere("medium", key)
        return found[0]

    def media_of_run(self, run_id: str) -> list[Archived]:
        """What a run put out, each medium once, in the order in which it appeared."""
        appeared = (
            sa.select(invocations.c.output_key, sa.func.min(invocations.c.sequence_number).label("first"))
            .where(invocations.c.run_id == run_id, invocations.c.output_key.is_not(None))
            .group_by(invocations.c.output_key)
            .subquery()
        )
        joined = sa.select(media_table).join(appeared, appeared.c.output_key == media_table.c.key)
        return self._media(joined.order_by(appeared.c.first))

    def _media(self, wanted: sa.Select[Any]) -> list[Archived]:
        with self._reads() as connection:
            return [Archived(**row._mapping) for row in connection.execute(wanted)]
