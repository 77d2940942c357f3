"""Waiting for a partition that another run is writing: the steps of two runs may meet in one table.

Here belongs turning the lake's refusal into Dagster's "later". A step that waits gives its slot of a pool back.
"""

# Dagster reads the annotations of wrapped functions as objects, so they can't be postponed.
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import dagster as dg

from panic_assets.lake import PartitionLocked

_SECONDS = 5.0
_TIMES = 120  # ten minutes: longer than the compaction of any partition

P = ParamSpec("P")
R = TypeVar("R")


def patient(step: Callable[P, R]) -> Callable[P, R]:
    """A step that is tried again a little later where another process is writing what it wants to write.

    Raises:
        RetryRequested: to Dagster, instead of `PartitionLocked`.
    """
    if inspect.isgeneratorfunction(step):

        @functools.wraps(step)
        def stream(*args: P.args, **kwargs: P.kwargs) -> Iterator[object]:
            with _later():
                yield from step(*args, **kwargs)

        return stream  # type: ignore[return-value]

    @functools.wraps(step)
    def once(*args: P.args, **kwargs: P.kwargs) -> R:
        with _later():
            return step(*args, **kwargs)

    return once


@contextmanager
def _later() -> Iterator[None]:
    try:
        yield
    except PartitionLocked as error:
        raise dg.RetryRequested(max_retries=_TIMES, seconds_to_wait=_SECONDS) from error
