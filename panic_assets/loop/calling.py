"""Calling a generator: fixed batches, shared work, and what happens when a call fails.

Here belongs everything between "these inputs are wanted" and "these outputs came": equal requests are computed once,
the rest goes to the model in batches of one size with the tail padded, because the batch size changes the bits of a
result and its companions do not. Which runs want what is the engine's business.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.models.base import Generator, Output
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import ModelEntry

State = str | np.ndarray


class BadOutput(PanicError):
    """A model gave something that is no text and no picture, or not as many outputs as it got inputs."""


@dataclass(frozen=True)
class Request:
    """One output that is wanted. Requests of equal ``key`` are the same work."""

    key: object
    value: State
    seed: int


@dataclass(frozen=True)
class Answer:
    """What came of a request: an output or an error, and what it took.

    ``seconds`` is the request's share of the call; ``batch_size`` the shape in which it was computed.
    """

    key: object
    output: Output | None
    error: Exception | None
    batch_size: int
    seconds: float
    retries: int
    started_at: datetime
    completed_at: datetime


def request_key(entry: ModelEntry, value_key: str | bytes, seed: int, run_number: int) -> object:
    """What makes two requests to one model the same work: input and seed, as far as the model heeds them."""
    if entry.seed_behaviour == "none":
        return (value_key, seed, run_number)
    if entry.seed_behaviour == "deterministic":
        return value_key
    return (value_key, seed)


class Caller:
    """Calls one generator for many requests; remembers the batch size that fits in memory.

    The model itself is asked of the pool each time and not kept, so that the pool can let it go when another needs
    its memory.
    """

    def __init__(self, entry: ModelEntry, pool: ModelPool) -> None:
        self.entry = entry
        self.pool = pool
        self.batch_size = entry.batch
        self.seconds = 0.0
        self.loading_seconds = 0.0
        self.calls = 0

    def answers(self, requests: Sequence[Request]) -> Iterator[list[Answer]]:
        """Answer distinct requests, one list for each call of the model.

        A call that fails is made again for each of its requests alone, in a batch of the same shape: so a transient
        fault costs a retry, and a request that fails twice fails for itself only. Out of memory halves the batch size
        for good.

        Raises:
            ModelLoadError: the model can't be loaded.
        """
        started = time.perf_counter()
        generator: Generator = self.pool.get(self.entry)
        self.loading_seconds += time.perf_counter() - started
        position = 0
        while position < len(requests):
            size = self.batch_size
            batch = requests[position : position + size]
            try:
                answers = self._call(generator, batch, size, retries=0)
            except Exception as error:
                if is_out_of_memory(error) and size > 1:
                    self.batch_size = size // 2
                    continue
                answers = [self._alone(generator, request, size) for request in batch]
            position += len(batch)
            yield answers

    def _alone(self, generator: Generator, request: Request, size: int) -> Answer:
        try:
            return self._call(generator, [request], size, retries=1)[0]
        except Exception as error:
            now = datetime.now(UTC)
            return Answer(request.key, None, error, size, 0.0, 1, now, now)

    def _call(self, generator: Generator, batch: Sequence[Request], size: int, retries: int) -> list[Answer]:
        padded = [*batch, *[batch[0]] * (size - len(batch))]
        started_at, started = datetime.now(UTC), time.perf_counter()
        self.calls += 1
        try:
            outputs = generator.invoke([r.value for r in padded], [r.seed for r in padded])  # type: ignore[arg-type]
        finally:
            seconds = time.perf_counter() - started
            self.seconds += seconds
        completed_at = datetime.now(UTC)
        if len(outputs) != size:
            raise BadOutput(f"{self.entry.name} gave {len(outputs)} outputs for {size} inputs")
        answers = []
        for request, output in zip(batch, outputs, strict=False):
            error = _fault(self.entry, output)
            kept = output if error is None else None
            share = seconds / len(batch)
            answers.append(Answer(request.key, kept, error, size, share, retries, started_at, completed_at))
        return answers


def is_out_of_memory(error: Exception) -> bool:
    """Whether a call failed for want of memory; torch raises a class of its own, other libraries only say so."""
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or "out of memory" in str(error).lower()


def _fault(entry: ModelEntry, output: Output) -> BadOutput | None:
    """What is wrong with an output that can't be stored; None if nothing is."""
    value = output.value
    if entry.gives == "text":
        if not isinstance(value, str):
            return BadOutput(f"{entry.name} gave {type(value).__name__}; its output must be a text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return BadOutput(f"{entry.name} gave a text that is not Unicode: {error}")
        return None
    if not isinstance(value, np.ndarray):
        return BadOutput(f"{entry.name} gave {type(value).__name__}; its output must be a picture")
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3 or 0 in value.shape:
        shape = f"{value.dtype} {value.shape}"
        return BadOutput(f"{entry.name} gave {shape}; a picture is a uint8 array (height, width, 3)")
    return None
