"""Distances between many diagrams: all pairs or some, on threads, equal diagrams once.

Here belongs the way to many pairs. The mathematics of one pair belongs to ``diagram_distances``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from panic_assets.topology.component_distances import equal_birth_distances
from panic_assets.topology.diagram_distances import Bars, DiagramError, bars_of, bottleneck, wasserstein

Kind = Literal["wasserstein_1", "wasserstein_2", "bottleneck"]
OnProgress = Callable[[int, int], None]

_ONE_PAIR: dict[Kind, Callable[[Bars, Bars], float]] = {
    "wasserstein_1": partial(wasserstein, p=1.0),
    "wasserstein_2": partial(wasserstein, p=2.0),
    "bottleneck": bottleneck,
}
_PAIRS_AT_ONCE = 64
# An assignment of fewer bars is over before the lock of Python's interpreter has changed hands.
_THREADS_PAY_BARS = 150
_PAIRS_OF_EQUAL_BIRTHS_AT_ONCE = 8192


def pairwise(
    diagrams: Sequence[ArrayLike | Bars],
    kind: Kind = "wasserstein_1",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> NDArray[np.float64]:
    """Compute the distances between all pairs of diagrams.

    Args:
        diagrams: arrays (n, 2) of births and deaths; deaths may be infinite.
        kind: which distance, ground metric L-infinity.
        workers: threads; None for one per core this process may use. Small diagrams are all done on one.
        on_progress: called in this thread with the number of distinct pairs done, and of all.

    Returns:
        (diagrams, diagrams) float64, symmetric to the last bit, zero on the diagonal; infinite where the numbers of
        infinite bars differ.

    Raises:
        DiagramError: an array that is no diagram, an unknown kind, or no workers.
    """
    rows, columns = np.triu_indices(len(diagrams), 1)
    found = distances_of_pairs(diagrams, np.stack([rows, columns], axis=1), kind, workers, on_progress)
    matrix = np.zeros((len(diagrams), len(diagrams)))
    matrix[rows, columns] = matrix[columns, rows] = found
    return matrix


def distances_of_pairs(
    diagrams: Sequence[ArrayLike | Bars],
    pairs: NDArray[np.intp],
    kind: Kind = "wasserstein_1",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> NDArray[np.float64]:
    """Compute the distances of some pairs: ``pairs`` (pairs, 2) holds positions in ``diagrams``; else see `pairwise`.

    Pairs of equal diagrams, in either order, are computed once. 1-Wasserstein distances of diagrams whose finite bars
    all have one birth, as those of components, are computed together (see ``component_distances``).
    """
    if kind not in _ONE_PAIR:
        raise DiagramError(f"kind is {kind!r}; it must be one of {', '.join(_ONE_PAIR)}")
    threads = _available_cores() if workers is None else workers
    if threads < 1:
        raise DiagramError(f"workers is {workers}; it must be 1 or more, or None for one per core")
    prepared = [_named(position, diagram) for position, diagram in enumerate(diagrams)]
    seen: dict[bytes, int] = {}
    which = np.array([seen.setdefault(bars.content, len(seen)) for bars in prepared], dtype=np.intp)
    first = np.unique(which, return_index=True)[1]
    distinct = [prepared[position] for position in first]
    different, where = np.unique(np.sort(which[pairs.reshape(-1, 2)], axis=1), axis=0, return_inverse=True)
    found = np.zeros(len(different))
    todo = np.flatnonzero(different[:, 0] != different[:, 1])
    task, at_once, threads = _task(distinct, kind, threads)
    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="distances") as pool:
        chunks = [todo[start : start + at_once] for start in range(0, len(todo), at_once)]
        waiting = {pool.submit(task, different[chunk]): chunk for chunk in chunks}
        try:
            for future in as_completed(waiting):
                found[waiting[future]] = future.result()
                done += len(waiting[future])
                if on_progress is not None:
                    on_progress(done, len(todo))
        finally:
            for future in waiting:
                future.cancel()
    return found[where.reshape(-1)]


def _task(
    distinct: Sequence[Bars], kind: Kind, threads: int
) -> tuple[Callable[[NDArray[np.intp]], NDArray[np.float64]], int, int]:
    """Choose how a chunk of pairs is computed, how many pairs make one, and how many threads pay."""
    births = np.unique(np.concatenate([np.empty(0), *(bars.finite[:, 0] for bars in distinct)]))
    if kind == "wasserstein_1" and len(births) <= 1:
        birth = float(births[0]) if len(births) else 0.0
        return partial(_of_equal_births, distinct, birth), _PAIRS_OF_EQUAL_BIRTHS_AT_ONCE, threads
    measure = _ONE_PAIR[kind]

    def one_by_one(pairs: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.array([measure(distinct[a], distinct[b]) for a, b in pairs])

    bars = np.mean([len(one.finite) for one in distinct])
    return one_by_one, _PAIRS_AT_ONCE, threads if bars >= _THREADS_PAY_BARS else 1


def _of_equal_births(distinct: Sequence[Bars], birth: float, pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    found = equal_birth_distances([bars.finite[:, 1] for bars in distinct], pairs, birth)
    counts = np.array([len(bars.infinite) for bars in distinct])
    found[counts[pairs[:, 0]] != counts[pairs[:, 1]]] = np.inf
    born = {bars.infinite.tobytes() for bars in distinct}
    if len(born) > 1:  # all components are born at one scale, so only odd diagrams come here
        for row in np.flatnonzero(np.isfinite(found)):
            one, other = (distinct[position].infinite for position in pairs[row])
            found[row] += np.abs(one - other).sum()
    return found


def _named(position: int, diagram: ArrayLike | Bars) -> Bars:
    try:
        return diagram if isinstance(diagram, Bars) else bars_of(diagram)
    except DiagramError as problem:
        raise DiagramError(f"diagram {position}: {problem}") from problem


def _available_cores() -> int:
    """Count the cores that this process may run on, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
