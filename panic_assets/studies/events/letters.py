"""Dead letters: events that could not be applied, why, and what can be done about them.

Here belong looking at them, trying them again and discarding them. Those that wait for a trial or a run are tried by
``taking`` when it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.database import Database
from panic_assets.studies.events.reading import columns_of
from panic_assets.studies.events.rows import DeadLetter
from panic_assets.studies.events.tables import (
    SCHEMA,
    artifacts,
    counter,
    dead_letters,
    events,
    model_runs,
    trial_metrics,
    trials,
)

#: Kept at once. Beyond that nothing is taken that would become one more.
MOST_LETTERS = 100_000


def as_letter(row: sa.Row[Any]) -> DeadLetter:
    """A row of dead letters as its record."""
    values = dict(row._mapping)
    return DeadLetter(**values | {"details": tuple(values["details"])})


class Letters(Database):
    """The part of the event store that keeps dead letters, and forgets."""

    schema = SCHEMA

    def dead_letters(self, study: str | None = None, limit: int = 100, after: int = 0) -> list[DeadLetter]:
        """Dead letters, the oldest first: at most ``limit``, those with ids above ``after``."""
        own = dead_letters.c
        wanted = sa.select(*columns_of(dead_letters, DeadLetter)).where(own.letter_id > after)
        if study is not None:
            wanted = wanted.where(own.study == study)
        with self._reads() as connection:
            return [as_letter(row) for row in connection.execute(wanted.order_by(own.letter_id).limit(limit))]

    def count_dead_letters(self) -> dict[str, int]:
        """How many there are, by reason."""
        counted = sa.select(dead_letters.c.reason, sa.func.count()).group_by(dead_letters.c.reason)
        with self._reads() as connection:
            return {reason: number for reason, number in connection.execute(counted)}

    def discard(self, letter_ids: Sequence[int]) -> int:
        """Forget dead letters for good; how many there were."""
        with self._writes() as connection:
            gone = dead_letters.delete().where(dead_letters.c.letter_id.in_(list(letter_ids)))
            return connection.execute(gone).rowcount

    def forget(self, study: str) -> dict[str, int]:
        """Delete all of a study: rows, events and dead letters; how many there were of each.

        What is sent of it afterwards, also again, is new.
        """
        with self._writes() as connection:
            connection.execute(counter.update().values(number=counter.c.number + 1))
            return {
                table.name: connection.execute(table.delete().where(table.c.study == study)).rowcount
                for table in (trial_metrics, artifacts, trials, model_runs, events, dead_letters)
            }
