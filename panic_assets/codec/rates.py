"""What each codec would make of an experiment's pictures: measured on a sample, and kept in the lake.

Here belong the sample, the rows, and when they need not be made again. Measuring itself is ``comparing``'s, what it
comes to ``verdicts``'s; only pictures that were stored without loss serve as originals, for copies of copies tell
nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from panic_assets.codec import api, comparing
from panic_assets.codec.drift import Drift, embedder_of
from panic_assets.codec.verdicts import Verdict, verdicts
from panic_assets.errors import PanicError
from panic_assets.lake import Lake, images
from panic_assets.models.entry import ModelEntry
from panic_assets.models.pool import ModelPool

PICTURES = 24
RATES, COMPARISONS = "codec_rates", "codec_comparisons"
_BASIS, _WHY_NOT, _SAMPLED, _OF = "basis", "why_not", "sampled", "of"
_PACKAGES = ("pillow", "onnxruntime", "constriction")


class NotMeasured(PanicError):
    """The lake holds no rates of an experiment."""


@dataclass(frozen=True)
class Sample:
    """Originals of an experiment: hashes of ``of`` pictures without loss, evenly spaced; ``why_not`` where none is."""

    hashes: tuple[bytes, ...]
    of: int
    why_not: str


@dataclass(frozen=True)
class RatesSummary:
    """What :func:`measure_experiment` did: settings in the lake, and how many of them were measured now."""

    settings: int
    computed: int
    pictures: int
    of: int
    embedding_model: str
    why_not: str


def sample_of(lake: Lake, experiment: str, count: int = PICTURES) -> Sample:
    """At most so many of an experiment's distinct pictures, at equal distances in the order in which they came.

    Raises:
        LakeError: the table can't be read.
    """
    rows = lake.read("images", experiment, columns=["image_hash", "format"])
    forms = rows.column("format").to_pylist()
    lossless = {form: images.kept_all(form) for form in set(forms)}
    hashes = [one for one, form in zip(rows.column("image_hash").to_pylist(), forms, strict=True) if lossless[form]]
    if not hashes:
        lossy = ", ".join(sorted(lossless))
        why = f"its pictures are stored as {lossy}, which has lost something already" if lossy else "it has no pictures"
        return Sample((), 0, f"experiment {experiment} has no originals: {why}; image_format: webp-lossless keeps them")
    chosen = min(count, len(hashes))
    return Sample(tuple(hashes[place * len(hashes) // chosen] for place in range(chosen)), len(hashes), "")


def measure_experiment(
    lake: Lake,
    experiment: str,
    models: Mapping[str, ModelEntry],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    count: int = PICTURES,
    qualities: tuple[Sequence[int], Sequence[int]] = comparing.MANY,
    anew: bool = False,
) -> RatesSummary:
    """Bring the table ``codec_rates`` up to date; ``models`` are those that exist, by name.

    Nothing is measured again while sample, settings, models and libraries are the same, unless ``anew``.

    Raises:
        MissingExtra: the packages of the extra ``codec`` are not installed.
        LakeError: a table can't be read or written.
        ModelLoadError: the model that embeds can't be loaded.
    """
    described = lake.read("experiments", experiment, columns=["config"]).column(0).to_pylist()
    wanted = json.loads(described[0]).get("embedding_models") or [] if described else []
    embedder, sample = embedder_of(wanted, models), sample_of(lake, experiment, count)
    tried = comparing.settings(qualities=qualities) if sample.hashes else []
    basis = _basis_of(sample, tried, embedder) if tried else sample.why_not
    with lake.writer(RATES, experiment) as writer:
        held = lake.read(RATES, experiment, columns=["setting"]).num_rows
        is_new = anew or writer.properties.get(_BASIS) != basis or held != len(tried)
        if is_new:
            rows = _measured(lake, experiment, sample, tried, embedder, on_progress) if tried else []
            writer.replace(rows, {})
            facts = {_BASIS: basis, _WHY_NOT: sample.why_not, _SAMPLED: len(sample.hashes), _OF: sample.of}
            for name, value in facts.items():
                writer.set_property(name, value)
            writer.commit()
    computed = len(tried) if is_new else 0
    return RatesSummary(len(tried), computed, len(sample.hashes), sample.of, embedder.name, sample.why_not)


def compare_experiment(lake: Lake, experiment: str) -> list[Verdict]:
    """Write the table ``codec_comparisons`` from ``codec_rates``; give its rows.

    Raises:
        LakeError: a table can't be read or written.
    """
    found = verdicts(rows_of(lake, experiment))
    with lake.writer(COMPARISONS, experiment) as writer:
        writer.replace([{"experiment": experiment} | asdict(verdict) for verdict in found], {})
        writer.commit()
    return found


def rows_of(lake: Lake, experiment: str) -> list[comparing.Row]:
    """The rates of an experiment as they were measured; empty where there are none."""
    return [_row_of(row) for row in lake.read(RATES, experiment).to_pylist()]


def told_of(lake: Lake, experiment: str) -> Sample:
    """How many pictures the rates of an experiment are of, or why there are none; without the hashes.

    Raises:
        NotMeasured: they were never measured.
    """
    properties = lake.properties(RATES, experiment)
    if _BASIS not in properties:
        raise NotMeasured(f"no codec was measured on {experiment}; `panic codec report {experiment}` does it")
    return Sample((b"",) * int(properties[_SAMPLED]), int(properties[_OF]), str(properties[_WHY_NOT]))


def _measured(
    lake: Lake,
    experiment: str,
    sample: Sample,
    tried: Sequence[comparing.Setting],
    embedder: ModelEntry,
    tell: Callable[[int, int], None],
) -> list[dict[str, Any]]:
    pictures = _pictures(lake, experiment, sample)
    # The processor: vectors must not depend on what else this machine has.
    with closing(ModelPool("cpu")) as pool:
        model: Any = pool.get(embedder)
        drift = Drift(lambda shown: model.embed(shown, "image"), pictures)
        measured = comparing.measure_all(tried, pictures, drift, tell)
    named = {setting.name for setting in tried}
    assert len(named) == len(tried)
    return [
        {"experiment": experiment, "setting": setting.name, "embedding_model": embedder.name} | _told(row)
        for setting, row in zip(tried, measured, strict=True)
    ]


def _pictures(lake: Lake, experiment: str, sample: Sample) -> list[np.ndarray]:
    """In the order of the sample."""
    read = lake.read("images", experiment, columns=["image_hash", "image"], where={"image_hash": set(sample.hashes)})
    found = dict(zip(read.column("image_hash").to_pylist(), read.column("image").to_pylist(), strict=True))
    return [images.decode(found[one]) for one in sample.hashes]


def _told(row: comparing.Row) -> dict[str, Any]:
    megapixels = row.megapixels
    return {
        "codec": row.codec,
        "quality": row.quality,
        "pictures": row.pictures,
        "megapixels": megapixels,
        "bytes": row.byte_size,
        "container_bytes": row.byte_size - row.payload_size,
        "bpp": row.bits_per_pixel,
        "psnr": row.psnr,
        "ssim": row.ssim,
        "ms_ssim": row.ms_ssim,
        "drift": row.drift,
        "drift_p95": row.drift_p95,
        "encode_seconds": row.encode_ms / 1e3 / megapixels,
        "decode_seconds": row.decode_ms / 1e3 / megapixels,
    }


def _row_of(told: Mapping[str, Any]) -> comparing.Row:
    """The inverse of :func:`_told`."""
    same = ("codec", "quality", "pictures", "megapixels", "psnr", "ssim", "ms_ssim", "drift", "drift_p95")
    return comparing.Row(
        **{name: told[name] for name in same},
        byte_size=told["bytes"],
        payload_size=told["bytes"] - told["container_bytes"],
        encode_ms=told["encode_seconds"] * 1e3 * told["megapixels"],
        decode_ms=told["decode_seconds"] * 1e3 * told["megapixels"],
    )


def _basis_of(sample: Sample, tried: Sequence[comparing.Setting], embedder: ModelEntry) -> str:
    """Changes whenever other rates would come out, times aside."""
    from panic_assets.codec.latent import open_model

    told = {
        "pictures": [one.hex() for one in sample.hashes],
        "settings": [setting.name for setting in tried],
        "plans": repr(api.PLANS),
        "model": open_model(api.DEFAULT_MODEL).identity.hex(),
        "embedder": embedder.load_identity,
        "packages": {name: version(name) for name in _PACKAGES},
    }
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()
