"""How far pictures move in an embedding space when a codec's copies take their place.

Here belong the distance and the choice of the model that embeds. To this laboratory it matters more than likeness to
the eye: what is asked of pictures is asked of their embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.models.entry import BuiltinSource, FolderSource, ModelEntry

DEFAULT_EMBEDDER = "TinyCLIP"

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
"""Pictures, uint8 (h, w, 3), to vectors, float (pictures, dimension)."""


class Drift:
    """Distances of copies from some originals, by a model's vectors."""

    def __init__(self, embed: Embed, originals: Sequence[np.ndarray]) -> None:
        self._embed, self._vectors = embed, _unit(embed(originals))

    def of(self, copies: Sequence[np.ndarray]) -> np.ndarray:
        """1 - cosine of each copy and its original, float64, 0 to 2. ``copies``: as many as originals, in their order.

        Raises: :class:`~panic_assets.errors.PanicError` for another number of them.
        """
        if len(copies) != len(self._vectors):
            raise PanicError(f"{len(copies)} copies of {len(self._vectors)} originals; give one of each in order")
        return np.clip(1 - np.sum(self._vectors * _unit(self._embed(copies)), 1), 0, 2)


def embedder_of(names: Iterable[str], known: Mapping[str, ModelEntry]) -> ModelEntry:
    """The first of these models that embeds pictures and comes with this package; TinyCLIP if none does."""
    for name in names:
        entry = known.get(name)
        if (
            entry
            and "image" in entry.takes
            and not entry.gives
            and isinstance(entry.source, FolderSource | BuiltinSource)
        ):
            return entry
    return known[DEFAULT_EMBEDDER]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
