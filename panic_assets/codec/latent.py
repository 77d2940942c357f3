"""The learned transform as files use it: a picture to bytes and back, by a model with a name and an identity.

Here belong finding models, telling them apart, and their symbols as bytes. What a model computes is in
:mod:`panic_assets.codec.latent_model`; what stands around its bytes belongs to the bitstream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from panic_assets.codec.entropy import Coder
from panic_assets.codec.errors import MissingModel, UnfitValue, WrongModel
from panic_assets.codec.latent_model import Found, LatentModel, grid
from panic_assets.codec.tables import of_model
from panic_assets.paths import project_dir

DEFAULT_MODEL = "latent-codec"

IDENTITY_BYTES = 4
"""How much of a model's identity a file holds."""

_DECIDING = ("decoder.onnx", "probabilities.npz", "transform.npz")
"""The files that decoding depends on. An encoder may be trained further without making another model of it."""

Stamp = tuple[tuple[int, int], ...]


class LearnedModel:
    """The model in a folder. Networks are opened when they are needed, and kept.

    Args:
        folder: as ``python -m panic_assets.codec.training`` writes it.
        threads: inside the networks.

    Raises: :class:`~panic_assets.codec.errors.MissingModel` where one of the deciding files is missing.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder, self._threads = folder, threads
        _stamp(folder)

    @cached_property
    def identity(self) -> bytes:
        """SHA-256 over names, sizes and contents of the files that decoding depends on; 32 bytes."""
        digest = hashlib.sha256()
        for name in _DECIDING:
            data = (self.folder / name).read_bytes()
            digest.update(f"{name}\0{len(data)}\0".encode())
            digest.update(data)
        return digest.digest()

    @cached_property
    def levels(self) -> int:
        """Number of levels of quality; 0 is the coarsest."""
        return self._networks.levels

    def encode(self, pictures: np.ndarray, level: int) -> list[tuple[bytes, Callable[[], np.ndarray]]]:
        """Of each of uint8 (n, h, w, 3): its bytes, and what draws the picture that :meth:`decode` will make of them.

        Pictures share runs of the networks, which changes none of their values.
        """
        if not 0 <= level < self.levels:
            raise UnfitValue(f"level {level}: {self.folder.name} has 0 to {self.levels - 1}")
        height, width = pictures.shape[1:3]

        def drawing(one: Found) -> Callable[[], np.ndarray]:
            return lambda: self._networks.draw(one.latents[None], level, height, width, one.base[None])[0]

        found = self._networks.find(pictures, level)
        return [(self._coder.encode_parts(one.passes), drawing(one)) for one in found]

    def decode(self, data: Sequence[bytes], height: int, width: int, level: int) -> np.ndarray:
        """The pictures, uint8 (n, height, width, 3). Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
        if level >= self.levels:
            raise WrongModel("the file", f"of more than {level} levels", f"{self.identity.hex()[:8]}, of {self.levels}")
        latents = np.stack([self._latents(one, *grid(height, width), level) for one in data])
        return self._networks.draw(latents, level, height, width)

    def _latents(self, data: bytes, height: int, width: int, level: int) -> np.ndarray:
        probabilities, reader = self._networks.probabilities, self._coder.reader(data)

        def read(targets: np.ndarray, means: np.ndarray, classes: np.ndarray) -> np.ndarray:
            return reader.read(classes)

        base = probabilities.base(height, width, level, read)
        latents = np.concatenate([base, probabilities.detail(base, level, read)])
        reader.finish()
        return latents

    @cached_property
    def _networks(self) -> LatentModel:
        return LatentModel(self.folder, self._threads)

    @cached_property
    def _coder(self) -> Coder:
        return Coder(of_model(self._networks.probabilities.frequencies))


def open_model(model: str | Path | LearnedModel, threads: int = 1) -> LearnedModel:
    """A model by the name of a bundled one or by its folder; opened once as long as its files stay as they are.

    Raises: :class:`~panic_assets.codec.errors.MissingModel`.
    """
    if isinstance(model, LearnedModel):
        return model
    folder = Path(model) if isinstance(model, Path) or "/" in model else _bundled() / model
    return _opened(folder, threads, _stamp(folder))


def model_for(identity: bytes, model: str | Path | LearnedModel | None) -> LearnedModel:
    """The model that a file was written by.

    Args:
        identity: what the file says of it, IDENTITY_BYTES.
        model: the one to use; None for whichever of the bundled ones it is.

    Raises:
        WrongModel: it is another.
        MissingModel: there is none of that name.
    """
    candidates = [open_model(model)] if model is not None else _all_bundled()
    for candidate in candidates:
        if candidate.identity[:IDENTITY_BYTES] == identity:
            return candidate
    at_hand = ", ".join(found.identity[:IDENTITY_BYTES].hex() for found in candidates) or "none"
    raise WrongModel("the file", identity.hex(), at_hand)


def _all_bundled() -> list[LearnedModel]:
    folders = sorted(path.parent for path in _bundled().glob(f"*/{_DECIDING[1]}"))
    # The usual one first: reading all the others to tell them apart takes its time.
    folders.sort(key=lambda folder: folder.name != DEFAULT_MODEL)
    return [open_model(folder) for folder in folders]


def _bundled() -> Path:
    return project_dir() / "data" / "models"


@lru_cache(maxsize=8)
def _opened(folder: Path, threads: int, stamp: Stamp) -> LearnedModel:
    return LearnedModel(folder, threads)


def _stamp(folder: Path) -> Stamp:
    """When the deciding files were written, and their sizes."""
    try:
        states = [(folder / name).stat() for name in _DECIDING]
    except OSError as problem:
        raise MissingModel(
            f"no codec model in {folder} ({problem.strerror}: {problem.filename}); give the name of a folder in "
            f"{_bundled()}, or the path of one that holds {', '.join(_DECIDING)}"
        ) from None
    return tuple((state.st_mtime_ns, state.st_size) for state in states)
