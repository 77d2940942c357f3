"""The formats that pictures are stored in, on the pictures of the demo: bytes, likeness, processor time.

Run with ``python -m benchmarks.image_formats [--quick]``; the result is written to
``benchmarks/results/image_formats.md``. The demo's loops are run in a fresh lake without loss; then every format codes
the same pictures. It tells what they take on disk and is no judgement of codecs: most captions that come up in these
loops are of the kind that the codec's transform was trained on.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import RESULTS, machine, markdown_table, measure, versions, write_results
from panic_assets.devices.base import Call, Reply
from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.pictures import PictureShelf
from panic_assets.loop.planning import register, resolve_models
from panic_assets.models.base import Output
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import load_registry
from panic_assets.paths import project_dir

FORMATS = (
    *("webp-lossless", "png", "latent-lossless"),
    *(f"{kind}-{quality}" for kind in ("webp", "avif", "jpeg") for quality in (50, 80, 95)),
    *(f"{kind}-{quality}" for kind in ("latent", "vae") for quality in (1, 4, 8, 12, 14, 16)),
)
MOST = 200


class Listening(LocalDevice):
    """A device that remembers which latents pictures were drawn from, by the hashes of the pictures."""

    latents: dict[bytes, np.ndarray]

    def call(self, call: Call) -> Reply:
        """See :class:`panic_assets.devices.base.Device`."""
        reply = super().call(call)
        for output in reply.outputs:
            if isinstance(output, Output) and output.latents is not None:
                self.latents[images.pixel_hash(output.value)] = output.latents
        return reply


@dataclass(frozen=True)
class Sample:
    """At most so many pictures as MOST, uint8 (h, w, 3), spread over all ``count``, and what each was drawn from."""

    pictures: list[np.ndarray]
    latents: list[np.ndarray]
    count: int


def demo_pictures(steps: int) -> Sample:
    """Run the demo's loops, so many steps long."""
    demo = Experiment.load(project_dir() / "data" / "experiments" / "demo.yaml")
    demo = demo.model_copy(update={"max_length": steps})
    models = resolve_models(demo, load_registry())
    with tempfile.TemporaryDirectory() as folder, ModelPool() as pool:
        lake = Lake(Path(folder))
        device = Listening(pool)
        device.latents = {}
        run_experiment(lake, demo, register(lake, demo, models), models, [device])
        shelf = PictureShelf(lake, demo.name)
        hashes = shelf.in_order(shelf)
        chosen = [hashes[place * len(hashes) // MOST] for place in range(MOST)] if len(hashes) > MOST else hashes
        pictures = shelf.load(chosen)
        return Sample(list(pictures.values()), [device.latents[name] for name in pictures], len(hashes))


def row(image_format: str, sample: Sample) -> tuple[object, ...]:
    """A line of the table."""
    pictures, given = sample.pictures, list(zip(sample.pictures, sample.latents, strict=True))
    images.decode(images.encode(pictures[0], image_format, given[0][1]))  # opens what is opened once
    contents, encoding = measure(lambda: [images.encode(picture, image_format, own) for picture, own in given])
    decoded, decoding = measure(lambda: [images.decode(content) for content in contents])
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(pictures, decoded, strict=True)]
    psnr = f"{10 * np.log10(255**2 / np.mean(errors)):.1f}" if np.any(errors) else "exact"
    size = float(np.mean([len(content) for content in contents]))
    raw = float(np.mean([picture.nbytes for picture in pictures]))
    costs = (1e3 * cost.cpu_seconds / len(pictures) for cost in (encoding, decoding))
    return (image_format, f"{size:.0f}", f"{raw / size:.1f}", psnr, *(f"{cost:.1f}" for cost in costs))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 steps instead of 40")
    sample = demo_pictures(8 if parser.parse_args(argv).quick else 40)
    with threadpool_limits(1):  # threads of BLAS that wait count as processor time
        rows = [row(image_format, sample) for image_format in FORMATS]
    height, width, _ = sample.pictures[0].shape
    head = ("image_format", "bytes", "times smaller than raw", "PSNR, dB", "encode, ms", "decode, ms")
    write_results(
        RESULTS / "image_formats.md",
        "Formats of pictures in the lake",
        [
            f"{machine()}; {versions('pillow', 'onnxruntime', 'constriction')}.",
            f"{len(sample.pictures)} of the {sample.count} pictures of the demo, {width} x {height}, each "
            f"{3 * height * width:,} bytes raw. Bytes are means of whole files, their containers included; PSNR is of "
            "the mean error; times are of the processor, for one picture. Each `vae-Q` codes the latents that the "
            "picture was drawn from, as the engine does; the others know its pixels alone. This is what the pictures "
            "take on disk, no judgement of codecs: most captions that come up in these loops are of the kind that the "
            "codec's transform was trained on.",
            markdown_table(head, rows),
        ],
    )


if __name__ == "__main__":
    main()
