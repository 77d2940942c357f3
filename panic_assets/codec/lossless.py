"""Pictures and residuals in whole numbers alone: colour transform, lifting, coefficients.

Here belongs the path that needs no model and no floating point, so that it decodes alike everywhere: pictures exactly,
and what a learned transform left of one, with a step. The form of the bytes is that of
:mod:`panic_assets.codec.bitstream.coefficients`.
"""

from __future__ import annotations

import numpy as np

from panic_assets.codec.bitstream import coefficients
from panic_assets.codec.components import Band
from panic_assets.codec.errors import UnfitValue, WrongBytes
from panic_assets.codec.lifting import MOST_LEVELS, bands, forward53, inverse53

LARGEST_STEP = 255
_FRACTION = 4
"""Binary digits behind the point of planes with a step above 1: lifting rounds down, which sums up over the levels."""

_STEPS_OF_LEVEL = {"LH": (16, 10, 5, 3, 1), "HL": (16, 10, 5, 3, 1), "HH": (22, 17, 10, 5, 3), "LL": (10, 5, 3, 1, 1)}
"""Sixteenths of a step that the bands of level 1, 2, ... have, by how much of them is seen in the picture."""

_FEW_VALUES = 64

Push = tuple[int, int]
"""A share as numerator and denominator."""

PUSH: Push = (3, 10)
"""Share of a step that is added before magnitudes are rounded down; a half would be usual rounding."""


def encode_picture(picture: np.ndarray) -> bytes:
    """Bytes of uint8 (h, w) or (h, w, channels), exactly."""
    planes = np.atleast_3d(picture).transpose(2, 0, 1).astype(np.int32)
    most = levels_for(*planes.shape[1:])
    # Lifting blurs the few values that masks and drawings have into many.
    choices = {most, 0} if all(np.unique(plane).size <= _FEW_VALUES for plane in planes) else {most}
    return min((coefficients.encode(transform(planes, levels, 1), levels) for levels in choices), key=len)


def decode_picture(data: bytes, height: int, width: int, channels: int) -> np.ndarray:
    """The picture, (h, w, channels). Raises: :class:`~panic_assets.codec.errors.WrongBytes`."""
    planes = decode(data, channels, height, width, 1)
    if planes.min() < 0 or planes.max() > 255:
        raise WrongBytes("coefficients of samples outside 0 to 255: the bytes are damaged")
    return np.ascontiguousarray(planes.transpose(1, 2, 0), np.uint8)


def decode(data: bytes, channels: int, height: int, width: int, step: int) -> np.ndarray:
    """Planes, int32 (channels, h, w), of coefficients that :func:`transform` made with this step.

    Raises: :class:`~panic_assets.codec.errors.WrongBytes`.
    """
    return restore(*coefficients.decode(data, channels, height, width), step)


def transform(planes: np.ndarray, levels: int, step: int) -> np.ndarray:
    """Quantised coefficients of int32 (channels, h, w), magnitudes up to 255, in the same shape.

    Args:
        planes: the first three, of three or four, are treated as RGB.
        levels: 0 to 16.
        step: 1 for exactly, up to LARGEST_STEP.
    """
    if not 1 <= step <= LARGEST_STEP:
        raise UnfitValue(f"a step of {step}: give 1 (exactly) to {LARGEST_STEP}")
    return quantised(lifted(planes, levels, step), levels, step)


def lifted(planes: np.ndarray, levels: int, step: int) -> np.ndarray:
    """Coefficients of planes before :func:`quantised`; the same for all steps above 1."""
    return forward53(_to_luma(planes << _digits(step)), levels)


def quantised(coefficients: np.ndarray, levels: int, step: int, push: Push = PUSH) -> np.ndarray:
    """Coefficients in steps of their bands, in a new array."""
    if step == 1:
        return coefficients.copy()
    found = np.empty_like(coefficients)
    for band, own in _steps(coefficients.shape, levels, step):
        part = _of(coefficients, band)
        magnitude = np.abs(part)
        magnitude += own * push[0] // push[1]
        magnitude //= own
        _of(found, band)[...] = np.where(part < 0, -magnitude, magnitude)
    return found


def restore(quantised: np.ndarray, levels: int, step: int) -> np.ndarray:
    """About the planes whose :func:`transform` these coefficients are; exactly with a step of 1."""
    found = quantised.copy()
    for band, own in _steps(found.shape, levels, step):
        part = _of(found, band)
        part[...] = np.sign(part) * (np.abs(part) * own + own // 8)
    digits = _digits(step)
    planes: np.ndarray = (_to_colour(inverse53(found, levels)) + (1 << digits >> 1)) >> digits
    return planes


def levels_for(height: int, width: int) -> int:
    """So many halvings that one value is left."""
    return min(MOST_LEVELS, (max(height, width) - 1).bit_length())


def _digits(step: int) -> int:
    """Binary digits behind the point of the planes."""
    return _FRACTION if step > 1 else 0


def _steps(shape: tuple[int, ...], levels: int, step: int) -> list[tuple[Band, int]]:
    """The step of each band, in the fractions of the planes; nothing where all are exact."""
    return [
        # A difference of colours is half as visible as luma.
        (band, (step if band.channel == 0 else 2 * step) * _STEPS_OF_LEVEL[band.kind][max(0, min(band.level, 5) - 1)])
        for band in (bands(shape[0], shape[1], shape[2], levels) if step > 1 else ())
    ]


def _of(planes: np.ndarray, band: Band) -> np.ndarray:
    view: np.ndarray = planes[band.channel, band.top : band.top + band.height, band.left : band.left + band.width]
    return view


def _to_luma(planes: np.ndarray) -> np.ndarray:
    """RGB to Y, Co, Cg, exactly invertible; other planes as they are."""
    made = planes.copy()
    if len(planes) >= 3:
        red, green, blue = planes[:3]
        orange = red - blue
        middle = blue + (orange >> 1)
        lime = green - middle
        made[:3] = middle + (lime >> 1), orange, lime
    return made


def _to_colour(planes: np.ndarray) -> np.ndarray:
    """The way back of :func:`_to_luma`."""
    if len(planes) >= 3:
        luma, orange, lime = planes[:3].copy()
        middle = luma - (lime >> 1)
        blue = middle - (orange >> 1)
        planes[:3] = blue + orange, lime + middle, blue
    return planes
