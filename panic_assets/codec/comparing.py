"""Several codecs on the same pictures: bytes, likeness, seconds.

Here belong the settings that are tried and the measuring. What the numbers come to belongs to ``verdicts``, what is
kept of an experiment's pictures to ``rates``; printing belongs to the command.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from panic_assets.codec import api, metrics
from panic_assets.codec.containers import payload_bytes
from panic_assets.codec.drift import Drift

OURS = "latent"
#: Rivals as Pillow writes them, with what they are told. AVIF halves the resolution of colours unless told otherwise.
RIVALS: dict[str, dict[str, Any]] = {
    "AVIF": {"form": "AVIF"},
    "AVIF 4:4:4": {"form": "AVIF", "subsampling": "4:4:4"},
    "WebP": {"form": "WebP"},
    "JPEG": {"form": "JPEG"},
}
FEW = ((1, 4, 7, 10, 13, 16), (10, 30, 50, 70, 90))
"""Qualities of ours and of the rivals for a look at a few pictures."""
MANY = ((1, 2, 3, 4, 5, 7, 10, 13, 16), (5, 15, 30, 45, 60, 75, 85, 92, 97))
"""Those for curves; the first of ours lie farthest apart."""


@dataclass(frozen=True)
class Setting:
    """A codec at one quality, None for without loss: bytes of a picture, and the picture of bytes."""

    codec: str
    quality: int | None
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes], np.ndarray]

    @property
    def name(self) -> str:
        """Such as ``AVIF 50`` or ``WebP lossless``."""
        return f"{self.codec} {'lossless' if self.quality is None else self.quality}"


@dataclass(frozen=True)
class Row:
    """Means over all pictures of one setting; ``quality`` None is lossless.

    ``payload_size`` are bytes without the container's (see ``containers``). ``psnr`` is in decibels, of the mean error,
    infinite for equal pictures. ``drift`` is the mean distance that pictures move in an embedding space (1 - cosine),
    ``drift_p95`` what one in twenty exceeds; None where nothing embeds. Times are of the processor, all threads
    together.
    """

    codec: str
    quality: int | None
    pictures: int
    megapixels: float
    byte_size: float
    payload_size: float
    psnr: float
    ssim: float
    ms_ssim: float
    encode_ms: float
    decode_ms: float
    drift: float | None = None
    drift_p95: float | None = None

    @property
    def bits_per_pixel(self) -> float:
        """Of whole files."""
        return 8e-6 * self.byte_size / self.megapixels


def settings(model: Any = api.DEFAULT_MODEL, qualities: tuple[Sequence[int], Sequence[int]] = FEW) -> list[Setting]:
    """Ours by ``model``, the rivals as Pillow writes them by default, and what loses nothing.

    ``qualities``: of ours, and of each rival.
    """
    decompress = partial(api.decompress, model=None if model == api.DEFAULT_MODEL else model)
    ours = [
        Setting(OURS, quality, partial(api.compress, model=model, quality=quality), decompress)
        for quality in qualities[0]
    ]
    rivals = [
        Setting(rival, quality, partial(_by_pillow, quality=quality, **told), _opened)
        for rival, told in RIVALS.items()
        for quality in qualities[1]
    ]
    lossless = [
        Setting(OURS, None, partial(api.compress, lossless=True), api.decompress),
        Setting("WebP", None, partial(_by_pillow, form="WebP", lossless=True, exact=True), _opened),
        Setting("PNG", None, partial(_by_pillow, form="PNG"), _opened),
    ]
    return [*ours, *rivals, *lossless]


def measure_all(
    tried: Sequence[Setting],
    pictures: Sequence[np.ndarray],
    drift: Drift | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """Every setting on pictures, uint8 (h, w, 3); ``tell`` hears of (settings done, settings in all).

    Raises: whatever a codec does.
    """
    from threadpoolctl import threadpool_limits

    # Threads of BLAS that wait for small products count as processor time, and do nothing.
    with threadpool_limits(1):
        return list(_measured_in_turn(tried, pictures, drift, tell))


def measure(setting: Setting, pictures: Iterable[np.ndarray], drift: Drift | None = None) -> Row:
    """One setting on pictures, uint8 (h, w, 3); ``drift`` is of the same pictures. Raises: whatever the codec does."""
    columns, copies = [], []
    for picture in pictures:
        numbers, decoded = _measured(setting, picture)
        columns.append(numbers)
        if drift is not None:
            copies.append(decoded)
    size, payload, pixels, error, ssim, ms_ssim, encoding, decoding = np.array(columns, np.float64).T
    moved = None if drift is None else drift.of(copies)
    return Row(
        setting.codec,
        setting.quality,
        pictures=len(columns),
        megapixels=float(pixels.mean() / 1e6),
        byte_size=float(size.mean()),
        payload_size=float(payload.mean()),
        psnr=10 * float(np.log10(255**2 / error.mean())) if error.any() else float("inf"),
        ssim=float(ssim.mean()),
        ms_ssim=float(ms_ssim.mean()),
        encode_ms=float(encoding.mean() * 1e3),
        decode_ms=float(decoding.mean() * 1e3),
        drift=None if moved is None else float(moved.mean()),
        drift_p95=None if moved is None else float(np.quantile(moved, 0.95)),
    )


def _measured_in_turn(
    tried: Sequence[Setting], pictures: Sequence[np.ndarray], drift: Drift | None, tell: Callable[[int, int], None]
) -> Iterator[Row]:
    warm: set[str] = set()
    for done, setting in enumerate(tried):
        tell(done, len(tried))
        if setting.codec not in warm:  # what is loaded at the first call is not the codec's time
            setting.decode(setting.encode(pictures[0]))
            warm.add(setting.codec)
        yield measure(setting, pictures, drift)
    tell(len(tried), len(tried))


def _measured(setting: Setting, picture: np.ndarray) -> tuple[tuple[float, ...], np.ndarray]:
    start = time.process_time()
    data = setting.encode(picture)
    between = time.process_time()
    decoded = setting.decode(data)
    end = time.process_time()
    likeness = metrics.mse(picture, decoded), metrics.ssim(picture, decoded), metrics.ms_ssim(picture, decoded)
    sizes = len(data), payload_bytes(data), picture.shape[0] * picture.shape[1]
    return (*sizes, *likeness, between - start, end - between), decoded


def _by_pillow(picture: np.ndarray, form: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()


def _opened(data: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))
