"""The shipped model: pictures to symbols and back, by ONNX Runtime and numpy.

Here belong the transforms, the gains and the two layers' order. Probabilities and words have modules of their own; a
file's header belongs to the bitstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.codec.probability import ONE, Probabilities, symbols_for
from panic_assets.errors import PanicError

STRIDE = 8
"""Pixels that one position of the grid of latents stands for, in each direction."""


class NoCodecModel(PanicError):
    """A folder that holds no whole codec model."""


@dataclass(frozen=True)
class Found:
    """What an encoder found of one picture.

    ``passes``: (classes, symbols) in order. ``latents`` as a decoder will have them. ``base``: the plane that the base
    alone makes, float32 (3, 8h, 8w).
    """

    passes: list[tuple[np.ndarray, np.ndarray]]
    latents: np.ndarray
    base: np.ndarray


class LatentModel:
    """The model in a folder: ``encoder.onnx``, ``decoder.onnx``, ``transform.npz``, ``probabilities.npz``.

    Raises: :class:`NoCodecModel` where one of them is missing or can't be read.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.probabilities = Probabilities.load(folder / "probabilities.npz")
        try:
            networks = {"encoder": (folder / "encoder.onnx").read_bytes(), **_halves(folder / "decoder.onnx")}
            self._sessions = {
                name: onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
                for name, data in networks.items()
            }
            with np.load(folder / "transform.npz", allow_pickle=False) as stored:
                self.gain, self.inverse = stored["gain"], stored["inverse"]
                self._analysis = stored["analysis"].astype(np.float32)
        except Exception as problem:  # ONNX Runtime has no root of its errors but RuntimeError's children and more
            raise NoCodecModel(f"{folder}: no whole codec model ({problem}); export it again") from None

    @property
    def levels(self) -> int:
        """Number of quality levels; 0 is the coarsest."""
        return len(self.gain)

    def find(self, pictures: np.ndarray, level: int) -> list[Found]:
        """The symbols of each of some pictures, uint8 (n, h, w, 3), at a level.

        The detail is what the *rounded* base leaves, so that it also mends what rounding did.
        """
        planes = _planes(pictures)
        base_channels = self.probabilities.base_channels
        gain = self.gain[level][:, None, None]
        passes: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in pictures]
        latents = self._run("encoder", pictures=planes)
        height, width = latents.shape[2:]
        wanted = zip(latents * gain[:base_channels], passes, strict=True)
        bases = np.stack([self.probabilities.base(height, width, level, symbols_for(*one)) for one in wanted])
        drawn = self._draw_bases(bases, level)
        found = []
        for base, own, left, seen in zip(bases, passes, planes - drawn, drawn, strict=True):
            symbols = symbols_for(self._analyse(left) * gain[base_channels:], own)
            detail = self.probabilities.detail(base, level, symbols)
            found.append(Found(own, np.concatenate([base, detail]), seen))
        return found

    def draw(
        self, latents: np.ndarray, level: int, height: int, width: int, bases: np.ndarray | None = None
    ) -> np.ndarray:
        """The pictures, uint8 (n, height, width, 3), of latents in 1/ONE as a decoder knows them.

        Args:
            latents: all channels, (n, c, h, w).
            level: of quality.
            height: pixels that are kept of the padded pictures.
            width: the same.
            bases: the planes of the base alone, where they are known already.
        """
        bases = self._draw_bases(latents[:, : self.probabilities.base_channels], level) if bases is None else bases
        drawn = self._run("rest", base_pictures=bases, **self._inputs(latents, level))[:, :, :height, :width]
        planes = drawn.transpose(0, 2, 3, 1) + 1
        planes *= 127.5
        return np.clip(np.rint(planes, out=planes), 0, 255, out=planes).astype(np.uint8)

    def _draw_bases(self, bases: np.ndarray, level: int) -> np.ndarray:
        count, _, *size = bases.shape
        empty = np.zeros((count, self.probabilities.detail_channels, *size))
        return self._run("base", **self._inputs(np.concatenate([bases, empty], 1), level))

    def _inputs(self, latents: np.ndarray, level: int) -> dict[str, np.ndarray]:
        return {
            "latents": (latents / ONE * self.inverse[level][:, None, None]).astype(np.float32),
            # One row for all: a product of one row is the same however many pictures there are.
            "quality": np.full((1, 1), level / (self.levels - 1), np.float32),
        }

    def _run(self, network: str, **inputs: np.ndarray) -> np.ndarray:
        made: np.ndarray = self._sessions[network].run(None, inputs)[0]
        return made

    def _analyse(self, rest: np.ndarray) -> np.ndarray:
        """Each 8x8 block of (3, 8h, 8w), flattened channels first, times the analysis matrix: (channels, h, w)."""
        h, w = rest.shape[1] // STRIDE, rest.shape[2] // STRIDE
        blocks = rest.reshape(3, h, STRIDE, w, STRIDE).transpose(0, 2, 4, 1, 3).reshape(-1, h * w)
        return (self._analysis @ blocks).reshape(-1, h, w)


def grid(height: int, width: int) -> tuple[int, int]:
    """Positions of latents down and across, of a picture of so many pixels."""
    return -(-height // STRIDE), -(-width // STRIDE)


def _halves(decoder: Path) -> dict[str, bytes]:
    """The decoder as two networks: from latents to the picture of the base, from both to the whole picture.

    An encoder needs the first before it knows all latents, and neither twice.
    """
    import onnx
    from onnx.utils import Extractor

    whole: Any = Extractor(onnx.load(decoder))
    given = ["latents", "quality"]
    return {
        "base": whole.extract_model(given, ["base_pictures"]).SerializeToString(),
        "rest": whole.extract_model([*given, "base_pictures"], ["pictures"]).SerializeToString(),
    }


def _planes(pictures: np.ndarray) -> np.ndarray:
    """Float32 (n, 3, 8h, 8w) in [-1, 1]; the last row and column are repeated up to whole blocks."""
    height, width = pictures.shape[1:3]
    padded = np.pad(pictures, ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="edge")
    return padded.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
