"""``panic export images`` and ``image``: pictures as files that say where they come from.

A picture's coded bytes are copied as they are stored, or written anew without loss where no other program could read
them; EXIF and XMP are put beside them. Here belong which picture goes
into which file and going on where an export was interrupted; the facts are in ``provenance``, the bytes in
``containers``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.image_formats import room_of
from panic_assets.lake import Lake
from panic_assets.lake.images import decode, portable
from panic_assets.loop.pictures import PictureShelf
from panic_assets.models.entry import ModelEntry
from panic_assets.models.registry import load_registry
from panic_assets.reports.export.common import (
    ExportError,
    Progress,
    batches,
    chosen_runs,
    load_runs,
    replacing,
    silent,
    slug,
)
from panic_assets.reports.export.containers import with_metadata
from panic_assets.reports.export.provenance import Provenance, exif_of, xmp_of

INDEX = "index.jsonl"
_BATCH = 128
#: Suffixes of files: what Pillow calls the format, and how it is written where the stored bytes are of another.
_WRITTEN: dict[str, tuple[str, dict[str, Any]]] = {
    ".webp": ("WEBP", {"lossless": True, "exact": True}),
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4"}),
}
_SUFFIX = {"webp": ".webp", "png": ".png", "jpeg": ".jpg", "avif": ".avif"}


@dataclass(frozen=True)
class Exported:
    """How many pictures were ``written``, and how many were ``there`` already from an earlier export."""

    folder: Path
    written: int
    there: int


@dataclass(frozen=True)
class _Job:
    """One picture to write: whose it is, and under which name, without suffix."""

    run: Run
    sequence_number: int
    image_hash: bytes
    name: str


def export_images(lake: Lake, experiment: str, folder: Path, threads: int = 4, progress: Progress = silent) -> Exported:
    """Write every picture of every run to ``<network>/<number>-<prompt>/run_00001/00012.webp`` under a folder.

    Numbers in names are those of the lake: prompt, run and sequence number. ``index.jsonl`` has a line for each file
    with its facts; a file that it lists with the same picture is not written again, so that an interrupted export goes
    on and that of an experiment which grew writes what is new.

    Raises:
        ExportError: no such experiment, or the folder can't be written to.
        MissingPicture, CorruptImage, CorruptPart: a picture can't be read.
    """
    corpus = load_runs(lake, experiment)
    jobs = list(_jobs(corpus))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _indexed(folder / INDEX)
    except OSError as error:
        raise ExportError(f"{folder} can't be used: {error.strerror or error}; choose another folder") from error
    left = [job for job in jobs if not _is_there(folder, job, known)]
    there = len(jobs) - len(left)
    progress(there, len(jobs))
    shelf = PictureShelf(lake, experiment)
    order = {name: place for place, name in enumerate(shelf.in_order({job.image_hash for job in left}))}
    left.sort(key=lambda job: order[job.image_hash])
    facts = _Facts(lake, corpus)
    with ThreadPoolExecutor(max(1, threads)) as pool, open(folder / INDEX, "a", encoding="utf-8") as index:
        for some in batches(left, _BATCH):
            stored = shelf.encoded({job.image_hash for job in some})
            lines = pool.map(partial(_write, folder, stored), some, facts.of(some))
            index.writelines(line + "\n" for line in lines)
            index.flush()
            there += len(some)
            progress(there, len(jobs))
    return Exported(folder, len(left), len(jobs) - len(left))


def export_image(lake: Lake, experiment: str, run_number: int, sequence_number: int, path: Path) -> Path:
    """Write one picture, with its provenance; give the file.

    The stored bytes are copied if the suffix of ``path`` is that of their format. Else the pixels are written anew, for
    .png and .webp without loss.

    Raises:
        ExportError: no such run, invocation or suffix, or the invocation made a text.
        MissingPicture, CorruptImage, CorruptPart: the picture can't be read.
    """
    if path.suffix.lower() not in _WRITTEN:
        raise ExportError(f"{path}: pictures are written as {', '.join(_WRITTEN)}; give it one of these suffixes")
    corpus = load_runs(lake, experiment)
    (run,) = chosen_runs(corpus, [run_number])
    if not 0 <= sequence_number < len(run.outputs):
        raise ExportError(f"run {run_number} of {experiment} has sequence numbers 0 to {len(run.outputs) - 1}")
    output = run.outputs[sequence_number]
    if not isinstance(output, bytes):
        places = [place for place, made in enumerate(run.outputs) if isinstance(made, bytes)]
        near = min(places, key=lambda place: abs(place - sequence_number), default=None)
        advice = "the run made no picture" if near is None else f"the nearest picture is {near}"
        raise ExportError(f"run {run_number} of {experiment}: output {sequence_number} is a text; {advice}")
    job = _Job(run, sequence_number, output, "")
    (known,) = _Facts(lake, corpus).of([job])
    kind, content = PictureShelf(lake, experiment).encoded([output])[output]
    wanted, options = _WRITTEN[path.suffix.lower()]
    if room_of(content) is None and _WRITTEN[_suffix(kind)][0] == wanted:
        made = with_metadata(content, exif_of(known), xmp_of(known))
    else:
        buffer = BytesIO()
        Image.fromarray(decode(content)).save(buffer, wanted, **options)
        made = with_metadata(buffer.getvalue(), exif_of(known), xmp_of(known))
    with replacing(path) as aside:
        aside.write_bytes(made)
    return path


class _Facts:
    """Provenance of the pictures of one experiment. Knows the models as the experiment overrides them."""

    def __init__(self, lake: Lake, corpus: Corpus) -> None:
        self._lake, self._corpus = lake, corpus
        self._models, self._identities = _models(lake, corpus.experiment)

    def of(self, jobs: list[_Job]) -> list[Provenance]:
        """What is known of each, in the same order."""
        columns = ["run_number", "sequence_number", "model", "model_revision", "seed", "completed_at"]
        where = {"run_number": {job.run.number for job in jobs}}
        rows = self._lake.read("invocations", self._corpus.experiment, columns, where).to_pylist()
        calls = {(row["run_number"], row["sequence_number"]): row for row in rows}
        return [self._one(job, calls[job.run.number, job.sequence_number]) for job in jobs]

    def _one(self, job: _Job, call: Mapping[str, Any]) -> Provenance:
        run, place = job.run, job.sequence_number
        given = run.outputs[place - 1] if place else run.prompt
        identity = self._identities.get(call["model"])
        entry = self._models.get(call["model"])
        if entry is not None and identity is not None and entry.identity != identity:
            entry = None  # the registry has changed since: it speaks of another model
        return Provenance(
            experiment=self._corpus.experiment,
            network=run.network,
            run_number=run.number,
            sequence_number=place,
            prompt=run.prompt,
            input_text=given if isinstance(given, str) else None,
            model=call["model"],
            model_revision=call["model_revision"] or (entry.revision if entry else None),
            model_licence=entry.licence if entry else None,
            model_identity=identity,
            seed=call["seed"],
            run_seed=run.seed,
            made_at=call["completed_at"],
            image_hash=job.image_hash.hex(),
        )


def _models(lake: Lake, experiment: str) -> tuple[dict[str, ModelEntry], dict[str, str]]:
    """Registry entries with what the experiment changed of them, and the identities of the models that it ran."""
    configs = lake.read("experiments", experiment, ["config"]).column(0).to_pylist()
    config = json.loads(configs[0]) if configs else {}
    registry = load_registry()
    changed = {name: values for name, values in config.get("models", {}).items() if name in registry}
    return dict(registry.with_overrides(changed).items()), config.get("resolved_models", {})


def _jobs(corpus: Corpus) -> Iterator[_Job]:
    for run in corpus.runs:
        network = "-".join(slug(name) for name in run.models)[:120]
        folder = f"{network}/{run.prompt_number:03d}-{slug(run.prompt)}/run_{run.number:05d}"
        for place, output in enumerate(run.outputs):
            if isinstance(output, bytes):
                yield _Job(run, place, output, f"{folder}/{place:05d}")


def _indexed(path: Path) -> dict[str, tuple[str, str]]:
    """(file, hash of its picture) by the file's name without suffix; a line that was cut short does not count."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            found[str(Path(row["file"]).with_suffix(""))] = (row["file"], row["image_hash"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _is_there(folder: Path, job: _Job, known: Mapping[str, tuple[str, str]]) -> bool:
    file, image_hash = known.get(job.name, ("", ""))
    return image_hash == job.image_hash.hex() and (folder / file).is_file()


def _write(folder: Path, stored: Mapping[bytes, tuple[str, bytes]], job: _Job, known: Provenance) -> str:
    """Write one picture; its line of the index."""
    kind, content = portable(*stored[job.image_hash])
    file = job.name + _suffix(kind)
    with replacing(folder / file) as aside:
        aside.write_bytes(with_metadata(content, exif_of(known), xmp_of(known)))
    return json.dumps({"file": file, **known.facts()}, ensure_ascii=False)


def _suffix(kind: str) -> str:
    """The suffix of files in a format of the lake, such as ``webp-lossless``."""
    return _SUFFIX[kind.partition("-")[0]]
