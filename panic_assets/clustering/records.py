"""Rows of the clustering tables: read back as what is held, written whole.

Here belongs the way to and from the lake. What is clustered or assigned belongs to ``stage``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from panic_assets.clustering.density import OUTLIER
from panic_assets.lake import Lake

ALGORITHM = "hdbscan"
Place = tuple[str, int, int]
_PLACE = ("experiment", "run_number", "sequence_number")


def places_of(points: pa.Table) -> list[Place]:
    """(experiment, run number, sequence number) of each row."""
    return list(zip(*(points.column(name).to_pylist() for name in _PLACE), strict=True))


@dataclass(frozen=True)
class Record:
    """One clustering as it is to be written.

    ``row`` of ``clusterings``; ``clusters`` are rows; ``labels``, ``probabilities``, ``later`` (n,) belong to the rows
    of ``points``. ``changed``: the lake holds other rows;
    ``computed``: labels that were made.
    """

    row: dict[str, Any]
    clusters: list[dict[str, Any]]
    points: pa.Table
    labels: np.ndarray
    probabilities: np.ndarray
    later: np.ndarray
    recomputed: bool
    changed: bool
    computed: int

    @classmethod
    def new(
        cls,
        row: dict[str, Any],
        parameters: Mapping[str, Any],
        facts: Mapping[str, Any],
        points: pa.Table,
        labels: np.ndarray,
        probabilities: np.ndarray,
        later: np.ndarray,
        medoids: np.ndarray,
        reach: np.ndarray,
        recovery: np.ndarray,
    ) -> Record:
        """A clustering made just now. ``medoids``: rows of points; ``reach``, ``recovery`` (k,), NaN: unknown."""
        places = places_of(points)
        frozen = Counter(place[0] for place, late in zip(places, later.tolist(), strict=True) if not late)
        row = row | {
            "parameters": json.dumps(parameters, sort_keys=True),
            "corpus": json.dumps({"pooled": len(labels), "clustered": dict(sorted(frozen.items()))}, sort_keys=True),
            "diagnostics": json.dumps(facts, sort_keys=True),
            "created_at": datetime.now(UTC),
        }
        clusters = [
            {
                "clustering_id": row["clustering_id"],
                "embedding_model": row["embedding_model"],
                "modality": row["modality"],
                "cluster": number,
                "medoid_experiment": places[medoid][0],
                "medoid_run_number": places[medoid][1],
                "medoid_sequence_number": places[medoid][2],
                "medoid_text": None,
                "recovery": float(recovery[number]) if np.isfinite(recovery[number]) else None,
                "reach": float(reach[number]),
            }
            for number, medoid in enumerate(medoids.tolist())
        ]
        made = cls(row, clusters, points, labels, probabilities, later, True, True, len(labels))
        return made.counted()

    def counted(self) -> Record:
        """With all counts and shares taken from the labels: no other number of points is ever written."""
        total = len(self.labels)
        sizes = np.bincount(self.labels[self.labels != OUTLIER], minlength=len(self.clusters)).tolist()
        row = self.row | {
            "points": total,
            "assigned_later": int(self.later.sum()),
            "outlier_share": float((self.labels == OUTLIER).mean()) if total else 0.0,
        }
        clusters = [one | {"size": size, "share": size / total} for one, size in zip(self.clusters, sizes, strict=True)]
        return replace(self, row=row, clusters=clusters)

    def assignments(self) -> pa.Table:
        """Rows of ``cluster_assignments``."""
        count = self.points.num_rows
        return pa.table(
            {
                "clustering_id": pa.array([self.row["clustering_id"]] * count, pa.binary(16)),
                "embedding_model": pa.array([self.row["embedding_model"]] * count),
                "modality": pa.array([self.row["modality"]] * count),
                "experiment": self.points.column("experiment").cast(pa.string()),
                "run_number": self.points.column("run_number"),
                "sequence_number": self.points.column("sequence_number"),
                "cluster": pa.array(self.labels, pa.int32()),
                "probability": pa.array(self.probabilities, pa.float32()),
                "assigned_later": pa.array(self.later),
            }
        )


@dataclass(frozen=True)
class Held:
    """One clustering as the lake has it: its row, its clusters, its assignments."""

    row: dict[str, Any]
    clusters: list[dict[str, Any]]
    assignments: pa.Table

    @property
    def identity(self) -> bytes:
        """The clustering's id."""
        return bytes(self.row["clustering_id"])

    @property
    def kind(self) -> tuple[str, str, str]:
        """Embedding model, modality, space."""
        return self.row["embedding_model"], self.row["modality"], self.row["space"]

    @property
    def pooled(self) -> int:
        """Points that there were when it was made. Clusterings of old had no later points."""
        return int(json.loads(self.row["corpus"])["pooled"]) if self.row["corpus"] else int(self.row["points"])

    @cached_property
    def frozen(self) -> list[Place]:
        """The points that it was made of."""
        later = self.assignments.column("assigned_later").to_pylist()
        return [place for place, late in zip(places_of(self.assignments), later, strict=True) if not late]

    def labels(self) -> dict[Place, tuple[int, float]]:
        """Label and probability of each point."""
        values = zip(*(self.assignments.column(name).to_pylist() for name in ("cluster", "probability")), strict=True)
        return dict(zip(places_of(self.assignments), values, strict=True))

    def extended(
        self, points: pa.Table, labels: np.ndarray, probabilities: np.ndarray, later: np.ndarray, computed: int
    ) -> Record:
        """The same clusters with the labels of another pool that holds all points it was made of."""
        held = Record(self.row, self.clusters, points, labels, probabilities, later, False, False, computed).counted()
        # The row is compared, too: a writer that died between two tables left assignments that it does not count.
        same = computed == 0 and self.assignments.num_rows == points.num_rows
        same = same and held.row == self.row | {"assigned_later": self.row["assigned_later"] or 0}
        return replace(held, changed=not (same and held.clusters == self.clusters))


