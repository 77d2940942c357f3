"""Imported vectors: which of them make a space, and how they become rows.

Here belong the decisions on dimension and length. A model has one space in an experiment: its dimension is that of most
of its vectors in the first few runs, and it is one of unit vectors until one comes that is none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from panic_assets.interop.panic_tda.mapping import model_name, space_name
from panic_assets.interop.panic_tda.partition import Sink
from panic_assets.interop.panic_tda.records import SourceEmbedding
from panic_assets.interop.panic_tda.source import Source
from panic_assets.lake.schemas import vector_type

#: How far the length of a unit vector may be from 1: a hair less than the rule on vectors allows, which sums otherwise.
_TOLERANCE = 9.9e-4


@dataclass(frozen=True)
class Point:
    """A vector with the place and medium of the output that it belongs to."""

    record: SourceEmbedding
    sequence_number: int
    modality: str


@dataclass
class Spaces:
    """The spaces of one experiment, by imported name: (dimension, whether it is one of unit vectors).

    ``sizes``: how often each size occurs among the first vectors, by model of the source; asked for once, if at all.
    """

    known: dict[str, tuple[int, bool]] = field(default_factory=dict)
    sizes: Callable[[], Mapping[str, Counter[int]]] = dict
    _media: dict[str, str] = field(default_factory=dict)
    _sampled: Mapping[str, Counter[int]] | None = None

    def dimension(self, model: str, points: Sequence[Point]) -> int:
        """Dimension of a model's vectors in this experiment; ``points`` decide if none came before."""
        name = model_name(model)
        if name not in self.known:
            if self._sampled is None:
                self._sampled = self.sizes()
            sizes = self._sampled.get(model) or Counter(len(vector_of(point)) for point in points)
            self.known[name] = (max(sizes, key=lambda size: (sizes[size], size)), True)
        return self.known[name][0]

    def strangers(self, model: str, points: Sequence[Point]) -> list[Point]:
        """Points of another medium than most of the model's in the first run that has some."""
        counts = Counter(point.modality for point in points)
        medium = self._media.setdefault(model, max(counts, key=lambda name: (counts[name], name)))
        return [point for point in points if point.modality != medium]

    def add(self, sink: Sink, experiment: str, run_number: int, model: str, points: Sequence[Point]) -> None:
        """Write the vectors of a run, all of the model's dimension, and change its space if they ask for it."""
        name, vectors = model_name(model), np.stack([vector_of(point) for point in points])
        dimension, is_unit = self.known[name]
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if is_unit and (np.abs(lengths - 1) > _TOLERANCE).any():
            is_unit = False
            self.known[name] = (dimension, is_unit)
            sink.make_raw(name, space_name(model, dimension, is_unit))
        sink.add_table(
            "embeddings", _table(experiment, run_number, name, space_name(model, dimension, is_unit), points, vectors)
        )


def sizes_of(source: Source, runs: Sequence[str]) -> dict[str, Counter[int]]:
    """How often vectors of each size occur in some runs of the source, by its name of the model."""
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    for run in runs:
        for record in source.embeddings(run):
            if isinstance(record, SourceEmbedding) and record.vector is not None:
                sizes[record.embedding_model][len(record.vector)] += 1
    return sizes


def vector_of(point: Point) -> np.ndarray:
    """The vector, float32 of shape (dimension,)."""
    assert point.record.vector is not None
    return point.record.vector


def _table(
    experiment: str, run_number: int, name: str, space: str, points: Sequence[Point], vectors: np.ndarray
) -> pa.Table:
    count, dimension = vectors.shape
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    return pa.table(
        {
            "experiment": pa.array([experiment] * count).dictionary_encode(),
            "run_number": pa.array([run_number] * count, pa.int32()),
            "sequence_number": pa.array([point.sequence_number for point in points], pa.int32()),
            "embedding_model": pa.array([name] * count).dictionary_encode(),
            "modality": pa.array([point.modality for point in points]),
            "space": pa.array([space] * count).dictionary_encode(),
            "vector": pa.FixedSizeListArray.from_arrays(flat, type=vector_type(dimension)),
        }
    )
