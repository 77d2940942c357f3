"""Latents of any VAE as few bytes: across channels, wavelet, a step for each band, tables, entropy coding.

Here belongs the payload of the bitstream's method 3, from latents to bytes and back; docs/codec-bitstream.md has it in
words. Bytes come before floats: which symbols a payload holds is decided by whole numbers alone, what they are worth
by float32 and, of the KLT, float64. Networks are in ``models``, the head of a file is in ``bitstream``.

>>> latents = np.sin(np.arange(4 * 16 * 24)).reshape(4, 16, 24).astype(np.float32)
>>> fine, coarse = encode_latents(latents, 15), encode_latents(latents, 2)
>>> bool(np.abs(decode_latents(fine, 16, 24) - latents).max() < 0.2), len(coarse) < len(fine) < latents.nbytes // 4
(True, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from panic_assets.codec import banded, lifting, quantising
from panic_assets.codec.bits import BitReader, BitWriter
from panic_assets.codec.components import Band, QuantParams
from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.models import Vae
from panic_assets.codec.probability import CLASSES
from panic_assets.codec.systems.hadamard import hadamard4
from panic_assets.codec.systems.klt import KLT
from panic_assets.codec.tables import read_tables, write_tables

Transform = Literal["none", "hadamard", "klt"]
"""Across channels. Hadamard takes four of them, KLT what its model brings along."""

LEVELS = 16
MOST_CHANNELS = 256

_TRANSFORMS: tuple[Transform, ...] = get_args(Transform)
_ONE = 64.0  # latents are about 1 large; so many times as large they find fine and coarse steps on the ladder
_COARSEST, _LEVELS_PER_HALF = 2.0, 3.0  # the step of level 0, in latents, and levels until it is half as large
_DEAD_ZONE = 0.625
_OFFSETS = 64  # reconstruction offsets are whole parts of a step
_ONE_KIND = [""]  # numbers of tables are by the band before, whatever its kind


@dataclass(frozen=True)
class VaePipeline:
    """A VAE with what codes its latents.

    Args:
        vae: the networks.
        transform: across channels; None for the KLT of a model that has one, and for none elsewhere.
    """

    vae: Vae
    transform: Transform | None = None

    def encode(self, latents: np.ndarray, level: int) -> bytes:
        """The payload of latents, float (channels, h, w), at level 0 to 15. Raises: :class:`UnfitValue`."""
        klt = self._klt()
        return encode_latents(latents, level, self.transform or ("klt" if klt else "none"), klt)

    def decode(self, payload: bytes, height: int, width: int) -> np.ndarray:
        """The latents, float32, of a picture of so many pixels. Raises: :class:`WrongBytes`, :class:`MissingModel`."""
        channels = self.vae.network("decoder").sides[1]
        return decode_latents(payload, *self.vae.grid(height, width), self._klt(), channels)

    def draw(self, payload: bytes, height: int, width: int) -> np.ndarray:
        """The picture, uint8 (height, width, 3). Raises: as :meth:`decode`, and :class:`BrokenModel`."""
        return self.vae.decode(self.decode(payload, height, width)[None], height, width)[0]

    def _klt(self) -> KLT | None:
        path = self.vae.settings.table.klt
        return KLT.from_npz(path) if path else None


def encode_latents(latents: np.ndarray, level: int, transform: Transform = "none", klt: KLT | None = None) -> bytes:
    """Latents, floats (channels, h, w), as bytes. Raises: :class:`UnfitValue`."""
    if latents.ndim != 3 or latents.dtype.kind != "f" or 0 in latents.shape or len(latents) > MOST_CHANNELS:
        raise UnfitValue(
            f"latents {latents.shape} {latents.dtype}; give floats (channels, h, w), at most {MOST_CHANNELS} channels"
        )
    if not 0 <= level < LEVELS:
        raise UnfitValue(f"level {level}; give 0 to {LEVELS - 1}")
    if not np.isfinite(latents).all():
        raise UnfitValue(f"latents {latents.shape} with values that are no numbers")
    channels, height, width = latents.shape
    levels = lifting.useful_levels(height, width)
    planes = _across(latents.astype(np.float32), transform, klt, is_forward=True) * np.float32(_ONE)
    coefficients, bands = lifting.forward53(planes, levels), lifting.bands(channels, height, width, levels)
    step = _ONE * _COARSEST * 2.0 ** (-level / _LEVELS_PER_HALF)
    params = quantising.best_params(coefficients, bands, quantising.slope_of(step), dead_zone=_DEAD_ZONE)
    symbols = quantising.in_order(quantising.quantise(coefficients, bands, params), bands)
    coded = banded.encode(symbols, _sizes(bands))
    head = BitWriter().number(_TRANSFORMS.index(transform)).number(channels).number(levels)
    head.number(round(params.offset * _OFFSETS)).number(len(coded.tables) - 1)
    banded.write_numbers(head, _kinds(bands), [quantising.step_number(step) for step in params.steps])
    banded.write_numbers(head, _ONE_KIND * len(bands), coded.of_bands)
    return head.bytes() + write_tables(coded.tables) + coded.data


def decode_latents(
    payload: bytes, height: int, width: int, klt: KLT | None = None, channels: int | None = None
) -> np.ndarray:
    """The latents, float32 (channels, height, width), of a payload.

    Sides, and ``channels`` if given, are known from elsewhere.

    Raises: :class:`WrongBytes` for bytes that :func:`encode_latents` did not make of such latents, in nearly all cases;
    a checksum says it surely.
    """
    head = BitReader(payload)
    transform, depth, levels, offset, count = (head.number() for _ in range(5))
    limits = (len(_TRANSFORMS) - 1, MOST_CHANNELS, lifting.MOST_LEVELS, _OFFSETS // 2 - 1, CLASSES - 1)
    written = zip((transform, depth, levels, offset, count), limits, strict=True)
    if depth != (channels or max(depth, 1)) or any(found > most for found, most in written):
        raise WrongBytes(
            f"payload of transform {transform}, {depth} channels, {levels} levels, offset {offset}, {count + 1} tables "
            f"for {channels or 'any number of'} channels: no encoder writes it"
        )
    bands = lifting.bands(depth, height, width, levels)
    numbers = banded.read_numbers(head, _kinds(bands))
    if not 0 <= min(numbers) <= max(numbers) < quantising.STEP_NUMBERS:
        raise WrongBytes(f"payload with step numbers {min(numbers)} to {max(numbers)}, of {quantising.STEP_NUMBERS}")
    steps = tuple(quantising.step_at(number) for number in numbers)
    of_bands = tuple(banded.read_numbers(head, _ONE_KIND * len(bands)))
    tables, end = read_tables(payload, count + 1, head.end)
    symbols = banded.decode(banded.Coded(tables, of_bands, payload[end:]), _sizes(bands))
    params = QuantParams(steps=steps, dead_zone=_DEAD_ZONE, offset=offset / _OFFSETS)
    placed = quantising.in_place(symbols, bands, (depth, height, width))
    planes = lifting.inverse53(quantising.dequantise(placed, bands, params), levels) / np.float32(_ONE)
    try:
        return _across(planes, _TRANSFORMS[transform], klt, is_forward=False)
    except UnfitValue as problem:
        raise WrongBytes(f"payload of {depth} channels with transform {_TRANSFORMS[transform]}: {problem}") from None


def _across(planes: np.ndarray, transform: Transform, klt: KLT | None, *, is_forward: bool) -> np.ndarray:
    if transform == "none":
        return planes
    if transform == "hadamard":
        return hadamard4(planes)
    if klt is None:
        raise UnfitValue("transform klt, and the model has none; give `klt` in its configuration, or another transform")
    return (klt if is_forward else klt.inverse()).transformed(planes)


def _sizes(bands: Sequence[Band]) -> list[int]:
    return [band.height * band.width for band in bands]


def _kinds(bands: Sequence[Band]) -> list[str]:
    return [band.kind for band in bands]
