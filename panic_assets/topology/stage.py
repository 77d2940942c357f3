"""The topology stage: tables ``persistence_diagrams`` and ``persistence_features`` from the embeddings of a lake.

Here belongs which trajectories are to be done and how results become rows; the mathematics is in ``persistence``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix
from panic_assets.topology.features import diagram_features
from panic_assets.topology.persistence import Diagrams, diagrams_of

MAX_DIMENSION = 2
_CHUNK = 256  # trajectories between two commits


@dataclass(frozen=True)
class Trajectory:
    """The outputs of one run in one space and of one modality, in order; the prompt is not among them."""

    run_number: int
    embedding_model: str
    modality: str
    space: str
    points: np.ndarray


@dataclass(frozen=True)
class PersistenceSummary:
    """``trajectories``: in all; ``computed``: this time; ``status``: how many diagrams ended how."""

    trajectories: int
    computed: int
    status: dict[str, int]


def persist_experiment(
    lake: Lake,
    experiment: str,
    max_dimension: int = MAX_DIMENSION,
    budget_seconds: float | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PersistenceSummary:
    """Bring the diagrams of an experiment up to date.

    A trajectory is done again when it has other points than at the time of its diagram: it grew, or its space changed.
    ``budget_seconds`` bounds one diagram, see :func:`panic_assets.topology.persistence.diagrams_of`.
    """
    done = lake.properties("persistence_diagrams", experiment).get("trajectories", {})
    held = list(trajectories(lake, experiment))
    pending = [t for t in held if done.get(_name(t)) != _signature(t)]
    if pending:
        with (
            lake.writer("persistence_features", experiment) as features,
            lake.writer("persistence_diagrams", experiment) as diagrams,
        ):
            for start in range(0, len(pending), _CHUNK):
                chunk = pending[start : start + _CHUNK]
                results = diagrams_of(
                    [t.points for t in chunk], max_dimension, workers=workers, budget_seconds=budget_seconds
                )
                for writer, rows_of in ((features, _feature_rows), (diagrams, _diagram_rows)):
                    for where in _places(chunk):
                        writer.replace([], where)
                    writer.append([r for t, d in zip(chunk, results, strict=True) for r in rows_of(experiment, t, d)])
                done = done | {_name(t): _signature(t) for t in chunk}
                diagrams.set_property("trajectories", done)
                features.commit()  # before the diagrams, whose property says what is done
                diagrams.commit()
                if on_progress:
                    on_progress(start + len(chunk), len(pending))
            features.compact()
            diagrams.compact()
    rows = lake.read("persistence_diagrams", experiment, ["status"])
    return PersistenceSummary(len(held), len(pending), dict(Counter(rows.column("status").to_pylist())))


def trajectories(lake: Lake, experiment: str) -> Iterator[Trajectory]:
    """Every trajectory of an experiment: a run, an embedding model, a modality."""
    models = lake.read("embeddings", experiment, ["embedding_model"]).column(0).unique().to_pylist()
    for model in sorted(models):
        rows = lake.read("embeddings", experiment, where={"embedding_model": model})
        vectors = matrix(rows)
        run, place = rows.column("run_number").to_numpy(), rows.column("sequence_number").to_numpy()
        modality = np.array(rows.column("modality").to_pylist())
        space = rows.column("space")[0].as_py()
        numbers, starts = np.unique(run, return_index=True)  # rows of a run lie together, in order
        for number, rows_of_run in zip(numbers, np.split(np.arange(len(run)), starts[1:]), strict=True):
            outputs = rows_of_run[place[rows_of_run] >= 0]
            for medium in np.unique(modality[outputs]):
                yield Trajectory(int(number), model, str(medium), space, vectors[outputs[modality[outputs] == medium]])


def _name(trajectory: Trajectory) -> str:
    return f"{trajectory.run_number}/{trajectory.embedding_model}/{trajectory.modality}"


def _signature(trajectory: Trajectory) -> str:
    """Equal exactly for equal points in one space."""
    digest = blake2b(trajectory.space.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(trajectory.points).data)
    return f"{len(trajectory.points)} {digest.hexdigest()}"


def _place(trajectory: Trajectory) -> dict[str, Any]:
    return {
        "run_number": trajectory.run_number,
        "embedding_model": trajectory.embedding_model,
        "modality": trajectory.modality,
    }


def _places(chunk: Sequence[Trajectory]) -> Iterator[dict[str, Any]]:
    """Conditions that together meet the rows of these trajectories and no others."""
    kinds = {(t.embedding_model, t.modality) for t in chunk}
    for model, modality in sorted(kinds):
        runs = {t.run_number for t in chunk if (t.embedding_model, t.modality) == (model, modality)}
        yield {"embedding_model": model, "modality": modality, "run_number": runs}


def _diagram_rows(experiment: str, trajectory: Trajectory, result: Diagrams) -> list[dict[str, Any]]:
    common = {"experiment": experiment} | _place(trajectory)
    return [
        common
        | {
            "homology_dimension": diagram.homology_dimension,
            "births": diagram.births,
            "deaths": diagram.deaths,
            "points": result.points,
            "distinct_points": result.distinct_points,
            "threshold": result.threshold,
            "metric": "euclidean",
            "status": result.status,
            "seconds": result.seconds,
        }
        for diagram in result.diagrams
    ]


def _feature_rows(experiment: str, trajectory: Trajectory, result: Diagrams) -> list[dict[str, Any]]:
    common = {"experiment": experiment} | _place(trajectory)
    return [common | asdict(features) for features in map(diagram_features, result.diagrams)]
