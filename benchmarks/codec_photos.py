"""Where the codec wins and where it loses: on pictures that it was made for and on photos.

Run with ``python -m benchmarks.codec_photos [--quick]``; the result goes to ``benchmarks/results/codec_photos.md``, and
its first tables into docs/codec.md between two marks. No picture was trained or tuned on: what the bundled pipeline
paints and what is drawn are of captions of the split ``test``, and the photos are those of scikit-learn, whole.
Sizes are those of whole files that the codec's users get. Times are of the processor, and are not the point here.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, machine, markdown_table, versions, write_results
from panic_assets.codec import comparing
from panic_assets.codec.comparing import FEW, OURS, Row
from panic_assets.codec.drift import DEFAULT_EMBEDDER, Drift
from panic_assets.codec.training import images
from panic_assets.codec.verdicts import MEASURES, Verdict, verdicts, without_loss
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets.paths import project_dir

GUIDE = project_dir() / "docs" / "codec.md"
BEGIN, END = "<!-- measured by benchmarks/codec_photos.py -->", "<!-- end of what was measured -->"
_SEED = 3_000
_QUALITIES = ((1, 2, 3, 4, 6, 9, 12, 16), (5, 20, 40, 60, 80, 92, 97))
_EVALUATION = project_dir() / "data" / "models" / "latent-codec" / "evaluation.json"
_SCALES = {"ms_ssim_db": "MS-SSIM", "drift_db": "drift", "psnr_db": "PSNR"}


def photos(count: int) -> list[np.ndarray]:
    """The photos that scikit-learn ships, uint8 (427, 640, 3)."""
    from sklearn.datasets import load_sample_images

    return [np.ascontiguousarray(photo) for photo in load_sample_images().images][:count]


SETS: dict[str, tuple[int, Callable[[int], Sequence[np.ndarray]]]] = {
    "painted, 64 x 64": (16, lambda count: images.generated("test", "TinyScenes", 64, count, _SEED)),
    "painted, 256 x 256": (6, lambda count: images.generated("test", "TinyScenes", 256, count, _SEED + 1)),
    "drawn, 256 x 256": (6, lambda count: images.drawn("test", 256, count, _SEED + 2)),
    "photos, 640 x 427": (2, photos),
}
"""How many pictures, and what makes them."""


def measured(pictures: Sequence[np.ndarray], model: Any, qualities: tuple[Sequence[int], Sequence[int]]) -> list[Row]:
    """Every codec on some pictures."""
    drift = Drift(lambda shown: model.embed(shown, "image"), list(pictures))
    return comparing.measure_all(comparing.settings(qualities=qualities), list(pictures), drift)


def summary(found: dict[str, tuple[int, list[Row]]]) -> str:
    """Mean differences in bytes at equal likeness, files and in brackets payload."""
    head = ("pictures", "against", *(f"equal {measure.title}" for measure in MEASURES))
    rows = []
    for name, (count, measures) in found.items():
        told = {(one.against, one.measure, one.counted): one for one in verdicts(measures)}
        for rival in comparing.RIVALS:
            cells = [
                _cell(*(told[rival, measure.name, counted] for counted in ("files", "payload"))) for measure in MEASURES
            ]
            rows.append((f"{count} {name}" if rival == "AVIF" else "", rival, *cells))
    return markdown_table(head, rows)


def _cell(files: Verdict, payload: Verdict) -> str:
    return _percents({"file_bytes": files.change, "payload_bytes": payload.change})


def of_the_transform() -> str:
    """What the model's own evaluation found of its levels alone, without the layers that files add."""
    results = json.loads(_EVALUATION.read_text(encoding="utf-8"))["results"]
    rows = [
        (f"{result['pictures']} {name}" if not place else "", rival, *(_percents(rates[scale]) for scale in _SCALES))
        for name, result in results.items()
        for place, (rival, rates) in enumerate(result["bd_rate"].items())
    ]
    return markdown_table(("pictures", "against", *(f"equal {title}" for title in _SCALES.values())), rows)


