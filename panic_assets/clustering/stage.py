"""The clustering stage: tables ``clusterings``, ``clusters`` and ``cluster_assignments`` from all embeddings.

Here belongs what is pooled, and when it is clustered anew. How it is written belongs to ``records``. A clustering is
made for each embedding model and modality: texts and images of a joint model lie apart, and a clustering of both would
find just that.

A clustering is frozen: its clusters keep their numbers and members while new embeddings are put to them by the rule of
``assigning``, until it is asked for anew, or outgrown, or one of the points it was made of is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from panic_assets.clustering.assigning import Atlas
from panic_assets.clustering.density import OUTLIER, Parameters, cluster
from panic_assets.clustering.records import ALGORITHM, Held, Record, held_records, places_of, write
from panic_assets.clustering.stability import diagnostics, stability
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix

GROWTH = 0.2


@dataclass(frozen=True)
class ClusteringSummary:
    """One clustering: what was pooled and what came of it.

    ``points`` are all that have a label, ``assigned_later`` those of them that took no part in the clustering.
    ``computed``: labels that this call made.
    """

    embedding_model: str
    modality: str
    space: str
    points: int
    distinct_points: int
    clusters: int
    outlier_share: float
    recomputed: bool
    assigned_later: int = 0
    computed: int = 0
    stability: float | None = None


def cluster_lake(
    lake: Lake, parameters: Parameters | None = None, *, force: bool = False, growth: float = GROWTH
) -> list[ClusteringSummary]:
    """Bring the clusterings of every space of the lake up to date.

    New points are put to the clusters that there are. A space is clustered anew if it never was, or not with these
    parameters; if a point that its clustering was made of is gone or changed; if more than ``growth`` times the points
    that were pooled then have come since; or if ``force`` asks for it. The id of a clustering is a hash of its points
    and parameters: equal data, equal id, nothing is computed. Prompts (sequence number -1) are not pooled: they were
    given, not found.

    Raises:
        ClusteringError: a vector has no direction.
        LakeError: a table can't be read or written.
    """
    parameters = parameters or Parameters()
    held = held_records(lake)
    records = []
    for name, modality, space, points in _pools(lake):
        before = next((h for h in held if h.kind == (name, modality, space)), None)
        frozen = _frozen(before, points, parameters, growth, force)
        if before is None or frozen is None:
            frozen = _landmarks(points.num_rows, parameters)
            identity = _identity(space, modality, points.take(frozen), parameters)
            before = next((h for h in held if h.identity == identity), None)
            if before is None:
                records.append(_clustered(identity, name, modality, space, points, frozen, parameters))
                continue
        records.append(_extended(before, points, frozen, parameters))
    gone = {h.identity for h in held} - {record.row["clustering_id"] for record in records if not record.recomputed}
    if gone or any(record.changed for record in records):
        write(lake, records)
    return [
        ClusteringSummary(
            record.row["embedding_model"],
            record.row["modality"],
            record.row["space"],
            record.row["points"],
            record.row["distinct_points"],
            record.row["clusters"],
            record.row["outlier_share"],
            record.recomputed,
            record.row["assigned_later"],
            record.computed,
            record.row["stability"],
        )
        for record in records
    ]


def _pools(lake: Lake) -> Sequence[tuple[str, str, str, pa.Table]]:
    """(embedding model, modality, space, points) for each space: a model of two revisions has two."""
    index = lake.read("embeddings", columns=["embedding_model", "modality", "space"])
    kinds = index.group_by(["embedding_model", "modality", "space"]).aggregate([]).to_pylist()
    pools = []
    for kind in sorted(kinds, key=lambda k: (k["embedding_model"], k["modality"], k["space"])):
        points = lake.read("embeddings", where=kind)
        points = points.filter(pc.field("sequence_number") >= 0)
        if points.num_rows:
            pools.append((kind["embedding_model"], kind["modality"], kind["space"], points))
    return pools


def _identity(space: str, modality: str, points: pa.Table, parameters: Parameters) -> bytes:
    digest = blake2b(f"{ALGORITHM} {space} {modality} {parameters}".encode(), digest_size=16)
    for name in ("run_number", "sequence_number"):
        digest.update(np.ascontiguousarray(points.column(name).to_numpy()).data)
    digest.update(",".join(map(str, points.column("experiment").to_pylist())).encode())
    digest.update(np.ascontiguousarray(matrix(points)).data)
    return digest.digest()


def _landmarks(count: int, parameters: Parameters) -> np.ndarray:
    """Rows of a pool that are clustered: all, or an even draw of as many as the parameters admit, in order."""
    if count <= parameters.landmarks:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, parameters.landmarks, replace=False))


def _frozen(
    before: Held | None, points: pa.Table, parameters: Parameters, growth: float, force: bool
) -> np.ndarray | None:
    """Rows of the pool that the clustering was made of, in its order; None if it is to be made anew."""
    if before is None or force or points.num_rows - before.pooled > growth * before.pooled:
        return None
    rows = {place: row for row, place in enumerate(places_of(points))}
    found = [rows.get(place, -1) for place in before.frozen]
    if min(found, default=-1) < 0:
        return None
    frozen = np.sort(np.array(found))
    _, modality, space = before.kind
    return frozen if _identity(space, modality, points.take(frozen), parameters) == before.identity else None


def _clustered(
    identity: bytes,
    name: str,
    modality: str,
    space: str,
    points: pa.Table,
    frozen: np.ndarray,
    parameters: Parameters,
) -> Record:
    """A new clustering of the frozen rows; the other rows are put to its clusters."""
    chosen = points.take(frozen)
    vectors = matrix(chosen)
    result = cluster(vectors, parameters)
    atlas = Atlas.of(vectors, result.labels, result.probabilities, parameters)
    runs = np.unique([f"{place[0]} {place[1]}" for place in places_of(chosen)], return_inverse=True)[1]
    checked = stability(vectors, runs, result.labels, parameters)
    labels, probabilities = np.full(points.num_rows, OUTLIER, np.int32), np.zeros(points.num_rows, np.float32)
    labels[frozen], probabilities[frozen] = result.labels, result.probabilities
    later = np.ones(points.num_rows, bool)
    later[frozen] = False
    rest = np.flatnonzero(later)
    if len(rest):
        labels[rest], probabilities[rest] = atlas.assign(matrix(points.take(rest)))
    row = {
        "clustering_id": identity,
        "embedding_model": name,
        "modality": modality,
        "space": space,
        "algorithm": ALGORITHM,
        "distinct_points": result.distinct,
        "clusters": len(result.medoids),
        "stability": checked.agreement if np.isfinite(checked.agreement) else None,
    }
    return Record.new(
        row,
        parameters.as_dict() | {"min_cluster_size": parameters.smallest(result.distinct)},
        diagnostics(vectors, result.labels, parameters),
        points,
        labels,
        probabilities,
        later,
        frozen[result.medoids],
        atlas.reach,
        checked.recovery,
    )


def _extended(before: Held, points: pa.Table, frozen: np.ndarray, parameters: Parameters) -> Record:
    """The clustering that there is, with the labels that new points get, and without those of points that are gone."""
    known = before.labels()
    places = places_of(points)
    labels = np.full(points.num_rows, OUTLIER, np.int32)
    probabilities = np.zeros(points.num_rows, np.float32)
    fresh = []
    for row, place in enumerate(places):
        if place in known:
            labels[row], probabilities[row] = known[place]
        else:
            fresh.append(row)
    if fresh:
        vectors = matrix(points.take(frozen))
        atlas = Atlas.of(vectors, labels[frozen], probabilities[frozen], parameters)
        labels[fresh], probabilities[fresh] = atlas.assign(matrix(points.take(fresh)))
    later = np.ones(points.num_rows, bool)
    later[frozen] = False
    return before.extended(points, labels, probabilities, later, len(fresh))
