"""The clustering stage: tables ``clusterings``, ``clusters`` and ``cluster_assignments`` from all embeddings.

Here belongs what is pooled and how it is written. A clustering is made for each embedding model and modality: texts and
images of a joint model lie apart, and a clustering of both would find just that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from panic_assets.clustering.density import Clustering, Parameters, cluster
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix

ALGORITHM = "hdbscan"


@dataclass(frozen=True)
class ClusteringSummary:
    """One clustering: what was pooled and what came of it."""

    embedding_model: str
    modality: str
    space: str
    points: int
    distinct_points: int
    clusters: int
    outlier_share: float
    recomputed: bool


def cluster_lake(lake: Lake, parameters: Parameters | None = None) -> list[ClusteringSummary]:
    """Cluster every space of the lake anew where its points or the parameters changed.

    The id of a clustering is a hash of its points and parameters: equal data, equal id, nothing is computed. Prompts
    (sequence number -1) are not pooled: they were given, not found.
    """
    parameters = parameters or Parameters()
    held = {row["clustering_id"]: row for row in lake.read("clusterings").to_pylist()}
    summaries, kept, fresh = [], [], []
    for name, modality, space, points in _pools(lake):
        identity = _identity(space, modality, points, parameters)
        row = held.get(identity)
        if row is None:
            result = cluster(matrix(points), parameters)
            row = _clustering_row(identity, name, modality, space, parameters, result)
            fresh.append((row, points, result))
        else:
            kept.append(identity)
        summaries.append(
            ClusteringSummary(
                name,
                modality,
                space,
                row["points"],
                row["distinct_points"],
                row["clusters"],
                row["outlier_share"],
                recomputed=identity not in kept,
            )
        )
    if fresh or set(kept) != set(held):
        _write(lake, kept, fresh)
    return summaries


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


def _clustering_row(
    identity: bytes, name: str, modality: str, space: str, parameters: Parameters, result: Clustering
) -> dict[str, Any]:
    import json

    return {
        "clustering_id": identity,
        "embedding_model": name,
        "modality": modality,
        "space": space,
        "algorithm": ALGORITHM,
        "parameters": json.dumps(
            parameters.as_dict() | {"min_cluster_size": parameters.smallest(result.distinct)}, sort_keys=True
        ),
        "points": len(result.labels),
        "distinct_points": result.distinct,
        "clusters": len(result.medoids),
        "outlier_share": result.outlier_share,
        "created_at": datetime.now(UTC),
    }


def _write(lake: Lake, kept: list[bytes], fresh: list[tuple[dict[str, Any], pa.Table, Clustering]]) -> None:
    """Assignments and clusters first, the list of clusterings last: what it names is there."""
    texts = _texts(lake, fresh)
    rows: dict[str, list[pa.Table | list[dict[str, Any]]]] = {
        "cluster_assignments": [_assignment_rows(*item) for item in fresh],
        "clusters": [_cluster_rows(*item, texts) for item in fresh],
        "clusterings": [[item[0]] for item in fresh],
    }
    for table, additions in rows.items():
        with lake.writer(table) as writer:
            gone = set(lake.read(table, columns=["clustering_id"]).column(0).unique().to_pylist()) - set(kept)
            if gone:
                writer.replace([], {"clustering_id": gone})
            for addition in additions:
                writer.append(addition)
            writer.compact()


def _assignment_rows(row: dict[str, Any], points: pa.Table, result: Clustering) -> pa.Table:
    count = points.num_rows
    return pa.table(
        {
            "clustering_id": pa.array([row["clustering_id"]] * count, pa.binary(16)),
            "embedding_model": pa.array([row["embedding_model"]] * count),
            "modality": pa.array([row["modality"]] * count),
            "experiment": points.column("experiment").cast(pa.string()),
            "run_number": points.column("run_number"),
            "sequence_number": points.column("sequence_number"),
            "cluster": pa.array(result.labels, pa.int32()),
            "probability": pa.array(result.probabilities, pa.float32()),
        }
    )


def _cluster_rows(
    row: dict[str, Any], points: pa.Table, result: Clustering, texts: dict[tuple[str, int, int], str]
) -> list[dict[str, Any]]:
    rows = []
    for number, medoid in enumerate(result.medoids.tolist()):
        size = int((result.labels == number).sum())
        place = tuple(points.column(name)[medoid].as_py() for name in ("experiment", "run_number", "sequence_number"))
        rows.append(
            {
                "clustering_id": row["clustering_id"],
                "embedding_model": row["embedding_model"],
                "modality": row["modality"],
                "cluster": number,
                "size": size,
                "share": size / len(result.labels),
                "medoid_experiment": place[0],
                "medoid_run_number": place[1],
                "medoid_sequence_number": place[2],
                "medoid_text": texts.get(place),
            }
        )
    return rows


def _texts(lake: Lake, fresh: list[tuple[dict[str, Any], pa.Table, Clustering]]) -> dict[tuple[str, int, int], str]:
    """Captions of medoids, for the eye."""
    texts: dict[tuple[str, int, int], str] = {}
    columns = ["experiment", "run_number", "sequence_number", "text"]
    for row, points, result in fresh:
        if row["modality"] != "text":
            continue
        chosen = points.take(result.medoids).select(columns[:3]).to_pylist()
        for experiment in {place["experiment"] for place in chosen}:
            runs = {place["run_number"] for place in chosen if place["experiment"] == experiment}
            for found in lake.read("invocations", experiment, columns, {"run_number": runs}).to_pylist():
                texts[(found["experiment"], found["run_number"], found["sequence_number"])] = found["text"]
    return texts