def _percents(sizes: dict[str, float | None]) -> str:
    files, payload = sizes["file_bytes"], sizes["payload_bytes"]
    if files is None or payload is None:
        return "none in common"
    told = f"{100 * files:+.0f} % ({100 * payload:+.0f} %)"
    return f"**{told}**" if files > 0 else told


def losses(found: dict[str, tuple[int, list[Row]]]) -> str:
    """A sentence for each comparison with AVIF and WebP in which ours loses somewhere, by pictures."""
    lines = []
    for name, (_, rows) in found.items():
        said = [
            one.sentence
            for one in verdicts(rows)
            if one.counted == "files" and one.against in ("AVIF", "AVIF 4:4:4", "WebP") and (one.lost_share or 0) > 0
        ]
        lines += [f"{name[:1].upper()}{name[1:]}:", ""]
        lines += [f"- {sentence}" for sentence in said] or ["- Against AVIF, AVIF 4:4:4 and WebP it loses nowhere."]
        lines += [f"- {without_loss(rows)}", ""]
    return "\n".join(lines).rstrip()


def every_number(name: str, rows: Sequence[Row]) -> str:
    """All settings on one set of pictures."""
    sizes, times = ("bytes", "container", "bits/pixel"), ("encode s/MP", "decode s/MP")
    head = ("codec", "quality", *sizes, "PSNR", "SSIM", "MS-SSIM", "drift", *times)
    lines = [
        (
            row.codec,
            "lossless" if row.quality is None else row.quality,
            f"{row.byte_size:,.0f}",
            f"{row.byte_size - row.payload_size:,.0f}",
            row.bits_per_pixel,
            *(("exact", "", "", "") if row.psnr == float("inf") else _likeness(row)),
            row.encode_ms / 1e3 / row.megapixels,
            row.decode_ms / 1e3 / row.megapixels,
        )
        for row in rows
    ]
    return f"## {name[:1].upper()}{name[1:]}\n\n" + markdown_table(head, lines)


def _likeness(row: Row) -> tuple[str, ...]:
    return f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.ms_ssim:.4f}", f"{row.drift:.1e}"


def put_into_guide(text: str, guide: Path = GUIDE) -> None:
    """Replace what stands between the marks of the guide."""
    before = guide.read_text(encoding="utf-8")
    assert before.count(BEGIN) == before.count(END) == 1, f"{guide} has lost its marks"
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    guide.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n\n{END}", before), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small sample, to see that it runs; the guide stays")
    parser.add_argument("--output", type=Path, default=RESULTS / "codec_photos.md")
    options = parser.parse_args(argv)
    found: dict[str, tuple[int, list[Row]]] = {}
    with ModelPool("cpu") as pool:
        model = pool.get(load_registry()[DEFAULT_EMBEDDER])
        for name, (count, make) in SETS.items():
            pictures = make(1 if options.quick else count)
            found[name] = len(pictures), measured(pictures, model, FEW if options.quick else _QUALITIES)
            print(f"measured {len(pictures)} {name}", flush=True)
    first = (
        f"Bytes that `{OURS}` needs more (+) or fewer at equal likeness, of whole files and, in brackets, without "
        "containers; where it needs more is bold.\n\n" + summary(found)
    )
    head = f"{machine()}; {versions('pillow', 'onnxruntime')}. Drift is that of {DEFAULT_EMBEDDER}."
    alone = (
        "The transform's levels alone, as evaluated when it was trained, on pictures of the same split "
        "(data/models/latent-codec/evaluation.json):\n\n" + of_the_transform()
    )
    sections = [first, losses(found), alone, *(every_number(name, rows) for name, (_, rows) in found.items())]
    write_results(options.output, "Codecs on pictures of this world and on photos", [head, *sections])
    if not options.quick:
        put_into_guide(f"{first}\n\n{losses(found)}\n\n{alone}")
    print(first)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
