"""What entities can hold: pictures, latents, coefficients, symbols, bytes.

Here belong the forms of data that systems hand to each other, and the checks that no system need repeat. Components
never change: a system adds new ones. Tensors lie in the arena of their world.

>>> from panic_assets.codec.core.arena import Arena
>>> arena = Arena(1 << 10)
>>> RGB(pix=arena.alloc((4, 6, 3), "uint8")).size
(4, 6)
>>> RGB(pix=arena.alloc((4, 6, 3), "float32"))
Traceback (most recent call last):
...
pydantic_core._pydantic_core.ValidationError: 1 validation error for RGB
pix
  Value error, (4, 6, 3) float32; pictures are uint8 (h, w), (h, w, 3) or (h, w, 4) of at least one pixel ...
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, model_validator

from panic_assets.codec.core.arena import TensorRef

BandKind = Literal["LL", "LH", "HL", "HH"]
"""Low or high frequencies, down the columns first, then along the rows."""

Wavelet = Literal["cdf53", "haar"]

CoefficientType = Literal["float32", "int32"]


class Component(BaseModel):
    """The one base of all components: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _fits(rule: str, is_fit: Callable[[TensorRef], bool]) -> AfterValidator:
    """A check of a tensor's shape and type that says the rule where it is broken."""

    def check(ref: TensorRef) -> TensorRef:
        if not is_fit(ref):
            raise ValueError(f"{ref.shape} {ref.dtype}; {rule}")
        return ref

    return AfterValidator(check)


PICTURE_RULE = "pictures are uint8 (h, w), (h, w, 3) or (h, w, 4) of at least one pixel"


def is_picture(tensor: TensorRef | np.ndarray) -> bool:
    """Whether shape and type are those of a picture, as in ``PICTURE_RULE``."""
    has_form = len(tensor.shape) == 2 or (len(tensor.shape) == 3 and tensor.shape[2] in (3, 4))
    return tensor.dtype == np.uint8 and has_form and 0 not in tensor.shape


Tensor = InstanceOf[TensorRef]
Pixels = Annotated[Tensor, _fits(PICTURE_RULE, is_picture)]
"""Grey, colours, or colours and opacity, always in 0..255: no system has to guess a range."""

Planes = Annotated[
    Tensor,
    _fits(
        "planes are float16, float32, float64 or int32 (channels, h, w)",
        lambda ref: len(ref.shape) == 3 and ref.dtype.name in ("float16", "float32", "float64", "int32"),
    ),
]
SymbolData = Annotated[Tensor, _fits("symbols are int8 or int32", lambda ref: ref.dtype.name in ("int8", "int32"))]
Bytes = Annotated[Tensor, _fits("bytes are uint8 (n,)", lambda ref: len(ref.shape) == 1 and ref.dtype == np.uint8)]
Differences = Annotated[
    Tensor,
    _fits(
        "differences are int16 (h, w), (h, w, 3) or (h, w, 4)",
        lambda ref: ref.dtype == np.int16 and len(ref.shape) in (2, 3),
    ),
]


class Picture(Component):
    """Pixels in ``colorspace``; only pictures of one colour space can be compared or subtracted."""

    pix: Pixels
    colorspace: Literal["sRGB", "linear"] = "sRGB"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pix.shape[0], self.pix.shape[1]


class RGB(Picture):
    """The picture that came in."""


class ReconRGB(Picture):
    """The picture that a decoder makes."""


class BlurRGB(Picture):
    """A picture softened by a Gaussian with standard deviation ``sigma`` in pixels."""

    sigma: Annotated[float, Field(gt=0)]


class Latent(Component):
    """What a VAE's encoder gives: (channels, h, w), any number of channels."""

    z: Planes


class Channels(Component):
    """Planes after a transform across channels: (channels, h, w)."""

    t: Planes


Latent4, YUVW4 = Latent, Channels
"""The same under the names that four channels have elsewhere."""


@dataclass(frozen=True, slots=True)
class Band:
    """A rectangle of one channel's coefficients with frequencies of one kind; level 1 is the finest."""

    channel: int
    level: int
    kind: BandKind
    top: int
    left: int
    height: int
    width: int


