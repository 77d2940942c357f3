"""What a device is to the rest of the house: it takes a batch for a model and gives the outputs.

Here belong the protocol, the batch, the reply and the errors of being lost. Which batch goes where is the loop's
business; how a model is loaded and called that of ``models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.models.base import Output
from panic_assets.models.entry import Medium, ModelEntry

Fault = Literal["out_of_memory", "timed_out", "device_lost", "error"]


class DeviceLost(PanicError):
    """The process that held the device's models ended, or had to be ended. The next call starts a new one."""


class CallTimedOut(DeviceLost):
    """A call took longer than its limit, and its process was ended."""


class RemoteError(PanicError):
    """What a model raised in another process, where the exception itself can't travel; ``kind`` is its class name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message

    def __reduce__(self) -> tuple[Any, ...]:
        return (RemoteError, (self.kind, self.message))


@dataclass(frozen=True)
class Call:
    """One batch for one model.

    ``inputs`` are texts, or pictures as uint8 arrays (height, width, 3); they are never changed. A generator wants as
    many ``seeds``, an embedder the ``modality``. ``release`` names models (by ``load_identity``) that are to be let go
    first, to make room. After ``limit_seconds``, loading not counted, a device that can ends the call.
    """

    entry: ModelEntry
    inputs: tuple[Any, ...]
    seeds: tuple[int, ...] = ()
    modality: Medium | None = None
    release: tuple[str, ...] = ()
    limit_seconds: float | None = None


@dataclass(frozen=True)
class Reply:
    """What came of a call.

    ``outputs``: one for each input; of an embedder the rows of a float32 array (items, dimension). ``seconds`` is the
    time in the model, ``loading_seconds`` what went before to load it. ``device`` is the hardware that computed it.
    ``resident``: registered GiB of the models now in memory, by ``load_identity``. ``peak_gb``: the most memory that
    the device has held, GiB; None where that can't be told.
    """

    outputs: list[Output] | np.ndarray
    seconds: float
    loading_seconds: float
    started_at: datetime
    completed_at: datetime
    device: str
    resident: Mapping[str, float] = field(default_factory=dict)
    peak_gb: float | None = None


@runtime_checkable
class Device(Protocol):
    """Something that computes. ``lanes`` calls may be made at once, from several threads."""

    @property
    def name(self) -> str:
        """Its name among the devices of a session, such as ``cpu``, ``cuda:1`` or ``cpu 2``."""

    @property
    def hardware(self) -> str:
        """What computes: ``cpu``, or a GPU by its product name. Recorded with each invocation."""

    @property
    def capacity_gb(self) -> float | None:
        """GiB that its models may take together; None for no bound."""

    @property
    def lanes(self) -> int:
        """How many calls it takes at once; calls of models that share weights wait for one another all the same."""

    def call(self, call: Call) -> Reply:
        """Compute one batch, loading the model first where need be. Blocks.

        Raises:
            CallTimedOut: it took too long; what it computed in is gone.
            DeviceLost: what it computed in is gone.
            ModelLoadError: the model can't be loaded.
            Exception: what the model raised, such as out of memory; ``RemoteError`` where that can't travel.
        """

    def close(self) -> None:
        """Let go of everything; the device can't be used afterwards."""


def fault_of(error: BaseException) -> Fault:
    """What kind of fault an error of a call is; libraries tell of memory in many ways."""
    if isinstance(error, CallTimedOut):
        return "timed_out"
    if isinstance(error, DeviceLost):
        return "device_lost"
    kind = error.kind if isinstance(error, RemoteError) else type(error).__name__
    if kind in ("OutOfMemoryError", "MemoryError") or "out of memory" in str(error).lower():
        return "out_of_memory"
    return "error"
