"""Training events of many requests, taken together.

Here belongs gathering what waits in the event loop, so that a hundred requests cost one thread and one commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from panic_assets.studies.events.offers import Offer, Unreadable
from panic_assets.studies.events.rows import Receipt
from panic_assets.studies.events.store import EventStore

_Offers = Sequence[Offer | Unreadable]
_Job = tuple[_Offers, asyncio.Future[list[Receipt]]]
#: Events of one commit: beyond that the first of them would wait too long.
_MOST = 1000


class EventIntake:
    """Takes events for requests; what arrives during a commit goes into the next one. One event loop uses it."""

    def __init__(self, store: EventStore, threads: Executor) -> None:
        self._store, self._threads = store, threads
        self._waiting: list[_Job] = []
        self._working: asyncio.Task[None] | None = None

    async def take(self, offers: _Offers) -> list[Receipt]:
        """What became of them, when they are durable.

        Raises:
            LiveStoreError: the database fails; nothing of these was taken.
        """
        future: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._waiting.append((offers, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                jobs: list[_Job] = []
                events = 0
                while self._waiting and (not jobs or events + len(self._waiting[0][0]) <= _MOST):
                    jobs.append(self._waiting.pop(0))
                    events += len(jobs[-1][0])
                await self._commit(jobs)
        finally:
            self._working = None

    async def _commit(self, jobs: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        together = [offer for offers, _ in jobs for offer in offers]
        try:
            receipts = await loop.run_in_executor(self._threads, self._store.take, together)
        except Exception as error:
            if len(jobs) > 1:  # no request pays for another
                for job in jobs:
                    await self._commit([job])
            elif not jobs[0][1].done():
                jobs[0][1].set_exception(error)
            return
        for offers, future in jobs:
            own, receipts = receipts[: len(offers)], receipts[len(offers) :]
            if not future.done():  # whoever asked may have gone
                future.set_result(own)
