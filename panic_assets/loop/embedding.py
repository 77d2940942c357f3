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

from panic_assets.devices.base import Device
from panic_assets.devices.known import KnownFacts
from panic_assets.errors import PanicError
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.lake.schemas import vector_type
from panic_assets.loop.dispatch import Dispatcher, Incident, Request
from panic_assets.loop.events import append_events, event_of
from panic_assets.loop.pictures import PictureShelf
from panic_assets.models.base import Medium
from panic_assets.models.registry import ModelEntry

PROMPT_SEQUENCE_NUMBER = -1
CHUNK = {"text": 4096, "image": 256}  # distinct items between two commits; bounds the pixels held in memory


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
    devices: Sequence[Device],
    on_progress: Callable[[str, int, int], None] | None = None,
    facts: KnownFacts | None = None,
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
        with Dispatcher(devices, {name: models[name]}, facts) as dispatcher:
            summaries.append(_embed(lake, experiment.name, models[name], dispatcher, report))
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
    lake: Lake, experiment: str, entry: ModelEntry, dispatcher: Dispatcher, report: Callable[[int, int], None]
) -> EmbeddingSummary:
    started = time.perf_counter()
    done = 0
    with lake.writer("embeddings", experiment) as writer:  # the lock first: what is missing is then missing for good
        points, stale = pending_points(lake, experiment, entry)
        takers: dict[str | bytes, list[Point]] = {}
        for point in points:
            takers.setdefault(point.item, []).append(point)
        if stale:
            writer.replace([], {"embedding_model": entry.name})
        for items, values, modality in _chunks(lake, experiment, takers) if points else ():
            vectors, incidents = _vectors(dispatcher, entry, items, values, modality)
            runs = {item: {point.run_number for point in takers[item]} for item in items} if incidents else {}
            append_events(lake, experiment, [event_of(incident, runs) for incident in incidents])
            _check(entry, items, vectors)
            rows = [(point, vector) for item, vector in zip(items, vectors, strict=True) for point in takers[item]]
            writer.append(_table(experiment, entry, rows), {"embedding_model": entry.name})
            writer.commit()
            done += len(items)
            report(done, len(takers))
        writer.compact()
    seconds = time.perf_counter() - started
    return EmbeddingSummary(entry.name, len(points), len(takers), seconds, dispatcher.totals.model_seconds)


def _chunks(
    lake: Lake, experiment: str, items: Iterable[str | bytes]
) -> Iterator[tuple[Sequence[str | bytes], list[Any], Medium]]:
    """Items, their texts or pixels, and which of both: texts first, then pictures in the order they are stored in."""
    items = list(items)
    texts = [item for item in items if isinstance(item, str)]
    for start in range(0, len(texts), CHUNK["text"]):
        some = texts[start : start + CHUNK["text"]]
        yield some, some, "text"
    hashes = [item for item in items if isinstance(item, bytes)]
    if hashes:
        shelf = PictureShelf(lake, experiment)
        hashes = shelf.in_order(hashes)
        for start in range(0, len(hashes), CHUNK["image"]):
            part = hashes[start : start + CHUNK["image"]]
            pixels = shelf.load(part)
            yield part, [pixels[image_hash] for image_hash in part], "image"


def _vectors(
    dispatcher: Dispatcher, entry: ModelEntry, items: Sequence[str | bytes], values: Sequence[Any], modality: Medium
) -> tuple[np.ndarray, list[Incident]]:
    """float32 (items, dimension), and what went wrong on the way.

    Raises:
        Exception: what the model raised for an item that was asked alone.
    """
    requests = [Request(item, value, step=place) for place, (item, value) in enumerate(zip(items, values, strict=True))]
    dispatcher.submit(entry.name, requests, modality)
    vectors: dict[Any, np.ndarray] = {}
    incidents: list[Incident] = []
    while len(vectors) < len(items):
        came = dispatcher.come()
        if isinstance(came, Incident):
            incidents.append(came)
            continue
        for answer in came:
            if answer.error is not None:
                raise answer.error
            assert isinstance(answer.output, np.ndarray)
            vectors[answer.key] = answer.output
    return np.stack([vectors[item] for item in items]), incidents


def _check(entry: ModelEntry, items: Sequence[str | bytes], vectors: np.ndarray) -> None:
    name = entry.name
    if vectors.shape != (len(items), entry.dimension):
        raise BadVectors(
            f"embedding model {name} gave vectors of shape {vectors.shape}, expected "
            f"({len(items)}, {entry.dimension}): correct `dimension` of its registry entry"
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
