"""Rates that nobody measured, with a shape that is known: each codec a line in the plane of log bytes and likeness.

No tests here.
"""

from __future__ import annotations

from typing import Any

from panic_assets.codec.comparing import OURS, RIVALS, Row
from panic_assets.codec.rates import COMPARISONS, RATES, compare_experiment
from panic_assets.lake import Lake

PICTURES = 2


def row(codec: str, quality: int | None, size: float, decibels: float, container: float = 5.0) -> Row:
    """A setting whose likeness is so many decibels by every measure."""
    distance = 0.0 if quality is None else 10 ** (-decibels / 10)
    return Row(
        codec,
        quality,
        pictures=PICTURES,
        megapixels=0.004096,
        byte_size=size,
        payload_size=size - container,
        psnr=float("inf") if quality is None else decibels,
        ssim=1 - distance,
        ms_ssim=1 - distance,
        encode_ms=10.0,
        decode_ms=5.0,
        drift=distance,
        drift_p95=2 * distance,
    )


def curve(codec: str, factor: float = 1.0, steps: range = range(1, 8), slope: float = 1.0) -> list[Row]:
    """Bytes double with each step, or grow by ``2 ** slope``; 3 dB are gained by each."""
    return [row(codec, step, factor * 50 * 2 ** (slope * step), 20 + 3.0 * step) for step in steps]


def rates() -> list[Row]:
    """Ours at half the bytes of AVIF, a quarter of JPEG, more than WebP up to a point; one without loss."""
    rivals = dict(zip(RIVALS, (2.0, 1.5, 0.125, 4.0), strict=True))
    return [
        *curve(OURS),
        *(one for codec, factor in rivals.items() for one in curve(codec, factor, slope=1.5 if codec == "WebP" else 1)),
        row("WebP", None, 9000, 0),
        row(OURS, None, 9500, 0),
    ]


def told(one: Row, experiment: str) -> dict[str, Any]:
    """A row of the table."""
    return {
        "experiment": experiment,
        "setting": f"{one.codec} {one.quality or 'lossless'}",
        "codec": one.codec,
        "quality": one.quality,
        "pictures": one.pictures,
        "megapixels": one.megapixels,
        "bytes": one.byte_size,
        "container_bytes": one.byte_size - one.payload_size,
        "bpp": one.bits_per_pixel,
        "psnr": one.psnr,
        "ssim": one.ssim,
        "ms_ssim": one.ms_ssim,
        "drift": one.drift,
        "drift_p95": one.drift_p95,
        "embedding_model": "DummyVision",
        "encode_seconds": one.encode_ms / 1e3 / one.megapixels,
        "decode_seconds": one.decode_ms / 1e3 / one.megapixels,
    }


def fill(lake: Lake, experiment: str, why_not: str = "") -> None:
    """Both tables of an experiment, as if measured; without rows where ``why_not`` says why."""
    with lake.writer(RATES, experiment) as writer:
        writer.replace([] if why_not else [told(one, experiment) for one in rates()], {})
        for name, value in {"basis": "by hand", "why_not": why_not, "sampled": 0 if why_not else 2, "of": 40}.items():
            writer.set_property(name, value)
        writer.commit()
    compare_experiment(lake, experiment)
    assert lake.manifest(COMPARISONS, experiment) is not None
