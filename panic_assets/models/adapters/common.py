"""What all adapters share: the base of loaded models, checks of a call, vectors, thoughts left out.

Imports neither torch nor any model library; what needs them is in ``weights``.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from panic_assets.models.base import Output
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.errors import ModelCallError

Self = TypeVar("Self", bound="LoadedModel")
Item = TypeVar("Item")


class LoadedModel:
    """A model in memory. Entries that differ only in call parameters share its weights through ``for_entry``.

    Subclasses implement ``_invoke`` or ``_embed``, and read their parameters from ``self.entry`` in ``_prepare``.
    """

    def __init__(self, entry: ModelEntry) -> None:
        self.entry = entry
        self._lock = threading.Lock()  # schedulers and tokenizers have state: one call at a time on shared weights

    def _prepare(self) -> None:
        """Check and convert the entry's parameters; called for each entry that uses these weights."""

    def for_entry(self: Self, entry: ModelEntry) -> Self:
        """The same weights with another entry's parameters."""
        if entry == self.entry:
            return self
        other = copy.copy(self)
        other.entry = entry
        other._prepare()
        return other

    @property
    def dimension(self) -> int:
        """Length of an embedder's vectors."""
        if self.entry.dimension is None:
            raise ModelCallError(f"{self.entry.name} is a generator: it has no dimension")
        return self.entry.dimension

    @property
    def batch(self) -> int:
        """How many items an embedder computes at a time; its entry always says."""
        return self.entry.batch or 1

    def invoke(self, inputs: Sequence[str] | Sequence[np.ndarray], seeds: Sequence[int]) -> list[Output]:
        """See :class:`panic_assets.models.base.Generator`."""
        if self.entry.kind != "generator":
            raise ModelCallError(f"{self.entry.name} is an embedding model; call embed")
        if len(inputs) != len(seeds):
            raise ModelCallError(f"{self.entry.name}: {len(inputs)} inputs but {len(seeds)} seeds; give one for each")
        if any(seed < 0 for seed in seeds):
            raise ModelCallError(f"{self.entry.name}: a seed is {min(seeds)}; it must be in 0 .. 2^63-1")
        check_items(self.entry, inputs, str(self.entry.input))
        if not inputs:
            return []
        with self._lock:
            return self._invoke(inputs, seeds)

    def embed(self, items: Sequence[str] | Sequence[np.ndarray], modality: Medium) -> np.ndarray:
        """See :class:`panic_assets.models.base.Embedder`."""
        if modality not in self.entry.takes or self.entry.kind != "embedder":
            takes = " and ".join(sorted(self.entry.takes, reverse=True))
            raise ModelCallError(f"{self.entry.name} is a {self.entry.kind} of {takes}; it can't embed {modality}")
        check_items(self.entry, items, modality)
        if not len(items):
            return np.empty((0, self.dimension), np.float32)
        with self._lock:
            vectors = self._embed(items, modality)
        if vectors.shape != (len(items), self.dimension):
            raise ModelCallError(
                f"{self.entry.name} gave vectors of {vectors.shape[1:]}, its entry says dimension {self.dimension}"
            )
        return unit_length(vectors) if self.entry.normalised else vectors

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning."""
        return [False] * len(items)

    def _invoke(self, inputs: Sequence[str] | Sequence[np.ndarray], seeds: Sequence[int]) -> list[Output]:
        raise NotImplementedError

    def _embed(self, items: Sequence[str] | Sequence[np.ndarray], modality: Medium) -> np.ndarray:
        raise NotImplementedError


def in_fixed_batches(items: Sequence[Item], size: int, compute: Callable[[Sequence[Item]], np.ndarray]) -> np.ndarray:
    """Rows of ``compute`` for all items, which it always gets ``size`` at a time; the tail is padded.

    The size of a batch changes the bits of a result, its companions do not. So a vector depends on its item alone,
    however a caller cuts up the work. The place in a batch can change the last bit where a layer's width is no multiple
    of the processor's vector width; the widths of real models are.
    """
    rows = []
    for start in range(0, len(items), size):
        batch = list(items[start : start + size])
        rows.append(compute(batch + batch[:1] * (size - len(batch)))[: len(batch)])
    return np.concatenate(rows)


def check_items(entry: ModelEntry, items: Sequence[object], medium: str) -> None:
    """Raise unless all items are texts, or all are pictures as uint8 arrays (height, width, 3).

    Raises:
        ModelCallError: naming the first item that is not.
    """
    for number, item in enumerate(items):
        if medium == "text":
            if not isinstance(item, str):
                raise ModelCallError(f"{entry.name}: item {number} is {type(item).__name__}; it must be a text")
        elif not (isinstance(item, np.ndarray) and item.dtype == np.uint8 and item.ndim == 3 and item.shape[2] == 3):
            shape = f"{item.dtype} {item.shape}" if isinstance(item, np.ndarray) else type(item).__name__
            raise ModelCallError(f"{entry.name}: item {number} is {shape}; it must be a uint8 array (height, width, 3)")


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Rows divided by their Euclidean length, as float32; a row of zeros stays."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(length == 0, 1, length), dtype=np.float32)


def without_thoughts(text: str) -> str:
    """A model's answer without what it thought aloud before it; empty if it was still thinking when it was cut off."""
    return text.rpartition("</think>")[2].partition("<think>")[0].strip()
