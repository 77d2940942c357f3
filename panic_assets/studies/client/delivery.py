"""Taking events out of the outbox and to the platform: in order, in batches, with pauses that grow.

Here belongs one attempt and the pause after it, without threads and without waiting, so that both can be tested by a
clock that is set by hand. Who waits is in ``client``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from panic_assets.studies.client.outbox import Outbox, Waiting
from panic_assets.studies.client.transports import Answer, Transport

logger = logging.getLogger(__name__)

#: Most events of a batch; the platform takes no more.
MOST_EVENTS = 500
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True)
class Pauses:
    """Seconds between attempts while the platform does not take events: doubling from the first to the longest."""

    first: float = 0.5
    longest: float = 60.0

    def after(self, failures: int, asked: float | None) -> float:
        """The pause after so many failures in a row (1 or more); longer if the platform asks for it, within reason."""
        return max(min(self.first * 2 ** min(failures - 1, 32), self.longest), min(asked or 0.0, 10 * self.longest))


class Delivery:
    """Moves events from an outbox to the platform.

    ``delivered`` counts events that the platform has, ``dead`` those among them that it can't apply. ``problem`` is
    what is in the way now.
    """

    def __init__(self, outbox: Outbox, transport: Transport, pauses: Pauses) -> None:
        self.delivered = 0
        self.dead = 0
        self.attempts = 0
        self.problem: str | None = None
        self._outbox, self._transport, self._pauses = outbox, transport, pauses
        self._failures = 0

    def attempt(self) -> float | None:
        """Send the first batch that waits; the seconds to wait before the next attempt, None if nothing waits.

        Raises:
            OutboxError: the outbox can't be read or written.
        """
        batch = self._outbox.first(MOST_EVENTS, _MOST_BYTES)
        if not batch:
            return None
        problem = self._send(batch)
        if problem is None:
            if self.problem is not None:
                logger.warning("The platform takes events again.")
            self._failures, self.problem = 0, None
            return 0.0
        self._failures += 1
        if self.problem is None:
            logger.warning("Events wait in %s until the platform takes them: %s", self._outbox.path, problem.reason)
        self.problem = problem.reason
        return self._pauses.after(self._failures, problem.pause)

    def _send(self, batch: Sequence[Waiting]) -> Answer | None:
        """Send a batch; the answer that puts it off, None if it is done with.

        A refused batch is sent in halves down to the events that are at fault, so that one bad event holds up no other.
        """
        self.attempts += 1
        bodies = [json.loads(one.body) for one in batch]
        try:
            answer = self._transport.send(bodies)
        except Exception as error:  # a transport of the trainer's own may do anything; nothing is lost by it
            answer = Answer("later", f"{type(error).__name__}: {error}")
        if answer.verdict == "later":
            return answer
        if answer.verdict == "refused":
            if len(batch) == 1:
                self._set_aside(batch[0], answer.reason)
                return None
            middle = len(batch) // 2
            return self._send(batch[:middle]) or self._send(batch[middle:])
        self._take(batch, [body["event_id"] for body in bodies], answer)
        return None

    def _take(self, batch: Sequence[Waiting], ids: Sequence[str], answer: Answer) -> None:
        good = []
        for one, event_id in zip(batch, ids, strict=True):
            if event_id in answer.each:
                self._set_aside(one, answer.each[event_id])
            else:
                good.append(one.position)
        self._outbox.remove(good)
        self.delivered += len(good)
        self.dead += len(answer.dead)
        for event_id, reason in answer.dead.items():
            logger.warning("The platform keeps event %s but can't apply it (%s)", event_id, reason)

    def _set_aside(self, one: Waiting, reason: str) -> None:
        self._outbox.set_aside(one.position, reason)
        logger.warning("The platform refuses an event, which is kept in %s: %s", self._outbox.path, reason)
