"""Which events came before: applied, or dead.

Here belongs what makes sending an event again harmless. An event is known by its id; one that has none, by all that it
says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from panic_assets.studies.events.offers import Offer, Unreadable
from panic_assets.studies.events.rows import Receipt
from panic_assets.studies.events.tables import dead_letters, events

#: Values of one question: SQLite takes a few tens of thousands.
_AT_ONCE = 500


class Before:
    """What is known of the events of one transaction: what the tables say, and what it does itself."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._digests: dict[str, str] = {}
        self._nameless: dict[str, str] = {}
        self._dead: dict[tuple[str | None, str], Receipt] = {}

    def look_up(self, offers: Iterable[Offer | Unreadable]) -> None:
        """Ask the tables about these."""
        offers = list(offers)
        own, dead = events.c, dead_letters.c
        for ids in _parts(offer.event_id for offer in offers):
            found = self._connection.execute(sa.select(own.event_id, own.digest).where(own.event_id.in_(ids)))
            self._digests.update((row[0], row[1]) for row in found)
            for event_id, digest, receipt in self._letters(dead.event_id.in_(ids)):
                self._dead[event_id, digest] = receipt
        for digests in _parts(offer.digest for offer in offers if offer.event_id is None):
            found = self._connection.execute(sa.select(own.digest, own.event_id).where(own.digest.in_(digests)))
            self._nameless.update((row[0], row[1]) for row in found)
            for _, digest, receipt in self._letters(dead.digest.in_(digests)):
                self._dead[None, digest] = receipt

    def applied_as(self, offer: Offer) -> str | None:
        """The id under which this very event was applied; None if it was not."""
        if offer.event_id is None:
            return self._nameless.get(offer.digest)
        return offer.event_id if self._digests.get(offer.event_id) == offer.digest else None

    def is_taken(self, event_id: str | None) -> bool:
        """Whether an event of that id was applied, whatever it said."""
        return event_id in self._digests

    def dead(self, offer: Offer | Unreadable) -> Receipt | None:
        """What was said when this very event was found dead; None if it is not."""
        return self._dead.get((offer.event_id, offer.digest))

    def note_applied(self, offer: Offer) -> None:
        """It is applied now; ``offer`` is stamped."""
        assert offer.event_id is not None
        self._digests[offer.event_id] = offer.digest
        self._nameless[offer.digest] = offer.event_id
        self._dead.pop((offer.event_id, offer.digest), None)
        self._dead.pop((None, offer.digest), None)

    def note_dead(self, offer: Offer | Unreadable, receipt: Receipt) -> None:
        """It is dead now; ``offer`` is as it came."""
        self._dead[offer.event_id, offer.digest] = receipt

    def _letters(self, which: Any) -> Iterator[tuple[str | None, str, Receipt]]:
        own = dead_letters.c
        for row in self._connection.execute(sa.select(own.event_id, own.digest, own.name, own.details).where(which)):
            yield row.event_id, row.digest, Receipt(row.event_id, row.name, "dead", tuple(row.details))


def _parts(values: Iterable[str | None]) -> Iterator[list[str]]:
    wanted = list(dict.fromkeys(value for value in values if value is not None))
    for start in range(0, len(wanted), _AT_ONCE):
        yield wanted[start : start + _AT_ONCE]
