"""Pictures between models and the lake: what the next model is fed, and reading stored ones back by hash.

Here belong hashing, decoding and finding; storing is the recorder's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.lake import Lake, images


class MissingPicture(PanicError):
    """An invocation names a picture that the lake does not hold."""


@dataclass(frozen=True)
class Settled:
    """A picture as the next model is fed it and a resumed engine reads it back, with its hash.

    ``encoded`` are the bytes to store where they had to be made already, None where that can wait.
    """

    pixels: np.ndarray
    image_hash: bytes
    encoded: bytes | None


def settle(pixels: np.ndarray, image_format: str, latents: np.ndarray | None = None) -> Settled:
    """What becomes of a model's picture, uint8 (height, width, 3), in this format of the archive.

    ``latents`` are what it was drawn from, where that is known: a format may store them instead.

    A lossless format keeps it. In a lossy one the next model is fed what will be read back, and exactly these bytes
    are stored: to encode twice would lose twice.
    """
    if images.is_lossless(image_format):
        return Settled(pixels, images.pixel_hash(pixels), None)
    encoded = images.encode(pixels, image_format, latents)
    pixels = images.decode(encoded)
    return Settled(pixels, images.pixel_hash(pixels), encoded)


class PictureShelf:
    """The pictures of one experiment. Knows where each lies, so that reading a few does not read them all."""

    def __init__(self, lake: Lake, experiment: str) -> None:
        self._lake, self._experiment = lake, experiment
        rows = lake.read("images", experiment, columns=["image_hash", "run_number", "sequence_number"])
        columns = (rows.column(name).to_pylist() for name in ("image_hash", "run_number", "sequence_number"))
        self._places = {image_hash: (run, number) for image_hash, run, number in zip(*columns, strict=True)}

    def __contains__(self, image_hash: object) -> bool:
        return image_hash in self._places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def in_order(self, hashes: Iterable[bytes]) -> list[bytes]:
        """The hashes in the order in which the pictures are stored: neighbours are then read together.

        Raises:
            MissingPicture: a picture is not there.
        """
        hashes = list(hashes)
        for image_hash in hashes:
            if image_hash not in self._places:
                raise MissingPicture(
                    f"experiment {self._experiment}: the lake holds no picture {image_hash.hex()}, which an invocation "
                    f"names; delete the experiment and run it again (panic delete {self._experiment})"
                )
        return sorted(hashes, key=lambda image_hash: self._places[image_hash])

    def load(self, hashes: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Pixels by hash, uint8 (height, width, 3).

        Raises:
            MissingPicture: a picture is not there.
            CorruptImage, CorruptPart: it can't be read.
        """
        return {image_hash: images.decode(data) for image_hash, (_, data) in self.encoded(hashes).items()}

    def encoded(self, hashes: Iterable[bytes]) -> dict[bytes, tuple[str, bytes]]:
        """(format, bytes) by hash, as they are stored; formats are those of `images.encode`.

        Raises:
            MissingPicture: a picture is not there.
            CorruptPart: it can't be read.
        """
        wanted = self.in_order(hashes)
        if not wanted:
            return {}
        where = {"run_number": {self._places[image_hash][0] for image_hash in wanted}, "image_hash": set(wanted)}
        rows = self._lake.read("images", self._experiment, columns=["image_hash", "format", "image"], where=where)
        columns = (rows.column(name) for name in ("image_hash", "format", "image"))
        return {name.as_py(): (kind.as_py(), data.as_py()) for name, kind, data in zip(*columns, strict=True)}
