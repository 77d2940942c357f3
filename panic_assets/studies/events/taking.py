"""Taking events: one durable transaction for all that come together, and none of them twice.

Here belong idempotency, dead letters of what can't be applied, and waking those whose trial has come. What an event
does to the rows is in ``applying``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.database import Database, utc_now
from panic_assets.studies.events.applying import Applying
from panic_assets.studies.events.before import Before
from panic_assets.studies.events.errors import LettersFull
from panic_assets.studies.events.grouping import Group
from panic_assets.studies.events.letters import MOST_LETTERS
from panic_assets.studies.events.offers import Offer, Unreadable, read
from panic_assets.studies.events.rows import Reason, Receipt
from panic_assets.studies.events.tables import SCHEMA, counter, dead_letters

_Offers = Sequence[Offer | Unreadable]


class Taking(Database):
    """The part of the event store that takes events."""

    schema = SCHEMA

    def __init__(self, url: str, now: Callable[[], datetime] = utc_now, patience_seconds: float = 10.0) -> None:
        super().__init__(url, now, patience_seconds)
        self._group: Group[_Offers, list[Receipt]] = Group(self._commit)

    def ingest(self, bodies: Sequence[Any]) -> list[Receipt]:
        """Take events in any dialect, in one durable transaction: one receipt for each, in order.

        What can't be read or applied becomes a dead letter; nothing is raised for what an event says.

        Raises:
            LettersFull: there are too many dead letters.
            LiveStoreError: the database fails. Nothing was taken then, and all can be sent again.
        """
        return self.take([read(body) for body in bodies])

    #: What a client in this process delivers to.
    deliver = ingest

    def take(self, offers: _Offers) -> list[Receipt]:
        """The same for what has been read."""
        return self._group.submit(offers) if offers else []

    def replay(self, letter_ids: Sequence[int] | None = None) -> list[Receipt]:
        """Try dead letters again, all or those: one receipt for each that is there, the oldest first."""
        own = dead_letters.c
        wanted = sa.select(dead_letters).where(own.body.is_not(None)).order_by(own.letter_id)
        if letter_ids is not None:
            wanted = wanted.where(own.letter_id.in_(list(letter_ids)))
        with self._writes() as connection:
            session = _Session(connection, self._insert, self._now(), self.place)
            receipts = session.again(connection.execute(wanted).all())
            session.finish()
            return receipts

    def _commit(self, jobs: Sequence[_Offers]) -> list[list[Receipt]]:
        with self._writes() as connection:
            session = _Session(connection, self._insert, self._now(), self.place)
            session.before.look_up([offer for offers in jobs for offer in offers])
            receipts = [[session.take(offer) for offer in offers] for offers in jobs]
            session.finish()
            return receipts


class _Session:
    """One transaction of taking. Its first statement keeps other writers out until it ends."""

    def __init__(self, connection: sa.Connection, insert: Callable[[sa.Table], Any], now: datetime, place: str) -> None:
        self._connection, self._now, self._place = connection, now, place
        raised = counter.update().values(number=counter.c.number + 1).returning(counter.c.number)
        self._applying = Applying(connection, insert, connection.execute(raised).scalar_one(), now)
        self.before = Before(connection)
        self._letters: int | None = None

    def finish(self) -> None:
        """Write all that was gathered."""
        self._applying.finish()

    def take(self, offer: Offer | Unreadable) -> Receipt:
        """Apply one, or put it among the dead letters, unless that was done before."""
        applied_as = self.before.applied_as(offer) if isinstance(offer, Offer) else None
        if applied_as is not None:
            return Receipt(applied_as, _name(offer), "duplicate")
        dead = self.before.dead(offer)
        if dead is not None:
            return dead
        if isinstance(offer, Unreadable):
            return self._bury(offer, offer, offer.error.reason, offer.error.lines())
        if self.before.is_taken(offer.event_id):
            return self._bury(offer, offer.stamped(self._now), "id_reused", _reused(offer))
        stamped = offer.stamped(self._now)
        refusal = self._applying.take(stamped)
        if refusal is not None:
            return self._bury(offer, stamped, refusal.reason, refusal.details)
        self.before.note_applied(stamped)
        self._wake()
        return Receipt(stamped.event_id, _name(offer), "accepted", stamped.remarks)

    def again(self, letters: Sequence[sa.Row[Any]]) -> list[Receipt]:
        """Try letters again: those that can be applied now, or were, are gone; the others say what is wrong now."""
        self.before.look_up([_offer_of(letter) for letter in letters])
        gone: set[int] = set()  # grows on the way: a letter that is applied may wake others of the list
        return [self._try(letter, gone) for letter in letters if letter.letter_id not in gone]

    def _try(self, letter: sa.Row[Any], gone: set[int]) -> Receipt:
        offer = _offer_of(letter)
        here = dead_letters.c.letter_id == letter.letter_id
        reason, details = letter.reason, tuple(letter.details)
        if isinstance(offer, Unreadable):
            reason, details = offer.error.reason, offer.error.lines()
        elif self.before.applied_as(offer) is not None:
            gone.add(letter.letter_id)
            self._connection.execute(dead_letters.delete().where(here))
            return Receipt(letter.event_id, letter.name, "duplicate")
        elif not self.before.is_taken(offer.event_id):
            stamped = offer.stamped(letter.received_at)
            refusal = self._applying.take(stamped)
            if refusal is None:
                gone.add(letter.letter_id)
                self._connection.execute(dead_letters.delete().where(here))
                self.before.note_applied(stamped)
                self._wake(gone)
                return Receipt(stamped.event_id, _name(stamped), "accepted", stamped.remarks)
            reason, details = refusal.reason, refusal.details
        else:
            reason, details = "id_reused", _reused(offer)
        self._connection.execute(dead_letters.update().where(here).values(reason=reason, details=list(details)))
        return Receipt(letter.event_id, letter.name, "dead", details)

    def _wake(self, gone: set[int] | None = None) -> None:
        """Try what has waited for the trials and runs that have just become known."""
        own = dead_letters.c
        gone = set() if gone is None else gone
        while self._applying.made:
            study, reason, key = self._applying.made.pop()
            column = own.model_run_id if reason == "unknown_run" else own.trial_id
            found = sa.select(dead_letters).where(own.study == study, own.reason == reason, column == key)
            letters = self._connection.execute(found.order_by(own.letter_id)).all()
            self.before.look_up([_offer_of(letter) for letter in letters])
            for letter in letters:
                if letter.letter_id not in gone:
                    self._try(letter, gone)

    def _bury(
        self, offer: Offer | Unreadable, kept: Offer | Unreadable, reason: Reason, details: tuple[str, ...]
    ) -> Receipt:
        if self._letters is None:
            counted = sa.select(sa.func.count()).select_from(dead_letters)
            self._letters = self._connection.execute(counted).scalar_one()
        if self._letters >= MOST_LETTERS:
            raise LettersFull(self._place, MOST_LETTERS)
        self._letters += 1
        row = {"reason": reason, "details": list(details), "digest": offer.digest, "received_at": self._now}
        self._connection.execute(dead_letters.insert().values(**row, **_letter(kept)))
        receipt = Receipt(kept.event_id, _name(offer), "dead", details)
        self.before.note_dead(offer, receipt)
        return receipt


def _reused(offer: Offer) -> tuple[str, ...]:
    return (f"another event has had the event_id {offer.event_id}: give each event its own",)


def _name(offer: Offer | Unreadable) -> str | None:
    return offer.name if isinstance(offer, Unreadable) else offer.event.name


def _letter(offer: Offer | Unreadable) -> dict[str, Any]:
    """The columns of a dead letter that say which event it is."""
    if isinstance(offer, Unreadable):
        return {"event_id": offer.event_id, "name": offer.name, "body": offer.body}
    keys = {key: getattr(offer.event.payload, key, None) for key in ("model_run_id", "trial_id")}
    told = {"event_id": offer.event_id, "name": offer.event.name, "study": offer.event.study, "body": offer.body()}
    return {**told, **keys}


def _offer_of(letter: sa.Row[Any]) -> Offer | Unreadable:
    """What a letter says, known by what was sent at first."""
    return replace(read(letter.body), digest=letter.digest)
