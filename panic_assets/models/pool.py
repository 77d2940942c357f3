"""Loaded models kept warm.

Here belongs when a model is loaded, shared and let go. How it is loaded is the adapters' business, in which order
models are wanted the loop's.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from types import TracebackType
from typing import TypeVar

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.base import Device
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelError

Self = TypeVar("Self", bound="ModelPool")


class ModelPool:
    """Loads models when they are first asked for and keeps them until memory is wanted for others.

    Entries that differ only in call parameters, such as the number of denoising steps, share one set of weights. When
    the registered memory of what is loaded would exceed ``capacity_gb``, the least recently used models are let go;
    one model always fits. A model that a caller still holds stays in memory until the caller lets go of it too.
    Safe to use from several threads; calls of models that share weights wait for one another.
    """

    def __init__(self, device: Device = "auto", capacity_gb: float | None = None) -> None:
        self.device = device
        self.capacity_gb = capacity_gb
        self.loads = 0
        self.evictions = 0
        self._loaded: OrderedDict[str, tuple[LoadedModel, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def get(self, entry: ModelEntry) -> LoadedModel:
        """The model of this entry: a ``Generator`` or an ``Embedder``, as ``entry.kind`` says.

        Raises:
            ModelLoadError: it can't be loaded.
            ModelError: the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise ModelError(f"the model pool is closed; open a new one to use {entry.name}")
            key = entry.load_identity
            if key not in self._loaded:
                self._make_room(entry.device_gb)
                self._loaded[key] = (load_model(entry, self.device), entry.device_gb)
                self.loads += 1
            self._loaded.move_to_end(key)
            return self._loaded[key][0].for_entry(entry)

    def release(self, load_identities: Iterable[str]) -> None:
        """Let go of models, those that are not loaded aside."""
        with self._lock:
            gone = [key for key in load_identities if self._loaded.pop(key, None) is not None]
            self.evictions += len(gone)
            if gone:
                _release()

    @property
    def resident(self) -> dict[str, float]:
        """Registered GiB of what is loaded, by ``load_identity``."""
        with self._lock:
            return {key: memory for key, (_, memory) in self._loaded.items()}

    @property
    def memory_gb(self) -> float:
        """Registered memory of what is loaded, in GiB."""
        return sum(memory for _, memory in self._loaded.values())

    def close(self) -> None:
        """Let go of all models; the pool can't be used afterwards."""
        with self._lock:
            self._closed = True
            self._loaded.clear()
            _release()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make_room(self, wanted_gb: float) -> None:
        if self.capacity_gb is None:
            return
        before = len(self._loaded)
        while self._loaded and self.memory_gb + wanted_gb > self.capacity_gb:
            self._loaded.popitem(last=False)
            self.evictions += 1
        if len(self._loaded) < before:
            _release()


def _release() -> None:
    """Give memory back to the device: pipelines hold cycles, and torch keeps freed blocks."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
