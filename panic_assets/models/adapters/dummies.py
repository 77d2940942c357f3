"""Models without weights: instant, exact functions of (input, seed), for tests, demonstrations and benchmarks.

A dummy hashes its input and draws its output from the hash, so equal calls give equal outputs on every machine. Here
belong the functions. Which dummies exist is registry data; what else can go wrong in a drill is that of ``faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.adapters.faults import strike_at_call, strike_at_load
from panic_assets.models.base import Device, Output
from panic_assets.models.entry import Medium, ModelEntry
from panic_assets.models.errors import ModelCallError
from panic_assets.models.parameters import DummyParameters

_QUALITIES = ("amber", "brittle", "distant", "folded", "hollow", "quiet", "restless", "woven")
_THINGS = ("anchor", "bridge", "compass", "ferry", "lantern", "orchard", "staircase", "tower")


class DummyGenerator(LoadedModel):
    """Text or picture in, text or two-tone picture out."""

    def __init__(self, entry: ModelEntry) -> None:
        super().__init__(entry)
        self._prepare()

    def _prepare(self) -> None:
        self._parameters = DummyParameters.model_validate(self.entry.parameters)
        self._paint: Callable[[bytes], str | np.ndarray] = self._text if self.entry.output == "text" else self._picture

    def _invoke(self, inputs: Sequence[Any], seeds: Sequence[int]) -> list[Output]:
        spoiled = strike_at_call(self.entry, map(_searched, inputs))
        outputs = [Output(self._one(item, seed)) for item, seed in zip(inputs, seeds, strict=True)]
        for place in spoiled:
            outputs[place] = Output(np.zeros_like(outputs[place].value), frozenset({"non_finite"}))
        return outputs

    def _one(self, item: str | np.ndarray, seed: int) -> str | np.ndarray:
        parameters = self._parameters
        content = item.encode() if isinstance(item, str) else picture_digest(item)
        searched = item if isinstance(item, str) else content.hex()
        if parameters.fail_on is not None and parameters.fail_on in searched:
            raise ModelCallError(f"{self.entry.name}: fails on purpose, since fail_on is {parameters.fail_on!r}")
        if parameters.empty_on is not None and parameters.empty_on in searched and self.entry.output == "text":
            return ""
        if parameters.black_on is not None and parameters.black_on in searched and self.entry.output == "image":
            return np.zeros((parameters.side, parameters.side, 3), np.uint8)
        salt = parameters.variant.to_bytes(8, "little") + seed.to_bytes(8, "little")
        digest = blake2b(content, digest_size=16, salt=salt).digest()
        if parameters.states is not None:
            state = int.from_bytes(digest, "little") % parameters.states
            digest = blake2b(state.to_bytes(8, "little"), digest_size=16).digest()
        return self._paint(digest)

    def _text(self, digest: bytes) -> str:
        return f"{_QUALITIES[digest[0] % 8]} {_THINGS[digest[1] % 8]} {digest[2:10].hex()}"

    def _picture(self, digest: bytes) -> np.ndarray:
        """Two colours, one above the other; whole rows are copied, which is much faster than single pixels."""
        side = self._parameters.side
        rows = np.empty((side, side * 3), np.uint8)
        rows[: side // 2] = np.frombuffer(digest[0:3] * side, np.uint8)
        rows[side // 2 :] = np.frombuffer(digest[3:6] * side, np.uint8)
        return rows.reshape(side, side, 3)


class DummyEmbedder(LoadedModel):
    """Vectors of length 1 in a direction drawn from the hash of the item."""

    def _embed(self, items: Sequence[str] | Sequence[np.ndarray], modality: Medium) -> np.ndarray:
        spoiled = strike_at_call(self.entry, map(_searched, items))
        parameters = DummyParameters.model_validate(self.entry.parameters)
        salt = parameters.variant.to_bytes(8, "little")
        blocks = range((2 * self.dimension + 63) // 64)
        drawn = b"".join(
            blake2b(content, salt=salt, person=block.to_bytes(4, "little")).digest()
            for content in (item.encode() if isinstance(item, str) else picture_digest(item) for item in items)
            for block in blocks
        )
        values = np.frombuffer(drawn, "<i2").reshape(len(items), -1)[:, : self.dimension]
        vectors = np.asarray(values + np.float32(0.5))  # centred: an int16 is in -32768 .. 32767
        vectors[list(spoiled)] = np.nan
        return vectors


def _searched(item: str | np.ndarray) -> str:
    """What a fault's substring is looked for in."""
    return item if isinstance(item, str) else picture_digest(item).hex()


def picture_digest(picture: np.ndarray) -> bytes:
    """16 bytes that identify a picture well enough for a dummy, at a tenth of the cost of hashing all of it.

    Hashes the shape, a grid of at least 16 x 16 pixels, and the sum of all bytes taken as 64-bit words, so that any
    single changed pixel changes it.
    """
    height, width, _ = picture.shape
    grid = picture[:: max(1, height // 16), :: max(1, width // 16)]
    flat = np.ascontiguousarray(picture).reshape(-1)
    whole = flat.size // 8 * 8
    total = int(flat[:whole].view(np.uint64).sum())
    content = b"%d %d %d " % (height, width, total) + grid.tobytes() + flat[whole:].tobytes()
    return blake2b(content, digest_size=16).digest()


def load(entry: ModelEntry, device: Device) -> LoadedModel:
    """A dummy; it needs no device.

    Raises:
        ModelLoadError: a drill asks for it.
    """
    strike_at_load(entry)
    return DummyGenerator(entry) if entry.kind == "generator" else DummyEmbedder(entry)
