"""What a loaded model is to the rest of the house: generator or embedder.

Here belong the two protocols, the output of an invocation and its flags. How models are loaded and called is the
adapters' business; batching, retries and deduplication are the loop's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from panic_assets.models.entry import Medium, ModelEntry

__all__ = ["Device", "Embedder", "Flag", "Generator", "Medium", "Output"]

Device = Literal["auto", "cpu", "cuda", "mps"] | str

Flag = Literal["non_finite", "truncated_input", "flagged_by_safety_checker"]
"""``non_finite``: the picture had NaN or infinite values, which became 0. ``truncated_input``: the model read only the
beginning of its text. ``flagged_by_safety_checker``: a checker replaced the picture by a black one."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one invocation gave.

    ``value`` is a str, or a picture as uint8 array (height, width, 3), RGB, C-contiguous. ``latents`` are what a VAE's
    decoder drew that picture from, float32 (channels, h, w); None where there is no such thing.
    """

    value: str | np.ndarray
    flags: frozenset[Flag] = frozenset()
    latents: np.ndarray | None = field(default=None, compare=False, repr=False)


@runtime_checkable
class Generator(Protocol):
    """A loaded model of a ring."""

    @property
    def entry(self) -> ModelEntry:
        """What was loaded."""

    def invoke(self, inputs: Sequence[str] | Sequence[np.ndarray], seeds: Sequence[int]) -> list[Output]:
        """One output for each input, computed as one batch.

        An output depends on its input, its seed and the number of inputs, not on the other inputs. Bits may differ
        between batch sizes: callers keep to ``entry.batch``.

        Args:
            inputs: texts, or pictures as uint8 arrays (height, width, 3), RGB; never changed.
            seeds: as many whole numbers in 0 .. 2^63-1. Models whose seed behaviour is ``deterministic`` ignore them.

        Raises:
            ModelCallError: inputs of the wrong kind or number.
            Exception: whatever the device or library raises, such as out of memory.
        """


@runtime_checkable
class Embedder(Protocol):
    """A loaded embedding model."""

    @property
    def entry(self) -> ModelEntry:
        """What was loaded."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, items: Sequence[str] | Sequence[np.ndarray], modality: Medium) -> np.ndarray:
        """One vector for each item, as float32 array (items, dimension); of length 1 if ``entry.normalised``.

        A vector depends on its item alone: the adapter always computes ``entry.batch`` items at a time, padded.

        Args:
            items: any number of texts, or of pictures as uint8 arrays (height, width, 3), RGB.
            modality: which of the two the items are.

        Raises:
            ModelCallError: the model does not take this modality, or an item is not of it.
        """

    def truncated(self, items: Sequence[str]) -> list[bool]:
        """For each text whether the model reads only its beginning."""
