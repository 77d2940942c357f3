"""The analysis ``diagram_contrasts``: whether runs of one network, prompt or seed have diagrams of their own.

Here belongs which runs are compared and in which groups; the statistics are in ``distance_groups``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.dynamics.distance_groups import PERMUTATIONS, Contrast, contrast, mantel
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import adjust

UNSEEDED = -1
_EXACT = ("complete", "too_few_points")  # distances to a thresholded diagram are of two different things


@dataclass(frozen=True)
class Factor:
    """What runs can have in common. Runs of one block differ in nothing else, but for chance."""

    name: str
    label: Callable[[Run], object]
    block: Callable[[Run], object]
    counts: Callable[[Run], bool] = lambda run: True


FACTORS = (
    Factor("network", lambda run: run.network, lambda run: (run.prompt_number, run.seed)),
    Factor("prompt", lambda run: run.prompt_number, lambda run: (run.network, run.seed)),
    # Unseeded runs have no seed in common.
    Factor(
        "seed", lambda run: run.seed, lambda run: (run.network, run.prompt_number), lambda run: run.seed != UNSEEDED
    ),
)


@dataclass(frozen=True)
class Distances:
    """Distances of one space and homology dimension: ``matrix`` (runs, runs), NaN where there is none."""

    embedding_model: str
    modality: str
    dimension: int
    runs: tuple[Run, ...]
    matrix: NDArray[np.float64]

    def of(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """The matrix of some of the runs, by their positions."""
        return self.matrix[np.ix_(chosen, chosen)]


def stored_distances(corpus: Corpus) -> list[Distances]:
    """The 1-Wasserstein matrices of an experiment in the lake, runs whose diagrams are censored left out."""
    statuses = corpus.lake.read(
        "persistence_diagrams",
        corpus.experiment,
        ["embedding_model", "modality", "homology_dimension", "run_number"],
        {"status": list(_EXACT)},
    )
    exact = set(zip(*(column.to_pylist() for column in statuses.columns), strict=True))
    table = corpus.lake.read("diagram_distances", corpus.experiment)
    names = ("embedding_model", "modality", "homology_dimension", "run_a", "run_b", "wasserstein_1")
    found: dict[tuple[str, str, int], list[tuple[int, int, float]]] = {}
    for model, modality, dimension, a, b, distance in zip(
        *(table.column(name).to_pylist() for name in names), strict=True
    ):
        place = (model, modality, dimension)
        if (*place, a) in exact and (*place, b) in exact:
            found.setdefault(place, []).append((a, b, distance))
    runs = {run.number: run for run in corpus.runs}
    matrices = []
    for place, rows in sorted(found.items()):
        numbers = sorted({number for a, b, _ in rows for number in (a, b)} & runs.keys())
        position = {number: place_of for place_of, number in enumerate(numbers)}
        matrix = np.full((len(numbers), len(numbers)), np.nan)
        np.fill_diagonal(matrix, 0.0)
        for a, b, distance in rows:
            if a in position and b in position:
                matrix[position[a], position[b]] = matrix[position[b], position[a]] = distance
        matrices.append(Distances(*place, tuple(runs[number] for number in numbers), matrix))
    return matrices


def diagram_contrasts(corpus: Corpus, permutations: int = PERMUTATIONS, resamples: int = 1000) -> Findings:
    """Compare distances within and between networks, prompts and seeds, and the matrices of embedding models."""
    matrices = stored_distances(corpus)
    rows: list[GroupStatistic] = []
    for distances in matrices:
        for factor in FACTORS:
            for network, chosen in _groups(distances.runs, factor):
                runs = [distances.runs[position] for position in chosen]
                found = contrast(
                    distances.of(chosen),
                    _codes([factor.label(run) for run in runs]),
                    _codes([factor.block(run) for run in runs]),
                    permutations,
                    resamples,
                )
                group = Group(distances.embedding_model, distances.modality, network, contrast=factor.name)
                rows += _contrast_rows(group, distances.dimension, found, len(runs))
    rows += _agreements(matrices, permutations, resamples)
    tested = [position for position, row in enumerate(rows) if row.p_value is not None and np.isfinite(row.p_value)]
    adjusted = adjust(np.array([rows[position].p_value for position in tested], dtype=float))
    for position, value in zip(tested, adjusted, strict=True):
        rows[position] = replace(rows[position], p_adjusted=float(value))
    return Findings(groups=rows)


def _groups(runs: Sequence[Run], factor: Factor) -> Iterator[tuple[str, list[int]]]:
    """All runs that count under the name "", then those of each network, if there are several and it is not asked."""
    counted = [position for position, run in enumerate(runs) if factor.counts(run)]
    yield "", counted
    networks = list(dict.fromkeys(runs[position].network for position in counted))
    if factor.name != "network" and len(networks) > 1:
        for network in networks:
            yield network, [position for position in counted if runs[position].network == network]


def _contrast_rows(group: Group, dimension: int, found: Contrast, runs: int) -> Iterator[GroupStatistic]:
    why = {"why": found.why} if found.why else None
    yield GroupStatistic(
        group,
        f"separation_h{dimension}",
        found.separation,
        runs,
        "(mean W1 between - within) / mean W1; bootstrap over runs within labels",
        "mean distance",
        details=why,
    )
    yield GroupStatistic(
        group,
        f"r_squared_h{dimension}",
        found.r_squared,
        runs,
        "PERMANOVA on W1; labels permuted within blocks that agree in all else; bootstrap over runs within labels",
        "share",
        p_value=found.p_value,
        details=why,
    )


def _agreements(matrices: Sequence[Distances], permutations: int, resamples: int) -> Iterator[GroupStatistic]:
    """Tell how far embedding models agree on which runs have near diagrams."""
    for one, other in combinations(matrices, 2):
        if (one.modality, one.dimension) != (other.modality, other.dimension):
            continue
        places = {run.number: position for position, run in enumerate(other.runs)}
        shared = [(place, places[run.number]) for place, run in enumerate(one.runs) if run.number in places]
        here, there = ([pair[side] for pair in shared] for side in (0, 1))
        networks = _codes([one.runs[position].network for position in here])
        interval, p_value = mantel(one.of(here), other.of(there), networks, permutations, resamples)
        yield GroupStatistic(
            Group(modality=one.modality, contrast=f"{one.embedding_model} x {other.embedding_model}"),
            f"mantel_h{one.dimension}",
            interval,
            len(shared),
            "Mantel, Spearman; runs permuted within networks; bootstrap over runs",
            "correlation",
            p_value=p_value,
            details=None if np.isfinite(interval.value) else {"why": "fewer than four runs, or all diagrams equal"},
        )


def _codes(values: Sequence[object]) -> NDArray[np.intp]:
    """Number values in the order of their first occurrence."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.intp)


DIAGRAM_CONTRASTS = Analysis(
    "diagram_contrasts",
    "What persistence diagrams have in common",
    "Whether runs of one network, prompt or seed have diagrams nearer to one another than to others.",
    diagram_contrasts,
    reads=("runs", "outcomes", "persistence_diagrams", "diagram_distances"),
)
