"""The embedding stage: every output that a model can embed, and the prompts, as vectors in the lake.

Here belongs what is still to be embedded and how it is written. Equal outputs are embedded once; the prompt of a run is
its point at sequence number -1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.lake.schemas import vector_type
from panic_assets.loop.pictures import PictureShelf
from panic_assets.models.base import Embedder, Medium
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import ModelEntry

PROMPT_SEQUENCE_NUMBER = -1
_CHUNK = {"text": 4096, "image": 256}  # distinct items between two commits; bounds the pixels held in memory


class BadVectors(PanicError):
    """An embedding model gave vectors that are not finite or have another dimension than it declares."""


@dataclass(frozen=True)
class Point:
    """Something to embed: its place in the lake and what it is (a text, or the hash of an image)."""

    run_number: int
    sequence_number: int
    item: str | bytes


@dataclass(frozen=True)
class EmbeddingSummary:
    """What an embedding model was asked for: rows written, distinct items computed, wall and model seconds."""

    embedding_model: str
    rows: int
    computed: int
    seconds: float
    model_seconds: float


def embed_experiment(
    lake: Lake,
    experiment: Experiment,
    models: Mapping[str, ModelEntry],
    pool: ModelPool,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> list[EmbeddingSummary]:
    """Bring the table ``embeddings`` up to date for every embedding model of the experiment.

    ``on_progress`` gets (embedding model, items done, items in all). Points that are there in the same space are not
    computed again; if the space of a model changed (revision, dimension, normalisation), its rows are replaced.

    Raises:
        BadVectors: a vector is not finite or has the wrong dimension.
        ModelLoadError: a model can't be loaded.
        PartitionLocked: another process embeds this experiment.
    """
    summaries = []
    for name in experiment.embedding_models:
        report = (lambda done, total, name=name: on_progress(name, done, total)) if on_progress else (lambda *_: None)
        summaries.append(_embed(lake, experiment.name, models[name], pool, report))
    return summaries


def space_of(entry: ModelEntry) -> str:
    """The space that an embedding model maps to: vectors compare only within one."""
    origin = entry.revision or entry.load_identity[:12]
    return f"{entry.name}@{origin}/{entry.dimension}/{'normalised' if entry.normalised else 'raw'}"


def pending_points(lake: Lake, experiment: str, entry: ModelEntry) -> tuple[list[Point], bool]:
    """Points without a vector of this model, in order; and whether rows of another space must give way."""
    where = {"embedding_model": entry.name}
    held = lake.read("embeddings", experiment, columns=["run_number", "sequence_number", "space"], where=where)
    stale = any(space != space_of(entry) for space in held.column("space").unique().to_pylist())
    present = (
        set()
        if stale
        else set(zip(held.column("run_number").to_pylist(), held.column("sequence_number").to_pylist(), strict=True))
    )
    points = [point for point in _points(lake, experiment, entry.takes) if point[:2] not in present]
    return [Point(*point) for point in points], stale


def _points(lake: Lake, experiment: str, media: frozenset[str]) -> Iterator[tuple[int, int, str | bytes]]:
    if "text" in media:
        runs = lake.read("runs", experiment, columns=["run_number", "prompt"])
        for run_number, prompt in zip(*(column.to_pylist() for column in runs.columns), strict=True):
            yield run_number, PROMPT_SEQUENCE_NUMBER, prompt
    columns = ["run_number", "sequence_number", "type", "text", "image_hash"]
    rows = lake.read("invocations", experiment, columns=columns)
    for run_number, number, medium, text, image_hash in zip(
        *(rows.column(c).to_pylist() for c in columns), strict=True
    ):
        if medium in media:
            yield run_number, number, text if medium == "text" else image_hash


def _embed(
    lake: Lake, experiment: str, entry: ModelEntry, pool: ModelPool, report: Callable[[int, int], None]
) -> EmbeddingSummary:
    started = time.perf_counter()
    done, model_seconds = 0, 0.0
    with lake.writer("embeddings", experiment) as writer:  # the lock first: what is missing is then missing for good
        points, stale = pending_points(lake, experiment, entry)
        takers: dict[str | bytes, list[Point]] = {}
        for point in points:
            takers.setdefault(point.item, []).append(point)
        if stale:
            writer.replace([], {"embedding_model": entry.name})
        for items, values, modality in _chunks(lake, experiment, takers) if points else ():
            embedder = pool.get(entry)
            assert isinstance(embedder, Embedder), f"{entry.name} is not an embedding model"
            before = time.perf_counter()
            vectors = _vectors(embedder, values, modality)
            model_seconds += time.perf_counter() - before
            _check(embedder, items, vectors)
            rows = [(point, vector) for item, vector in zip(items, vectors, strict=True) for point in takers[item]]
            writer.append(_table(experiment, entry, rows), {"embedding_model": entry.name})
            writer.commit()
            done += len(items)
            report(done, len(takers))
        writer.compact()
    return EmbeddingSummary(entry.name, len(points), len(takers), time.perf_counter() - started, model_seconds)


def _chunks(
    lake: Lake, experiment: str, items: Iterable[str | bytes]
) -> Iterator[tuple[Sequence[str | bytes], list[Any], Medium]]:
    """Items, their texts or pixels, and which of both: texts first, then pictures in the order they are stored in."""
    items = list(items)
    texts = [item for item in items if isinstance(item, str)]
    for start in range(0, len(texts), _CHUNK["text"]):
        some = texts[start : start + _CHUNK["text"]]
        yield some, some, "text"
    hashes = [item for item in items if isinstance(item, bytes)]
    if hashes:
        shelf = PictureShelf(lake, experiment)
        hashes = shelf.in_order(hashes)
        for start in range(0, len(hashes), _CHUNK["image"]):
            part = hashes[start : start + _CHUNK["image"]]
            pixels = shelf.load(part)
            yield part, [pixels[image_hash] for image_hash in part], "image"


def _vectors(embedder: Embedder, items: Sequence[Any], modality: Medium) -> np.ndarray:
    """float32 (n, d), computed in batches of one size with the tail padded, so that companions don't matter."""
    size, parts = embedder.entry.batch, []
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        padded = [*batch, *[batch[0]] * (size - len(batch))]
        parts.append(embedder.embed(padded, modality)[: len(batch)])
    return np.concatenate(parts)


