"""The analysis ``topology_curves``: mean Betti curves, landscapes, silhouettes and features of groups of runs.

Here belong means over runs and their intervals. The curves of one diagram belong to ``vectorisations``, numbers of one
diagram to ``features``; whether groups differ belongs to ``diagram_contrasts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic
from panic_assets.dynamics.grouping import grouped, mean_curve, means
from panic_assets.dynamics.stage import Analysis
from panic_assets.topology.vectorisations import betti_curve, landscapes, silhouette

SCALES = 101
_EXACT = ("complete", "too_few_points")
FEATURES = {
    "bars": "bars",
    "total_persistence": "distance",
    "max_persistence": "distance",
    "entropy": "nats",
    "entropy_normalised": "",
}
VECTORISATIONS: Mapping[str, Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]] = {
    "betti": betti_curve,
    "landscape": lambda diagram, scales: landscapes(diagram, scales, 1)[0],
    "silhouette": silhouette,
}


@dataclass(frozen=True)
class Shapes:
    """The exact diagrams of one space and homology dimension, and their features, by runs.

    ``features`` holds float (runs,) arrays, NaN for none. ``censored`` counts runs left out because their diagrams were
    not exact.
    """

    embedding_model: str
    modality: str
    dimension: int
    runs: tuple[Run, ...]
    diagrams: tuple[NDArray[np.float64], ...]
    features: Mapping[str, NDArray[np.float64]]
    censored: int


def stored_shapes(corpus: Corpus) -> list[Shapes]:
    """What the lake holds of an experiment's diagrams; those with a threshold, or with dimensions missing, left out."""
    key = ["embedding_model", "modality", "homology_dimension", "run_number"]
    table = corpus.lake.read("persistence_diagrams", corpus.experiment, [*key, "births", "deaths", "status"])
    features = corpus.lake.read("persistence_features", corpus.experiment, [*key, *FEATURES])
    numbers = {tuple(row[name] for name in key): row for row in features.to_pylist()}
    runs = {run.number: run for run in corpus.runs}
    rows_of: dict[tuple[str, str, int], list[dict[str, object]]] = {}
    for row in table.to_pylist():
        if row["run_number"] in runs and tuple(row[name] for name in key) in numbers:
            rows_of.setdefault((row["embedding_model"], row["modality"], row["homology_dimension"]), []).append(row)
    found = []
    for place, rows in sorted(rows_of.items()):
        exact = [row for row in rows if row["status"] in _EXACT]
        held = [numbers[tuple(row[name] for name in key)] for row in exact]
        found.append(
            Shapes(
                *place,
                tuple(runs[row["run_number"]] for row in held),
                tuple(np.stack([np.array(row[n], dtype=float) for n in ("births", "deaths")], axis=1) for row in exact),
                {name: np.array([row[name] for row in held], dtype=float) for name in FEATURES},
                len(rows) - len(exact),
            )
        )
    return found


def common_scales(shapes: Sequence[Shapes]) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Scales for each (embedding model, modality): 0 to the largest finite death of any dimension, equally spaced."""
    largest: dict[tuple[str, str], float] = {}
    for one in shapes:
        space = (one.embedding_model, one.modality)
        for diagram in one.diagrams:
            deaths = diagram[np.isfinite(diagram[:, 1]), 1]
            largest[space] = max(largest.get(space, 0.0), float(deaths.max(initial=0.0)))
    # Runs that never move have no scale of their own; any will do.
    return {space: np.linspace(0.0, last if last > 0 else 1.0, SCALES) for space, last in largest.items()}


def topology_curves(corpus: Corpus, resamples: int = 1000) -> Findings:
    """Mean curves of each network, and mean features of each network and prompt, with bootstrap intervals over runs."""
    shapes = stored_shapes(corpus)
    scales = common_scales(shapes)
    findings = Findings()
    for one in shapes:
        for group, members in _groups(one):
            findings.groups += _features(one, group, members, resamples)
        networks = [(group, members) for group, members in _groups(one) if group.prompt_number == -1]
        axis = scales.get((one.embedding_model, one.modality))
        if axis is not None:
            findings.curves += _curves(one, networks, axis, resamples)
    return findings


def _groups(shapes: Shapes) -> Iterator[tuple[Group, list[int]]]:
    for group, members in grouped(shapes.runs):
        yield Group(shapes.embedding_model, shapes.modality, group.network, group.prompt_number), members


def _features(shapes: Shapes, group: Group, members: list[int], resamples: int) -> list[GroupStatistic]:
    """Give the means of features under names that say the dimension."""
    names = {name: f"{name}_h{shapes.dimension}" for name in FEATURES}
    what = "exact diagrams only" + (f" ({shapes.censored} others in this space)" if shapes.censored else "")
    return means(
        group,
        {names[name]: shapes.features[name][members] for name in FEATURES},
        {names[name]: unit for name, unit in FEATURES.items()},
        what,
        resamples,
    )


def _curves(
    shapes: Shapes, groups: Sequence[tuple[Group, list[int]]], scales: NDArray[np.float64], resamples: int
) -> Iterator[Curve]:
    for name, vector in VECTORISATIONS.items():
        table = np.array([vector(diagram, scales) for diagram in shapes.diagrams])
        for group, members in groups:
            yield mean_curve(group, f"{name}_h{shapes.dimension}", scales, table[members], "distance", resamples)


TOPOLOGY_CURVES = Analysis(
    "topology_curves",
    "Shapes of trajectories",
    "Mean Betti curves, landscapes and silhouettes of each network, and mean features of diagrams, with intervals.",
    topology_curves,
    reads=("runs", "outcomes", "persistence_diagrams", "persistence_features"),
)
