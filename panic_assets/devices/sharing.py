"""Which of the calls that wait for a device is next, when several clients want it, and which models may be let go.

Here belongs that choice alone, as data: no threads, no sockets. The rule of ``Desk.take`` is, first match first:

1. A client's oldest call goes next once ``patience`` times as many others have begun since it became the oldest as
   there are clients waiting; the one that is the oldest for longest first.
2. Clients take turns: the one first that was served least recently. The first in turn that has a call for a model in
   memory that no other lane is using, with the oldest such call.
3. The first in turn that has a call for a model that no lane is using (calls of the same weights wait for one another).
4. The first in turn, with its oldest call.

So a client with a thousand calls does not delay one with a single call of the same model by more than one call, a
model is loaded for several calls at a time, and no oldest call waits for more than ``(patience + 1) * clients - 1``
others.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from panic_assets.devices.base import Call

PATIENCE = 4
RECENT_CALLS = 32


@dataclass(frozen=True, eq=False)
class Job:
    """A call of a client, with the number that the client gave it."""

    client: int
    number: int
    call: Call

    @property
    def weights(self) -> str:
        """What has to be in memory for it."""
        return self.call.entry.load_identity


@dataclass(eq=False)
class _Line:
    """What waits of one client. ``served`` and ``oldest_since`` count the calls begun on the device until then."""

    jobs: deque[Job] = field(default_factory=deque)
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT_CALLS))
    served: int = -1
    oldest_since: int = 0


class Desk:
    """The calls that wait for one device, and those that it computes. Not safe to use from several threads at once."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self.begun = 0
        self.resident: dict[str, float] = {}
        self._patience = patience
        self._lines: dict[int, _Line] = {}
        self._busy: Counter[str] = Counter()

    def put(self, job: Job) -> None:
        """A call came."""
        line = self._lines.setdefault(job.client, _Line())
        if not line.jobs:
            line.oldest_since = self.begun
        line.jobs.append(job)

    def take(self) -> Job | None:
        """The call that a free lane begins now, None if none waits.

        Its ``release`` is what of the client's wish can be granted: nothing that a lane is using, or that another
        client that is still there wants, or has used in its last ``RECENT_CALLS`` calls.
        """
        turn = sorted((line for line in self._lines.values() if line.jobs), key=lambda line: line.served)
        if not turn:
            return None
        line, job = self._choice(turn)
        self.begun += 1
        was_oldest = line.jobs[0] is job
        line.jobs.remove(job)
        if was_oldest:
            line.oldest_since = self.begun
        line.served = self.begun
        line.recent.append(job.weights)
        granted = tuple(key for key in job.call.release if not self._is_wanted(key, job.client))
        self._busy[job.weights] += 1
        return replace(job, call=replace(job.call, release=granted))

    def done(self, job: Job, resident: Mapping[str, float] | None) -> None:
        """A call ended. ``resident`` is what the device holds now, None if that is not known."""
        self._busy[job.weights] -= 1
        if resident is not None:
            self.resident = dict(resident)

    def withdraw(self, client: int, number: int) -> None:
        """A client does not want a call any more. One that has begun goes on."""
        line = self._lines.get(client)
        if line is None or not line.jobs:
            return
        oldest = line.jobs[0]
        line.jobs = deque(job for job in line.jobs if job.number != number)
        if line.jobs and line.jobs[0] is not oldest:
            line.oldest_since = self.begun

    def forget(self, client: int) -> None:
        """A client is gone; its calls that have not begun never will."""
        self._lines.pop(client, None)

    def waiting(self, client: int | None = None) -> int:
        """How many calls wait, of one client or of all."""
        return sum(len(line.jobs) for key, line in self._lines.items() if client in (None, key))

    @property
    def computing(self) -> int:
        """How many calls have begun and not ended."""
        return self._busy.total()

    def _choice(self, turn: list[_Line]) -> tuple[_Line, Job]:
        overdue = [line for line in turn if self.begun - line.oldest_since >= self._patience * len(turn)]
        if overdue:
            line = min(overdue, key=lambda line: line.oldest_since)
            return line, line.jobs[0]
        rules: tuple[Callable[[Job], bool], ...] = (self._is_at_hand, self._is_idle)
        for rule in rules:
            for line in turn:
                for job in line.jobs:
                    if rule(job):
                        return line, job
        return turn[0], turn[0].jobs[0]

    def _is_idle(self, job: Job) -> bool:
        return not self._busy[job.weights]

    def _is_at_hand(self, job: Job) -> bool:
        return job.weights in self.resident and self._is_idle(job)

    def _is_wanted(self, weights: str, client: int) -> bool:
        others = (line for key, line in self._lines.items() if key != client)
        return bool(self._busy[weights]) or any(
            weights in line.recent or any(job.weights == weights for job in line.jobs) for line in others
        )
