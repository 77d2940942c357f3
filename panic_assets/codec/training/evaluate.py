"""How the codec compares with AVIF and WebP on a split's pictures, by bytes of real files and streams.

Here belong the measuring and the table; the measures themselves are in :mod:`panic_assets.codec.metrics` and
:mod:`panic_assets.codec.bd_rate`. ``validation`` may guide the recipe, ``test`` is for the last word.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from panic_assets.codec import metrics
from panic_assets.codec.bd_rate import NoCommonQuality, bd_rate
from panic_assets.codec.containers import payload_bytes
from panic_assets.codec.latent import LearnedModel
from panic_assets.codec.training import images
from panic_assets.codec.training.transform import LEVELS
from panic_assets.models.bundled.contrast import image_vectors
from panic_assets.paths import project_dir

HEADER = 16
"""Bytes that a stream's own header is taken to cost, beside its symbols."""

QUALITIES = (3, 8, 15, 22, 30, 38, 46, 54, 62, 70, 78, 86, 94)
MEASURES = ("ms_ssim_db", "drift_db", "psnr_db")

# What a codec makes of a picture: bytes of the whole file, bytes of its payload, the decoded picture.
Coded = tuple[int, int, np.ndarray]
Codec = Callable[[np.ndarray], Coded]


class Shipped:
    """The exported model in a folder."""

    def __init__(self, folder: Path) -> None:
        self._model = LearnedModel(folder, torch.get_num_threads())

    def at_all_levels(self) -> list[Codec]:
        """The codec at each of its levels."""
        return [partial(self.code, level=level) for level in range(LEVELS)]

    def code(self, picture: np.ndarray, level: int) -> Coded:
        """Encode, decode from the bytes alone, and measure; ``picture`` is uint8 (h, w, 3)."""
        data, draw = self._model.encode(picture[None], level)[0]
        decoded = self._model.decode([data], picture.shape[0], picture.shape[1], level)[0]
        assert np.array_equal(decoded, draw()), "a stream must decode to what its encoder knew"
        return len(data) + HEADER, len(data), decoded


def by_pillow(picture: np.ndarray, form: str, quality: int, **options: Any) -> Coded:
    """What Pillow's encoder of a form makes of a picture; of AVIF, the payload is the media data alone."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, quality=quality, **options)
    data = file.getvalue()
    decoded = np.asarray(Image.open(file).convert("RGB"))
    return len(data), payload_bytes(data) if form == "AVIF" else len(data), decoded


def at_qualities(form: str, **options: Any) -> list[Codec]:
    """Pillow's encoder of a form at each of QUALITIES."""
    return [partial(by_pillow, form=form, quality=quality, **options) for quality in QUALITIES]


def curve(pictures: Sequence[np.ndarray], codecs: Sequence[Codec]) -> list[dict[str, float]]:
    """Means over the pictures for each setting of a codec: bytes, and the measures."""
    drift = _Drift()
    points = []
    for codec in codecs:
        coded = [codec(picture) for picture in pictures]
        pairs = [(picture, decoded) for picture, (_, _, decoded) in zip(pictures, coded, strict=True)]
        likeness = float(np.mean([metrics.ms_ssim(a, b) for a, b in pairs]))
        error = float(np.mean([metrics.mse(a, b) for a, b in pairs]))
        moved = float(np.mean([drift(a, b) for a, b in pairs]))
        points.append(
            {
                "file_bytes": float(np.mean([whole for whole, _, _ in coded])),
                "payload_bytes": float(np.mean([payload for _, payload, _ in coded])),
                "ms_ssim": likeness,
                "drift": moved,
                "ms_ssim_db": -10 * float(np.log10(1 - likeness)),
                "drift_db": -10 * float(np.log10(max(moved, 1e-12))),
                "psnr_db": 10 * float(np.log10(255**2 / error)),
            }
        )
    return points


def compare(folder: Path, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Curves of the model in ``folder``, of AVIF and of WebP, and BD-rates of the model against each.

    MS-SSIM and drift are compared on their decibel scales: on their own, all that matters is crowded near 1 and 0.
    """
    curves = {"latent": curve(pictures, Shipped(folder).at_all_levels())}
    rivals: dict[str, dict[str, Any]] = {
        "AVIF": {"form": "AVIF"},
        "AVIF 4:4:4": {"form": "AVIF", "subsampling": "4:4:4"},
        "WebP": {"form": "WEBP"},
    }
    for name, options in rivals.items():
        curves[name] = curve(pictures, at_qualities(**options))
    rates = {
        name: {
            measure: {
                size: _rate(curves["latent"], curves[name], measure, size) for size in ("file_bytes", "payload_bytes")
            }
            for measure in MEASURES
        }
        for name in rivals
    }
    return {"pictures": len(pictures), "bd_rate": rates, "curves": curves}


def judged(split: str) -> dict[str, np.ndarray]:
    """The pictures of a split by name; none of them, and none of their captions, is in another split."""
    seed = 1 + images.SPLITS.index(split)
    return {
        "generated at 64": images.generated(split, "TinyScenes", 64, 64, 900 * seed),
        "generated at 256": images.generated(split, "TinyScenes", 256, 16, 901 * seed),
        "drawn at 256": images.drawn(split, 256, 16, 902 * seed),
    }


def evaluate(folder: Path, split: str, path: Path) -> dict[str, Any]:
    """Compare on all pictures of a split, print the BD-rates and write everything as JSON."""
    results = {name: compare(folder, list(pictures)) for name, pictures in judged(split).items()}
    path.write_text(json.dumps({"split": split, "header_bytes": HEADER, "results": results}, indent=1) + "\n")
    for name, result in results.items():
        for rival, measures in result["bd_rate"].items():
            told = ", ".join(
                f"{measure} {_percent(sizes['file_bytes'])} (payload {_percent(sizes['payload_bytes'])})"
                for measure, sizes in measures.items()
            )
            print(f"{name}, against {rival}: {told}")
    return results


def _percent(rate: float | None) -> str:
    return "no common range" if rate is None else f"{rate:+.1%}"


def _rate(ours: list[dict[str, float]], theirs: list[dict[str, float]], measure: str, size: str) -> float | None:
    try:
        return bd_rate(*([point[key] for point in points] for points in (ours, theirs) for key in (size, measure)))
    except NoCommonQuality:
        return None


class _Drift:
    """One minus the cosine between a picture's and its copy's embeddings by the bundled CLIP."""

    def __init__(self) -> None:
        from transformers import CLIPModel

        folder = project_dir() / "data" / "models" / "tiny-clip"
        self._model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.no_grad()
    def __call__(self, original: np.ndarray, decoded: np.ndarray) -> float:
        planes = torch.stack([self._seen(picture) for picture in (original, decoded)])
        a, b = image_vectors(self._model, planes).double()
        return float(1 - (a @ b) / (a.norm() * b.norm()))

    @staticmethod
    def _seen(picture: np.ndarray) -> torch.Tensor:
        """As the model's image processor shows it: the smaller side scaled to 64, the middle cut out."""
        scale = 64 / min(picture.shape[:2])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        small = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - 64) // 2, (size[1] - 64) // 2
        cut = np.asarray(small.crop((left, top, left + 64, top + 64)), np.float32)
        return torch.from_numpy(cut.transpose(2, 0, 1) / 127.5 - 1)
