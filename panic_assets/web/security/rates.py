"""How often, and how many at once: limits by address, in memory.

Here belongs counting. Counts of logins, which must outlive a restart, are in the store.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Addresses that are remembered; beyond them the one that was silent for longest is forgotten.
_ADDRESSES = 10_000


class Rates:
    """At most ``number`` in any ``seconds`` for each key."""

    def __init__(self, number: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._number, self._seconds, self._now = number, seconds, now
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Count one; 0 if it may go on, else seconds until it may (then it is not counted)."""
        now = self._now()
        with self._lock:
            times = self._times.setdefault(key, deque())
            self._times.move_to_end(key)
            while len(self._times) > _ADDRESSES:
                self._times.popitem(last=False)
            while times and times[0] <= now - self._seconds:
                times.popleft()
            if len(times) >= self._number:
                return times[0] + self._seconds - now
            times.append(now)
            return 0.0


class Budgets:
    """At most ``number`` in any minute for each key, of things that come many at a time; a whole minute's at once."""

    def __init__(self, number: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now = float(number), now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, number: int) -> float:
        """Take so many; 0 if there were as many, else seconds until there are (then none is taken)."""
        now, number = self._now(), min(number, int(self._most))
        with self._lock:
            left, then = self._left.get(key, (self._most, now))
            left = min(self._most, left + (now - then) * self._most / 60)
            taken = left >= number
            self._left[key] = (left - number if taken else left, now)
            self._left.move_to_end(key)
            while len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)
            return 0.0 if taken else (number - left) * 60 / self._most


class Places:
    """At most ``each`` at once for a key, and ``all`` together."""

    def __init__(self, each: int, all: int) -> None:
        self._each, self._all = each, all
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Take a place; False if there is none. Who took one gives it back."""
        with self._lock:
            if self._taken[key] >= self._each or self._taken.total() >= self._all:
                return False
            self._taken[key] += 1
            return True

    def give_back(self, key: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken[key] -= 1
            if self._taken[key] <= 0:
                del self._taken[key]

    @contextmanager
    def held(self, key: str) -> Iterator[bool]:
        """A place for as long as the block lasts, if there is one."""
        taken = self.take(key)
        try:
            yield taken
        finally:
            if taken:
                self.give_back(key)
