"""Progress of a running step: observations that the UI shows before the step is over, and listeners in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from panic_assets.loop.progress import Progress

_SECONDS_BETWEEN = 10.0  # each observation is a row in the event log

#: Called with asset, items done, items in all, and facts such as the rate.
Listener = Callable[[str, int, int, Mapping[str, str | float]], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let ``listener`` hear of all progress of this process while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def tell_listeners(asset: str, done: int, total: int, facts: Mapping[str, str | float]) -> None:
    """Let the listeners of this process know how far an asset is."""
    for listener in _listeners:
        listener(asset, done, total, facts)


class Observer:
    """Tells how far a step is, at most every ten seconds."""

    def __init__(self, context: dg.AssetExecutionContext, asset: str) -> None:
        self._context, self._asset = context, asset
        self._last = time.monotonic()

    def engine(self, progress: Progress) -> None:
        """Progress of the engine."""
        facts: dict[str, str | float] = {"network": progress.network, "per_second": round(progress.rate, 2)}
        if progress.seconds_left is not None:
            facts["seconds_left"] = round(progress.seconds_left, 1)
        self._tell(progress.done, progress.total, facts)

    def embeddings(self, model: str, done: int, total: int) -> None:
        """Progress of an embedding model."""
        self._tell(done, total, {"embedding_model": model})

    def count(self, done: int, total: int) -> None:
        """Progress of anything counted."""
        self._tell(done, total, {})

    def _tell(self, done: int, total: int, facts: dict[str, str | float]) -> None:
        tell_listeners(self._asset, done, total, facts)
        if time.monotonic() - self._last < _SECONDS_BETWEEN:
            return
        self._last = time.monotonic()
        self._context.log.info(f"{self._asset}: {done} of {total}; {facts}")
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._asset,
                partition=self._context.partition_key if self._context.has_partition_key else None,
                metadata={"done": done, "total": total, **facts},
            )
        )
