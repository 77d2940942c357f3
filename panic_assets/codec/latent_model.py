"""The shipped model: pictures to symbols and back, by ONNX Runtime and numpy.

Here belong the transforms, the gains and the two layers' order. Probabilities and words have modules of their own; a
file's header belongs to the bitstream.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from panic_assets.codec.probability import ONE, Probabilities, symbols_for
from panic_assets.errors import PanicError

STRIDE = 8
"""Pixels that one position of the grid of latents stands for, in each direction."""


class NoCodecModel(PanicError):
    """A folder that holds no whole codec model."""


@dataclass(frozen=True)
class Found:
    """What an encoder found: ``passes``, (classes, symbols) in order, and ``latents`` as a decoder will have them."""

    passes: list[tuple[np.ndarray, np.ndarray]]
    latents: np.ndarray


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
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
                for name in ("encoder", "decoder")
            )
            with np.load(folder / "transform.npz", allow_pickle=False) as stored:
                self.gain, self.inverse = stored["gain"], stored["inverse"]
                self._analysis = stored["analysis"].astype(np.float32)
        except Exception as problem:  # ONNX Runtime has no root of its errors but RuntimeError's children and more
            raise NoCodecModel(f"{folder}: no whole codec model ({problem}); export it again") from None

    @property
    def levels(self) -> int:
        """Number of quality levels; 0 is the coarsest."""
        return len(self.gain)

    def find(self, picture: np.ndarray, level: int) -> Found:
        """The symbols of a picture, uint8 (h, w, 3), at a level.

        The detail is what the *rounded* base leaves, so that it also mends what rounding did.
        """
        plane = _plane(picture)
        base_channels = self.probabilities.base_channels
        gain = self.gain[level][:, None, None]
        passes: list[tuple[np.ndarray, np.ndarray]] = []
        latents = self._encoder.run(None, {"pictures": plane})[0][0]
        height, width = latents.shape[1:]
        base = self.probabilities.base(height, width, level, symbols_for(latents * gain[:base_channels], passes))
        empty = np.zeros((self.probabilities.detail_channels, height, width))
        rest = plane[0] - self._draw(np.concatenate([base, empty]), level, "base_pictures")
        detail = self._analyse(rest) * gain[base_channels:]
        seen = self.probabilities.detail(base, level, symbols_for(detail, passes))
        return Found(passes, np.concatenate([base, seen]))

    def draw(self, latents: np.ndarray, level: int, height: int, width: int) -> np.ndarray:
        """The picture, uint8 (height, width, 3), of latents in 1/ONE as a decoder knows them."""
        plane = self._draw(latents, level, "pictures")[:, :height, :width]
        return np.clip(np.rint((plane.transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)

    def _draw(self, latents: np.ndarray, level: int, output: str) -> np.ndarray:
        inputs = {
            "latents": (latents[None] / ONE * self.inverse[level][:, None, None]).astype(np.float32),
            "quality": np.full((1, 1), level / (self.levels - 1), np.float32),
        }
        drawn: np.ndarray = self._decoder.run([output], inputs)[0][0]
        return drawn

    def _analyse(self, rest: np.ndarray) -> np.ndarray:
        """Each 8x8 block of (3, 8h, 8w), flattened channels first, times the analysis matrix: (channels, h, w)."""
        h, w = rest.shape[1] // STRIDE, rest.shape[2] // STRIDE
        blocks = rest.reshape(3, h, STRIDE, w, STRIDE).transpose(0, 2, 4, 1, 3).reshape(-1, h * w)
        return (self._analysis @ blocks).reshape(-1, h, w)


def grid(height: int, width: int) -> tuple[int, int]:
    """Positions of latents down and across, of a picture of so many pixels."""
    return -(-height // STRIDE), -(-width // STRIDE)


def _plane(picture: np.ndarray) -> np.ndarray:
    """Float32 (1, 3, 8h, 8w) in [-1, 1]; the last row and column are repeated up to whole blocks."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)), mode="edge")
    return padded.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
