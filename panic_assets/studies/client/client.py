"""The client: what a trainer makes once, and the thread that delivers what it said.

Here belongs the thread. What can be told is in ``calls``, the file in ``outbox``, the way to the platform in
``transports``, attempts and pauses in ``delivery``.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from panic_assets.studies.client.calls import Calls
from panic_assets.studies.client.delivery import Delivery, Pauses
from panic_assets.studies.client.errors import ClientError
from panic_assets.studies.client.events import event
from panic_assets.studies.client.outbox import Outbox, Refused
from panic_assets.studies.client.transports import Transport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """How delivery stands.

    ``waiting`` and ``refused`` are in the outbox; ``delivered`` since this client was made, ``dead`` among them those
    that the platform keeps but can't apply. ``problem`` is why it does not take events now, None if it does.
    """

    waiting: int
    refused: int
    delivered: int
    dead: int
    attempts: int
    problem: str | None


class Client(Calls):
    """Tells the platform what training does. Any number of threads may call it; an outage never reaches the caller.

    What a call told is on disk before the call returns. A thread delivers it, in order; what is left when the process
    ends is delivered by the next client of the same outbox. Platforms know events by their ids, so that one that was
    sent twice counts once. ``source`` names the trainer, ``study`` the study that its events belong to.

    Raises:
        OutboxError: the outbox can't be opened.
    """

    def __init__(
        self,
        transport: Transport,
        outbox: Path,
        source: str = "trainer",
        *,
        study: str | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        super().__init__()
        self._outbox = Outbox(outbox)
        self._transport = transport
        self._source, self._study = source, study
        self._delivery = Delivery(self._outbox, transport, pauses or Pauses())
        self._changed = threading.Condition()
        self._closed = False
        self._at_once = False
        self._called = 1  # rises with all that may have put events into the outbox, also before this client was made
        self._emptied = 0  # what it was when the outbox was last found empty
        self._thread = threading.Thread(target=self._deliver, name="panic-events", daemon=True)
        self._thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def emit(self, name: str, *, event_id: str | None = None, correlation_id: str | None = None, **payload: Any) -> str:
        """Tell of an event; its id. It is on disk when this returns.

        An ``event_id`` of the caller makes telling the same twice harmless. Values that are None are left out.

        Raises:
            ClientError: a value has no JSON, the id is malformed, or the client is closed.
            OutboxError: the outbox can't be written.
        """
        body = event(
            name, payload, source=self._source, event_id=event_id, study=self._study, correlation_id=correlation_id
        )
        if self._closed:
            raise ClientError(f"{name}: this client is closed. Make a new one of the same outbox.")
        self._outbox.add(body)
        with self._changed:
            self._called += 1
            self._changed.notify_all()
        return str(body["event_id"])

    def status(self) -> Status:
        """How delivery stands."""
        delivery = self._delivery
        return Status(
            self._outbox.waiting(),
            len(self.refused()),
            delivery.delivered,
            delivery.dead,
            delivery.attempts,
            delivery.problem,
        )

    def refused(self) -> list[Refused]:
        """Events that the platform will not take as they are. They stay in the outbox."""
        return self._outbox.refused()

    def retry_refused(self) -> int:
        """Send the refused events again, say after an update of the platform; how many they are."""
        count = self._outbox.put_back()
        self._wake()
        return count

    def flush(self, timeout: float = 30.0) -> int:
        """Deliver now, and wait for it up to so many seconds; how many events are left."""
        until = time.monotonic() + timeout
        called = self._wake()
        with self._changed:
            self._changed.wait_for(lambda: self._emptied >= called, max(0.0, until - time.monotonic()))
        return self._outbox.waiting()

    def close(self, timeout: float = 5.0) -> int:
        """Deliver what can be delivered within so many seconds, then stop; how many events are left in the outbox."""
        if self._closed:
            return 0
        left = self.flush(timeout) if timeout > 0 else self._outbox.waiting()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        if not self._thread.is_alive():  # else it is in the middle of a request, and ends with the process
            self._transport.close()
            self._outbox.close()
        return left

    def _wake(self) -> int:
        """End a pause; what `_emptied` reaches once all that is in the outbox now is gone."""
        with self._changed:
            self._at_once = True
            self._called += 1
            self._changed.notify_all()
            return self._called

    def _deliver(self) -> None:
        """What the thread does: attempts, and waits for the next event or for the end of a pause."""
        while True:
            with self._changed:
                if self._closed:
                    return
                self._at_once, called = False, self._called
            try:
                pause = self._delivery.attempt()
            except Exception:  # a full disk, a damaged file: emitting tells the trainer, this thread has to live on
                logger.exception("Events can't be taken out of the outbox; it is tried again in a minute.")
                pause = 60.0
            with self._changed:
                if pause is None:
                    self._emptied = called
                    self._changed.notify_all()
                    while self._called == called and not self._closed:
                        self._changed.wait()
                else:
                    self._changed.wait_for(lambda: self._closed or self._at_once, pause)
