"""The tables of codecs: what storing an experiment's pictures would cost in each, in bytes and in likeness.

Here belong declarations alone. They are partitioned by experiment and hold only what was asked for by ``panic codec
report``; an experiment without rows was not looked at, or has no pictures that could serve as originals.
"""

from __future__ import annotations

import pyarrow as pa

from panic_assets.lake.specs import EXPERIMENT, TableSpec, number, text

CODEC_TABLES = (
    TableSpec(
        "codec_rates",
        "Codecs at several qualities on a sample of an experiment's pictures; all numbers are means over it.",
        (
            EXPERIMENT,
            text("setting", "Codec and quality, such as AVIF 50 or WebP lossless."),
            text("codec", "latent (this project's own), AVIF, AVIF 4:4:4, WebP, JPEG or PNG, as Pillow writes them."),
            number("quality", pa.int32(), "The codec's own quality; null: without loss.", nullable=True),
            number("pictures", pa.int32(), "Pictures of the sample, all stored without loss.", "pictures"),
            number("megapixels", pa.float64(), "Size of a picture.", "million pixels"),
            number("bytes", pa.float64(), "Size of a file.", "bytes"),
            number("container_bytes", pa.float64(), "Part of it that holds no coded pixels: boxes, headers.", "bytes"),
            number("bpp", pa.float64(), "Size of files for each pixel.", "bits"),
            number("psnr", pa.float64(), "Peak signal-to-noise ratio of the mean error; infinite without loss.", "dB"),
            number("ssim", pa.float64(), "Structural similarity, at most 1."),
            number("ms_ssim", pa.float64(), "Multi-scale structural similarity, at most 1; see docs/codec.md."),
            number("drift", pa.float64(), "How far pictures move in the embedding space.", "1 - cosine"),
            number("drift_p95", pa.float64(), "What the drift of one picture in twenty exceeds.", "1 - cosine"),
            text("embedding_model", "The model whose space that is."),
            number("encode_seconds", pa.float64(), "Time of the processor to encode.", "seconds / megapixel"),
            number("decode_seconds", pa.float64(), "Time of the processor to decode.", "seconds / megapixel"),
        ),
        key=("experiment", "setting"),
        sort=("experiment", "setting"),
    ),
    TableSpec(
        "codec_comparisons",
        "How many more bytes the project's own codec needs than others at equal likeness (Bjontegaard), and where.",
        (
            EXPERIMENT,
            text("against", "The other codec."),
            text("measure", "What is equal: psnr, ssim, ms_ssim or drift."),
            text("counted", "files: whole files; payload: without the bytes of containers."),
            number("change", pa.float64(), "Mean relative difference in bytes; -0.3: 30 % fewer.", nullable=True),
            number("worst", pa.float64(), "Least likeness that both reach, in the measure's own unit.", nullable=True),
            number("best", pa.float64(), "Greatest likeness that both reach.", nullable=True),
            number(
                "lost_share",
                pa.float64(),
                "Share of that range, in decibels, in which ours needs more bytes.",
                nullable=True,
            ),
            text("sentence", "The same in words, to be quoted. Nulls beside it: no likeness is reached by both."),
        ),
        key=("experiment", "against", "measure", "counted"),
        sort=("experiment", "against", "measure", "counted"),
    ),
)
