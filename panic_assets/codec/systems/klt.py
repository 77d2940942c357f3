"""The Karhunen-Loeve transform: the rotation across channels that leaves them uncorrelated.

Here belong its fitting, its file and its system.

>>> import numpy as np
>>> one = np.random.default_rng(0).standard_normal((1, 32, 32))
>>> latent = np.concatenate([one, one]) + 0.1 * np.random.default_rng(1).standard_normal((2, 32, 32))
>>> klt = KLT.learned([latent])
>>> np.abs(klt.matrix).round(2).tolist()
[[0.71, 0.71], [0.71, 0.71]]
>>> bool(coding_gain([klt.transformed(latent)]) > coding_gain([latent]) + 5)
True
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np

from panic_assets.codec.core.system import Mode
from panic_assets.codec.errors import MissingModel, UnfitValue
from panic_assets.codec.systems.across_channels import AcrossChannels

_ORTHONORMAL = 1e-6


class KLT(AcrossChannels):
    """:class:`Latent` to :class:`Channels` by a rotation, any number of channels; back in the other mode.

    Forward, planes ``x`` become ``matrix @ (x - mean)``. Products are summed in float64 and kept in the type of the
    planes: last bits may differ between platforms.

    Args:
        matrix: (channels, channels), orthonormal rows.
        mean: (channels,) of the latents; zeros without one.
        mode: forward or inverse.

    Raises: :class:`UnfitValue` for anything else.
    """

    def __init__(self, matrix: np.ndarray, mean: np.ndarray | None = None, mode: Mode = "encode") -> None:
        super().__init__(mode)
        self.matrix = np.array(matrix, np.float64)
        if self.matrix.ndim != 2 or self.matrix.shape[0] != self.matrix.shape[1] or not self.matrix.size:
            raise UnfitValue(f"matrix {self.matrix.shape}; a KLT has one of (channels, channels)")
        error = np.abs(self.matrix @ self.matrix.T - np.eye(self.channels)).max()
        if not error <= _ORTHONORMAL:
            raise UnfitValue(
                f"rows of the matrix are orthonormal but for {error:.2g}, which must be under {_ORTHONORMAL}"
            )
        self.mean = np.zeros(self.channels) if mean is None else np.array(mean, np.float64)
        if self.mean.shape != (self.channels,) or not np.isfinite(self.mean).all():
            raise UnfitValue(f"mean {self.mean.shape}; give a finite number for each of {self.channels} channels")

    @classmethod
    def learned(cls, latents: Iterable[np.ndarray], mode: Mode = "encode") -> Self:
        """Fitted to latents (channels, h, w) of any sizes: channels by falling variance, signs fixed.

        Raises: :class:`UnfitValue` for none, for different numbers of channels, or for values that are not finite.
        """
        samples = _samples(latents)
        mean = samples.mean(1)
        centred = samples - mean[:, None]
        rows = np.linalg.eigh(centred @ centred.T / samples.shape[1])[1].T[::-1]
        largest = np.take_along_axis(rows, np.abs(rows).argmax(1)[:, None], 1)
        return cls(rows * np.sign(largest), mean, mode)

    @classmethod
    def from_npz(cls, path: Path | str, mode: Mode = "encode") -> Self:
        """From a file with the arrays ``matrix`` and ``mean`` (may be absent), as :meth:`save` writes it.

        Raises: :class:`MissingModel` without such a file, :class:`UnfitValue` for another content.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(stored["matrix"], stored.get("mean"), mode)
        except FileNotFoundError:
            raise MissingModel(f"{path}: no such file; write one with KLT.save") from None
        except UnfitValue as problem:
            raise UnfitValue(f"{path}: {problem}") from None
        except (KeyError, ValueError, OSError, EOFError, AttributeError, TypeError, BadZipFile) as problem:
            raise UnfitValue(f"{path}: no .npz with a matrix ({problem}); write one with KLT.save") from None

    def save(self, path: Path | str) -> None:
        """Write ``matrix`` and ``mean`` into a .npz file, in float64."""
        with Path(path).open("wb") as file:
            np.savez(file, matrix=self.matrix, mean=self.mean)

    def inverse(self) -> Self:
        """The same rotation in the other direction."""
        return type(self)(self.matrix, self.mean, "encode" if self.mode == "decode" else "decode")

    @property
    def channels(self) -> int:
        """How many channels it takes."""
        return len(self.matrix)

    def transformed(self, planes: np.ndarray) -> np.ndarray:
        """Floats (channels, h, w), rotated in the direction of ``mode``. Raises: :class:`UnfitValue`."""
        if planes.ndim != 3 or planes.shape[0] != self.channels or planes.dtype.kind != "f":
            raise UnfitValue(f"planes {planes.shape} {planes.dtype}; this KLT takes floats ({self.channels}, h, w)")
        flat = planes.reshape(self.channels, -1).astype(np.float64)
        mean = self.mean[:, None]
        turned = self.matrix @ (flat - mean) if self.mode == "encode" else self.matrix.T @ flat + mean
        return turned.reshape(planes.shape).astype(planes.dtype)


def coding_gain(latents: Iterable[np.ndarray]) -> float:
    """How much fewer bits uneven channels need at equal error, in dB: arithmetic over geometric mean of variances.

    Latents are (channels, h, w). Compare the value before and after an orthonormal transform: one that lowers it does
    harm. Infinite where a channel is constant. (Jayant and Noll, Digital Coding of Waveforms, 1984.)
    Raises: as :meth:`KLT.learned`.
    """
    variances = _samples(latents).var(1)
    if not variances.all():
        return float("inf") if variances.any() else 0.0
    return float(10 * (np.log10(variances.mean()) - np.log10(variances).mean()))


def _samples(latents: Iterable[np.ndarray]) -> np.ndarray:
    """All positions of all latents as columns, float64 (channels, n). Raises: :class:`UnfitValue`."""
    parts = list(latents)
    if not parts or any(part.ndim != 3 for part in parts) or len({len(part) for part in parts}) != 1:
        raise UnfitValue(
            f"latents of shapes {[part.shape for part in parts]}; give some of (channels, h, w), channels alike"
        )
    samples = np.concatenate([part.reshape(len(part), -1) for part in parts], 1).astype(np.float64)
    if not samples.size or not np.isfinite(samples).all():
        raise UnfitValue("latents have no values, or some that are not finite")
    return samples
