"""Several codecs on the same pictures: bytes, likeness, seconds.

Here belong the settings that are tried, the measuring, and the rates at equal quality. What is measured for an
experiment of the lake, and kept there, belongs to its assets; printing belongs to the command.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from panic_assets.codec import api, metrics
from panic_assets.codec.bd_rate import NoCommonQuality, bd_rate

OURS = "latent"
RIVALS = ("AVIF", "WebP", "JPEG")
_QUALITIES = (10, 30, 50, 70, 90)
_OUR_QUALITIES = (1, 4, 7, 10, 13, 16)
_BEST = 100.0  # dB: what pictures that differ in next to nothing count as


@dataclass(frozen=True)
class Setting:
    """A codec at one quality: bytes of a picture, and the picture of bytes."""

    codec: str
    quality: int | None
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes], np.ndarray]


@dataclass(frozen=True)
class Row:
    """Means over all pictures of one setting; ``quality`` None is lossless.

    ``psnr`` and ``ms_ssim_db`` in decibels, both of the mean error; infinite for equal pictures. Times are those of one
    thread that does other work as well: compare them with each other alone.
    """

    codec: str
    quality: int | None
    byte_size: float
    bits_per_pixel: float
    psnr: float
    ssim: float
    ms_ssim: float
    encode_ms: float
    decode_ms: float

    @property
    def ms_ssim_db(self) -> float:
        """MS-SSIM on a scale on which values near 1 stand apart."""
        return _BEST if self.ms_ssim >= 1 else min(-10 * float(np.log10(1 - self.ms_ssim)), _BEST)


@dataclass(frozen=True)
class Rate:
    """How many more (or, below 0, fewer) bytes than a rival ours needs at equal quality; None without a common one."""

    against: str
    measure: str
    change: float | None


def settings(model: Any = api.DEFAULT_MODEL) -> list[Setting]:
    """Ours by ``model``, AVIF, WebP and JPEG as Pillow writes them by default, and what loses nothing."""
    decompress = partial(api.decompress, model=None if model == api.DEFAULT_MODEL else model)
    ours = [
        Setting(OURS, quality, partial(api.compress, model=model, quality=quality), decompress)
        for quality in _OUR_QUALITIES
    ]
    rivals = [
        Setting(rival, quality, partial(_by_pillow, form=rival, quality=quality), _opened)
        for rival in RIVALS
        for quality in _QUALITIES
    ]
    lossless = [
        Setting(OURS, None, partial(api.compress, lossless=True), api.decompress),
        Setting("WebP", None, partial(_by_pillow, form="WebP", lossless=True, exact=True), _opened),
        Setting("PNG", None, partial(_by_pillow, form="PNG"), _opened),
    ]
    return [*ours, *rivals, *lossless]


def measure(setting: Setting, pictures: Iterable[np.ndarray]) -> Row:
    """One setting on pictures, uint8 (h, w, 3). Raises: whatever the codec does."""
    columns = [_measured(setting, picture) for picture in pictures]
    size, pixels, error, ssim, ms_ssim, encoding, decoding = np.array(columns, np.float64).T
    psnr = 10 * float(np.log10(255**2 / error.mean())) if error.any() else float("inf")
    return Row(
        setting.codec,
        setting.quality,
        byte_size=float(size.mean()),
        bits_per_pixel=float(8 * size.sum() / pixels.sum()),
        psnr=psnr,
        ssim=float(ssim.mean()),
        ms_ssim=float(ms_ssim.mean()),
        encode_ms=float(encoding.mean() * 1e3),
        decode_ms=float(decoding.mean() * 1e3),
    )


def rates(rows: Sequence[Row]) -> list[Rate]:
    """BD-rates of ours against each rival that was measured, at equal PSNR and MS-SSIM; lossless rows aside."""
    lossy = [row for row in rows if row.quality is not None]
    by_codec = {codec: [row for row in lossy if row.codec == codec] for codec in (OURS, *RIVALS)}
    scales: dict[str, Callable[[Row], float]] = {
        "psnr": lambda row: min(row.psnr, _BEST),
        "ms_ssim": lambda row: row.ms_ssim_db,
    }
    found = []
    for rival in RIVALS:
        for name, scale in scales.items():
            curves = [
                ([row.bits_per_pixel for row in rows], [scale(row) for row in rows])
                for rows in (by_codec[OURS], by_codec[rival])
            ]
            try:
                change = bd_rate(*curves[0], *curves[1])
            except NoCommonQuality:
                change = None
            found.append(Rate(rival, name, change))
    return found


def _measured(setting: Setting, picture: np.ndarray) -> tuple[float, ...]:
    start = time.perf_counter()
    data = setting.encode(picture)
    between = time.perf_counter()
    decoded = setting.decode(data)
    end = time.perf_counter()
    likeness = metrics.mse(picture, decoded), metrics.ssim(picture, decoded), metrics.ms_ssim(picture, decoded)
    return (len(data), picture.shape[0] * picture.shape[1], *likeness, between - start, end - between)


def _by_pillow(picture: np.ndarray, form: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()


def _opened(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))
