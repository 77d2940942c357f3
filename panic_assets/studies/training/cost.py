"""What a training step costs: seconds, and bytes of memory.

Here belongs measuring. What is done with the numbers belongs to those who compare.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_WARM_UP = 10  # steps that are not counted, if there are more


class StepTimes:
    """Seconds of single steps: of the thread's work, so that other processes and trials don't count."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around one step."""
        began = time.thread_time()
        yield
        self._seconds.append(time.thread_time() - began)

    @property
    def median(self) -> float:
        """Of the steps after the first ten, or of all if there are no more; NaN without any."""
        return statistics.median(self._seconds[_WARM_UP:] or self._seconds or [float("nan")])


class KeptBytes:
    """Bytes that a forward pass, made in its context, keeps for the backward pass; each storage counts once."""

    def __init__(self) -> None:
        # Storages are held, not only their addresses: one that is let go leaves its address to another.
        self._storages: dict[int, torch.UntypedStorage] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._seen, lambda kept: kept)

    def __enter__(self) -> KeptBytes:
        self._hooks.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        self._hooks.__exit__(*problem)

    def _seen(self, tensor: torch.Tensor) -> torch.Tensor:
        self._add(tensor)
        return tensor

    def _add(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self._storages[storage.data_ptr()] = storage

    def with_state(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Bytes of all that is in memory at once in a step: what is kept, weights, gradients, buffers, moments.

        Counted, not looked up in the process: it is the same each time, and other trials in the process don't show.
        """
        for tensor in itertools.chain(model.parameters(), model.buffers()):
            self._add(tensor)
        for parameter in model.parameters():
            if parameter.grad is not None:
                self._add(parameter.grad)
        for moment in itertools.chain.from_iterable(state.values() for state in optimiser.state.values()):
            self._add(moment)
        return sum(storage.nbytes() for storage in self._storages.values())