class _Banded(Component):
    """Something in the layout of a wavelet transform: the bands lie side by side in the place of the planes."""

    bands: tuple[InstanceOf[Band], ...] = ()
    wavelet: Wavelet = "cdf53"

    @property
    def levels(self) -> int:
        """How often the planes were halved."""
        return max((band.level for band in self.bands), default=0)


def _check_cover(bands: tuple[Band, ...], shape: tuple[int, ...]) -> None:
    """Raises: ``ValueError`` where bands do not cover planes of this shape."""
    if len(shape) != 3:
        raise ValueError(f"bands of shape {shape}; only planes (channels, h, w) have them")
    channels, height, width = shape
    for band in bands:
        is_inside = 0 <= band.channel < channels and min(band.top, band.left, band.height, band.width) >= 0
        if not is_inside or band.top + band.height > height or band.left + band.width > width:
            raise ValueError(f"{band} is not inside coefficients {shape}")
    covered = sum(band.height * band.width for band in bands)
    if covered != math.prod(shape):
        raise ValueError(f"bands cover {covered} coefficients of {shape}")


class WaveletPyramid(_Banded):
    """Coefficients (channels, h, w), float32 or int32, that ``bands`` cover."""

    coefficients: Planes

    @model_validator(mode="after")
    def _are_covered(self) -> WaveletPyramid:
        _check_cover(self.bands, self.coefficients.shape)
        return self


class QuantParams(Component):
    """How coefficients became integers.

    Args:
        steps: distance between neighbouring values, for each band in order.
        dead_zone: half the width of the bin around zero in steps: 0.5 rounds, 1 truncates.
        offset: how far below the middle of their bin magnitudes are set by the decoder, in steps.
        quality: 1 to 16 where the steps were derived from one.
    """

    steps: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    dead_zone: Annotated[float, Field(ge=0.5, le=1.5)] = 0.5
    offset: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    quality: Annotated[int, Field(ge=1, le=16)] | None = None


class Symbols(_Banded):
    """Integers in the layout of the coefficients they stand for, and all that is needed to return to those.

    ``coefficients``: the type that those have; with int32, the way back goes by whole numbers alone.
    """

    data: SymbolData
    params: QuantParams
    coefficients: CoefficientType = "float32"

    @model_validator(mode="after")
    def _are_covered(self) -> Symbols:
        if self.bands:
            _check_cover(self.bands, self.data.shape)
        return self


class Bitstream(_Banded):
    """Entropy-coded symbols with all that a decoder needs: nothing of the encoder's other components.

    Args:
        data: the coded bytes.
        n_symbols: how many symbols they hold.
        tables: the frequency tables, written as bytes.
        of_bands: the number of the table of each band; of one table, where there are no bands.
        shape: that of the symbols.
        params: how symbols become coefficients, where they were quantised here.
        coefficients: as of the symbols.
        picture: the shape of the picture that all this is of, where it is known: a decoder cuts to it.
    """

    data: Bytes
    n_symbols: Annotated[int, Field(ge=0)]
    tables: bytes
    of_bands: tuple[Annotated[int, Field(ge=0, lt=64)], ...] = ()
    shape: tuple[Annotated[int, Field(ge=0)], ...] = ()
    params: QuantParams | None = None
    coefficients: CoefficientType = "float32"
    picture: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=3)] = ()

    @model_validator(mode="after")
    def _counts_agree(self) -> Bitstream:
        if self.shape and math.prod(self.shape) != self.n_symbols:
            raise ValueError(f"n_symbols {self.n_symbols} are not those of shape {self.shape}")
        if self.of_bands and len(self.of_bands) != max(len(self.bands), 1):
            raise ValueError(f"of_bands has {len(self.of_bands)} tables for {len(self.bands)} bands")
        if self.bands:
            _check_cover(self.bands, self.shape)
        return self


class Residual(Component):
    """What a picture lacks to be its original, in units of ``scale`` 8-bit values: with scale 1 nothing is lost."""

    tensor: Differences
    scale: Annotated[float, Field(ge=1)] = 1.0
