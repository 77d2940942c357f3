"""A limit on the processor time of one diagram, and what is computed instead when it is not enough.

Here belong the killable child process and the order of fallbacks. How a diagram is computed belongs to ``rips``; which
trajectories, and on how many threads, to ``persistence``.

Trajectories of equal length differ a hundredfold in cost, and nothing cheap tells beforehand which are the slow ones; a
call into gudhi cannot be interrupted inside its process either. So everything that is not certainly quick is computed
in a child process that lives for many diagrams (a start costs two seconds, a diagram a millisecond of copying) and
asks the kernel to end it when a diagram has used up its processor time. That clock does not run while other programs
have the cores, so a busy machine does not change what is computed; it needs no thread that watches; and a child whose
parent has died ends as well.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from panic_assets.errors import PanicError
from panic_assets.topology import rips
from panic_assets.topology.contraction import enclosing_radius

Status = Literal["complete", "thresholded", "incomplete", "too_few_points"]
Bars = list[NDArray[np.float64]]

# Even independent noise of this many points, the worst there is, takes a few hundredths of a second up to H2.
CERTAINLY_QUICK_POINTS = 60
THRESHOLD_QUANTILE = 0.1


class PersistenceError(PanicError):
    """The child process met an error that a smaller problem would not have avoided."""


@dataclass(frozen=True)
class Outcome:
    """Bars by dimension, the threshold that censors them (None: exact), and processor seconds over all attempts."""

    bars: Bars
    threshold: float | None
    status: Status
    seconds: float


@dataclass(frozen=True)
class _Attempt:
    max_dimension: int
    threshold: float
    status: Status


def outcome_of(matrix: NDArray[np.float64], max_dimension: int, threshold: float) -> Outcome:
    """Compute one diagram in this thread, with no limit."""
    rips.load_libraries()
    start = time.thread_time()
    bars = rips.rips_bars(matrix, max_dimension, threshold)
    censoring = _censoring(matrix, threshold)
    status: Status = "complete" if censoring is None else "thresholded"
    return Outcome(bars, censoring, status, time.thread_time() - start)


def outcome_within(
    matrix: NDArray[np.float64], max_dimension: int, threshold: float, budget_seconds: float, children: Children
) -> Outcome:
    """Compute one diagram within ``budget_seconds`` of processor time per attempt.

    The attempts, each with the whole budget: as asked; with edges up to the 10 % quantile of the distances
    ("thresholded"); the same up to H1 only ("incomplete", when H2 was asked). What is left then is H0 alone, exact,
    which needs no budget ("incomplete").
    """
    if len(matrix) <= CERTAINLY_QUICK_POINTS and max_dimension <= 2:
        return outcome_of(matrix, max_dimension, threshold)
    spent = 0.0
    for attempt in _attempts(matrix, max_dimension, threshold):
        bars, seconds = children.compute(matrix, attempt.max_dimension, attempt.threshold, budget_seconds)
        spent += seconds
        if bars is not None:
            censoring = _censoring(matrix, attempt.threshold)
            status: Status = "thresholded" if attempt.status == "complete" and censoring is not None else attempt.status
            return Outcome(bars, censoring, status, spent)
    components = outcome_of(matrix, 0, threshold)
    return Outcome(components.bars, components.threshold, "incomplete", spent + components.seconds)


def _attempts(matrix: NDArray[np.float64], max_dimension: int, threshold: float) -> Iterator[_Attempt]:
    yield _Attempt(max_dimension, threshold, "complete")
    quantile = float(np.quantile(matrix[np.tril_indices(len(matrix), k=-1)], THRESHOLD_QUANTILE))
    yield _Attempt(max_dimension, min(threshold, quantile), "thresholded")
    if max_dimension > 1:
        yield _Attempt(1, min(threshold, quantile), "incomplete")


def _censoring(matrix: NDArray[np.float64], threshold: float) -> float | None:
    """Return the threshold if it hides anything: at the enclosing radius and above, it does not."""
    return threshold if threshold < enclosing_radius(matrix) else None


class Children:
    """Child processes for any number of threads; each diagram takes an idle one or starts one. A context manager."""

    def __init__(self) -> None:
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def compute(
        self, matrix: NDArray[np.float64], max_dimension: int, threshold: float, budget_seconds: float
    ) -> tuple[Bars | None, float]:
        """Return the bars, or None when the child was ended before it had them, and the processor seconds spent.

        A child that the system ends for want of memory counts the same: a smaller problem is the answer to both.

        Raises:
            PersistenceError: the child reports an error.
        """
        try:
            child = self._idle.get_nowait()
        except queue.Empty:
            child = _Child()
        try:
            reply = child.ask(matrix, max_dimension, threshold, budget_seconds)
        except BaseException:
            child.close()
            raise
        if reply is None:
            child.close()
            return None, budget_seconds
        self._idle.put(child)
        return reply


class _Child:
    """One child process, and the parent's end of the pipe to it."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        )
        theirs.close()

    def ask(
        self, matrix: NDArray[np.float64], max_dimension: int, threshold: float, budget_seconds: float
    ) -> tuple[Bars, float] | None:
        try:
            self._pipe.send((matrix, max_dimension, threshold, budget_seconds))
            bars, seconds, error = self._pipe.recv()
        except (EOFError, OSError):
            if self._process.wait() in (-signal.SIGPROF, -signal.SIGKILL):
                return None
            raise PersistenceError(
                f"the process that computes persistence diagrams ended with code {self._process.returncode} on "
                f"{len(matrix)} distinct points; its own message is in the log above"
            ) from None
        if error is not None:
            raise PersistenceError(f"persistence diagram of {len(matrix)} distinct points: {error}")
        return bars, seconds

    def close(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()


def _serve(pipe: Connection) -> None:
    """Answer requests until the parent closes the pipe. SIGPROF, by default, ends the process at once."""
    while True:
        try:
            matrix, max_dimension, threshold, budget_seconds = pipe.recv()
        except (EOFError, OSError):  # closed, or the parent ended in the middle of a request
            return
        bars, error = None, None
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, budget_seconds)
        try:
            bars = rips.rips_bars(matrix, max_dimension, threshold)
        except MemoryError:
            os.kill(os.getpid(), signal.SIGKILL)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send((bars, time.process_time() - start, error))


if __name__ == "__main__":
    from threadpoolctl import threadpool_limits

    # What a parent ignores, a child ignores. And a Ctrl-C is the parent's to handle: it closes the pipe.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rips.load_libraries()
    with threadpool_limits(limits=1):
        _serve(Connection(int(sys.argv[1])))