def held_records(lake: Lake) -> list[Held]:
    """All clusterings whose tables are whole; one without its clusters counts as not made."""
    found = []
    for row in lake.read("clusterings").to_pylist():
        where = {"clustering_id": row["clustering_id"]}
        clusters = lake.read("clusters", where=where).to_pylist()
        if len(clusters) == row["clusters"]:
            found.append(Held(row, clusters, lake.read("cluster_assignments", where=where)))
    return sorted(found, key=lambda held: held.row["created_at"], reverse=True)


def write(lake: Lake, records: Sequence[Record]) -> None:
    """Make the tables hold these clusterings and no other; those that have not changed are not written again.

    Assignments and clusters first, the list of clusterings last: what it names is there.
    """
    kept = {record.row["clustering_id"] for record in records if not record.changed}
    changed = [record for record in records if record.changed]
    texts = _texts(lake, changed)
    rows: dict[str, list[pa.Table | list[dict[str, Any]]]] = {
        "cluster_assignments": [record.assignments() for record in changed],
        "clusters": [[one | {"medoid_text": texts.get(_medoid(one))} for one in r.clusters] for r in changed],
        "clusterings": [[record.row] for record in changed],
    }
    for table, additions in rows.items():
        with lake.writer(table) as writer:
            gone = set(lake.read(table, columns=["clustering_id"]).column(0).unique().to_pylist()) - kept
            if gone:
                writer.replace([], {"clustering_id": gone})
            for addition in additions:
                writer.append(addition)
            writer.compact()


def _medoid(row: Mapping[str, Any]) -> Place:
    return row["medoid_experiment"], row["medoid_run_number"], row["medoid_sequence_number"]


def _texts(lake: Lake, records: Sequence[Record]) -> dict[Place, str]:
    """Captions of medoids, for the eye."""
    texts: dict[Place, str] = {}
    chosen = [_medoid(one) for record in records if record.row["modality"] == "text" for one in record.clusters]
    for experiment in {place[0] for place in chosen}:
        runs = {place[1] for place in chosen if place[0] == experiment}
        for found in lake.read("invocations", experiment, [*_PLACE, "text"], {"run_number": runs}).to_pylist():
            texts[(found["experiment"], found["run_number"], found["sequence_number"])] = found["text"]
    return texts