def _check(embedder: Embedder, items: Sequence[str | bytes], vectors: np.ndarray) -> None:
    name = embedder.entry.name
    if vectors.shape != (len(items), embedder.dimension):
        raise BadVectors(
            f"embedding model {name} gave vectors of shape {vectors.shape}, expected "
            f"({len(items)}, {embedder.dimension}): correct `dimension` of its registry entry"
        )
    finite = np.isfinite(vectors).all(1)
    if not finite.all():
        bad = items[int(np.argmin(finite))]
        raise BadVectors(
            f"embedding model {name} gave a vector that is not finite for "
            f"{bad.hex() if isinstance(bad, bytes) else repr(bad)}; "
            "try dtype: float32 for it under `models` in the experiment"
        )


def _table(experiment: str, entry: ModelEntry, rows: Sequence[tuple[Point, np.ndarray]]) -> pa.Table:
    vectors = np.stack([vector for _, vector in rows])
    count, dimension = vectors.shape
    return pa.table(
        {
            "experiment": pa.array([experiment] * count).dictionary_encode(),
            "run_number": pa.array([point.run_number for point, _ in rows], pa.int32()),
            "sequence_number": pa.array([point.sequence_number for point, _ in rows], pa.int32()),
            "embedding_model": pa.array([entry.name] * count).dictionary_encode(),
            "modality": pa.array(["text" if isinstance(p.item, str) else "image" for p, _ in rows]).dictionary_encode(),
            "space": pa.array([space_of(entry)] * count).dictionary_encode(),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(vectors.reshape(-1), pa.float32()), type=vector_type(dimension)
            ),
        }
    )
