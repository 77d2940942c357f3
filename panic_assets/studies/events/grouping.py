"""Many callers, one commit: what arrives while a transaction is under way goes into the next one together.

Here belongs who works for whom; what the work is, is the caller's. Nobody waits for a timer: a caller alone is
served at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

#: Jobs of one commit: beyond that the first of them would wait too long.
_MOST = 64


class _Place(Generic[_Job, _Result]):
    """One caller in the queue. It wakes when its job is done, or when it is to lead."""

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.leads = False
        self.wake = threading.Event()
        self.result: list[_Result] = []
        self.error: BaseException | None = None


class Group(Generic[_Job, _Result]):
    """Runs ``commit`` with the jobs of all callers that wait, one group after another.

    ``commit`` gives one result for each job, in order. If it fails for several jobs together, each is tried alone, so
    that no caller pays for another.
    """

    def __init__(self, commit: Callable[[Sequence[_Job]], Sequence[_Result]]) -> None:
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[_Place[_Job, _Result]] = []
        self._is_led = False

    def submit(self, job: _Job) -> _Result:
        """The result of a job, when it is committed; the error of its commit is raised."""
        place: _Place[_Job, _Result] = _Place(job)
        with self._lock:
            self._waiting.append(place)
            if not self._is_led:
                self._is_led = True
                place.leads = True
                place.wake.set()
        place.wake.wait()
        if place.leads:
            self._lead()
        if place.error is not None:
            raise place.error
        return place.result[0]

    def _lead(self) -> None:
        with self._lock:
            places, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        try:
            self._run(places)
        finally:
            with self._lock:
                self._is_led = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].wake.set()
            for place in places:
                place.wake.set()

    def _run(self, places: list[_Place[_Job, _Result]]) -> None:
        try:
            results = self._commit([place.job for place in places])
        except BaseException as error:
            if len(places) > 1 and isinstance(error, Exception):
                for place in places:
                    self._run([place])
                return
            for place in places:
                place.error = error
            return
        for place, result in zip(places, results, strict=True):
            place.result.append(result)
