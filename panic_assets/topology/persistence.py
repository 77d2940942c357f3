"""Persistence diagrams of trajectories: the functions and results that the rest of the platform uses.

Here belong the results' types, the treatment of repeated points, and many trajectories on threads. Which algorithm
computes a diagram belongs to ``rips``, the limit on its time to ``budget``, numbers taken from it to ``features``.

A Rips filtration of points with repetitions has the diagrams of its distinct points, plus one H0 bar of length zero for
each repetition: two equal points have distance zero and so are one component, with the same neighbours, from the start.
So repeated points are merged first. That is exact, and a run that has settled into a cycle costs next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from panic_assets.errors import PanicError
from panic_assets.geometry import PointsError, checked_points, distances_of_distinct, distinct_rows
from panic_assets.topology.budget import Children, Outcome, Status, outcome_of, outcome_within

_Compute = Callable[[NDArray[np.float64]], Outcome]


class SettingsError(PanicError):
    """A dimension, threshold, budget or number of workers that makes no sense."""


@dataclass(frozen=True, eq=False)
class Diagram:
    """The bars of one homology dimension, sorted by birth, then death; none of length zero.

    Attributes:
        homology_dimension: 0 for components, 1 for loops, 2 for voids.
        births: (bars,) float64, in the unit of the distances.
        deaths: (bars,) float64; infinite for homology that no edge of the filtration ends.
    """

    homology_dimension: int
    births: NDArray[np.float64]
    deaths: NDArray[np.float64]


@dataclass(frozen=True)
class Diagrams:
    """The persistence diagrams of one trajectory, over the field of two elements.

    Attributes:
        diagrams: one per homology dimension: ``diagrams[k]`` is that of dimension k.
        points: number of points of the trajectory.
        distinct_points: number of different points. Without a threshold it is the number of H0 bars, one of them
            infinite.
        threshold: the longest edge, when shorter than the enclosing radius; None when nothing was cut off. With a
            threshold, homology alive there has death infinity, whether or not a longer edge would end it.
        status: "complete" (exact), "thresholded" (see threshold), "incomplete" (dimensions missing, for want of
            time), or "too_few_points" (fewer than two).
        seconds: processor time spent on the diagrams, attempts given up for want of time included.
    """

    diagrams: list[Diagram]
    points: int
    distinct_points: int
    threshold: float | None
    status: Status
    seconds: float


def persistence_diagrams(
    points: NDArray[np.floating], max_dimension: int = 2, threshold: float | None = None
) -> Diagrams:
    """Compute the Vietoris-Rips persistence diagrams of one trajectory, exactly, however long it takes.

    Args:
        points: (n, d) float32 or float64, finite; n may be 0. The order of the rows does not matter.
        max_dimension: highest homology dimension, >= 0. Up to 2 it is practical for a thousand points.
        threshold: longest edge, in the unit of the distances, > 0; None for the exact diagrams.

    Raises:
        PointsError: NaN or infinity, or not a two-dimensional array of floating point.
        SettingsError: max_dimension or threshold out of range.
    """
    longest = _checked_settings(max_dimension, threshold)
    return _of_points(points, max_dimension, partial(outcome_of, max_dimension=max_dimension, threshold=longest))


def diagrams_of_distances(
    matrix: NDArray[np.float64], max_dimension: int = 2, threshold: float | None = None
) -> Diagrams:
    """Compute the diagrams of a distance matrix that exists already; points at distance zero are merged.

    Args:
        matrix: (n, n) float64, symmetric, not negative, finite, zero on the diagonal, as from
            :func:`~panic_assets.geometry.distance_matrix`.
        max_dimension: as for :func:`persistence_diagrams`.
        threshold: as for :func:`persistence_diagrams`.

    Raises:
        PointsError: not such a matrix.
        SettingsError: max_dimension or threshold out of range.
    """
    longest = _checked_settings(max_dimension, threshold)
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise PointsError(f"matrix has shape {matrix.shape}; a distance matrix is square")
    if not (np.isfinite(matrix).all() and (matrix >= 0).all() and not matrix.diagonal().any()):
        raise PointsError("matrix must be finite and not negative, with zeros on its diagonal")
    if not np.array_equal(matrix, matrix.T):
        raise PointsError("matrix must be symmetric to the last bit; distance_matrix() gives such a one")
    first = np.unique((matrix == 0).argmax(axis=1)) if len(matrix) else np.empty(0, dtype=np.intp)
    distinct = matrix if len(first) == len(matrix) else matrix[np.ix_(first, first)]
    compute = partial(outcome_of, max_dimension=max_dimension, threshold=longest)
    return _of_distinct(distinct, len(matrix), max_dimension, compute)


def diagrams_of(
    trajectories: Iterable[NDArray[np.floating]],
    max_dimension: int = 2,
    *,
    workers: int | None = None,
    budget_seconds: float | None = None,
    on_done: Callable[[int, Diagrams], None] | None = None,
) -> list[Diagrams]:
    """Compute the diagrams of many trajectories on threads, in the order they came.

    gudhi releases Python's global lock, so threads use all cores; the BLAS library is held to one thread meanwhile.
    Trajectories are drawn from the iterable a few at a time, as threads become free.

    Without a budget every diagram is exact. With one, a diagram that exceeds it is computed again with edges up to the
    10 % quantile of its distances, then that up to H1 only, then H0 alone; the result's status and threshold say
    which. Diagrams of more than 60 distinct points are then computed in child processes, one per thread, that the
    kernel ends at the limit: see :mod:`panic_assets.topology.budget`.

    Args:
        trajectories: arrays (n, d), float32 or float64, finite.
        max_dimension: highest homology dimension, >= 0.
        workers: number of threads, >= 1; None for one per core this process may use.
        budget_seconds: processor seconds for each attempt at one diagram, > 0; None for no limit.
        on_done: called in this thread with the position and result of each trajectory, as they finish.

    Raises:
        PointsError: a trajectory with NaN or infinity, or not a two-dimensional array; names its position.
        SettingsError: an argument out of range.
        PersistenceError: a child process failed otherwise than by its budget.
    """
    longest = _checked_settings(max_dimension, None)
    threads = _available_cores() if workers is None else workers
    if threads < 1:
        raise SettingsError(f"workers is {workers}; it must be 1 or more, or None for one per core")
    if budget_seconds is not None and not 0 < budget_seconds < float("inf"):
        raise SettingsError(f"budget_seconds is {budget_seconds}; it must be more than 0, or None for no limit")
    from threadpoolctl import threadpool_limits

    results: dict[int, Diagrams] = {}
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(limits=1, user_api="blas"))
        compute: _Compute = partial(outcome_of, max_dimension=max_dimension, threshold=longest)
        if budget_seconds is not None:
            children = stack.enter_context(Children())
            compute = partial(
                outcome_within,
                max_dimension=max_dimension,
                threshold=longest,
                budget_seconds=budget_seconds,
                children=children,
            )
        task = partial(_of_points, max_dimension=max_dimension, compute=compute)
        pool = stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="persistence"))
        for position, diagrams in _as_finished(pool, 2 * threads, trajectories, task):
            results[position] = diagrams
            if on_done is not None:
                on_done(position, diagrams)
    return [results[position] for position in range(len(results))]


def _of_points(points: NDArray[np.floating], max_dimension: int, compute: _Compute) -> Diagrams:
    """Merge equal points, and let ``compute`` make the bars of the distances between those that remain."""
    rows = checked_points(points)
    first, _ = distinct_rows(rows)
    # The points are let go before the costly part: at 1000 by 768 they are a sixth of its memory.
    rows = rows if len(first) == len(rows) else rows[first]
    matrix = distances_of_distinct(rows)
    del rows
    return _of_distinct(matrix, len(points), max_dimension, compute)


def _of_distinct(matrix: NDArray[np.float64], points: int, max_dimension: int, compute: _Compute) -> Diagrams:
    empty = Outcome([np.empty((0, 2))] * (max_dimension + 1), None, "too_few_points", 0.0)
    outcome = compute(matrix) if len(matrix) else empty
    return Diagrams(
        diagrams=[Diagram(k, bars[:, 0].copy(), bars[:, 1].copy()) for k, bars in enumerate(outcome.bars)],
        points=points,
        distinct_points=len(matrix),
        threshold=outcome.threshold,
        status="too_few_points" if points < 2 else outcome.status,
        seconds=outcome.seconds,
    )


def _as_finished(
    pool: ThreadPoolExecutor,
    ahead: int,
    trajectories: Iterable[NDArray[np.floating]],
    task: Callable[[NDArray[np.floating]], Diagrams],
) -> Iterator[tuple[int, Diagrams]]:
    """Run ``task`` on every trajectory, at most ``ahead`` at a time; yield positions and results as they come."""
    pending: dict[Future[Diagrams], int] = {}
    arriving = enumerate(trajectories)
    try:
        while True:
            for position, points in islice(arriving, ahead - len(pending)):
                pending[pool.submit(task, points)] = position
            if not pending:
                return
            finished, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                position = pending.pop(future)
                try:
                    yield position, future.result()
                except PointsError as problem:
                    raise PointsError(f"trajectory {position}: {problem}") from problem
    finally:
        for future in pending:
            future.cancel()


def _checked_settings(max_dimension: int, threshold: float | None) -> float:
    """Return the threshold as a number, or say what is wrong with the settings."""
    if max_dimension < 0:
        raise SettingsError(f"max_dimension is {max_dimension}; it must be 0 or more")
    if threshold is not None and not threshold > 0:
        raise SettingsError(f"threshold is {threshold}; it must be more than 0, or None for the exact diagrams")
    return float("inf") if threshold is None else float(threshold)


def _available_cores() -> int:
    """Count the cores that this process may run on, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
