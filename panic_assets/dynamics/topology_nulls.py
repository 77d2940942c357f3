"""Whether the shape of a run is more than its spectrum, its memory or its steps would give by chance.

Here belong the measures of a diagram and their comparison with surrogates. The surrogates belong to
``topology.surrogates``, periodicity to ``windows``. Definitions and limits: docs/analyses/topology_nulls.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.findings import Findings, Group, RunStatistic
from panic_assets.dynamics.grouping import grouped, means
from panic_assets.dynamics.null_models import (
    NULLS,
    Side,
    Verdict,
    adjusted,
    balanced,
    finite,
    seed_of,
    significant_share,
    verdict,
)
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import adjust
from panic_assets.geometry import checked_points, distance_matrix, distinct_rows
from panic_assets.topology.features import diagram_features
from panic_assets.topology.persistence import Diagrams, diagrams_of
from panic_assets.topology.surrogates import isometric

FEWEST_POINTS = 10


@dataclass(frozen=True)
class Measure:
    """A number of a diagram, and on which side of the surrogates' it would mean structure."""

    dimension: int
    feature: str
    side: Side

    @property
    def name(self) -> str:
        """As in the tables."""
        return f"h{self.dimension}_{self.feature}"


_OF_LOOPS: tuple[tuple[str, Side], ...] = (
    ("max_persistence", "greater"),
    ("total_persistence", "greater"),
    ("entropy", "less"),
)
#: Structure is: groups far apart, and short ways within them (H0); few, wide loops and voids (H1, H2).
MEASURES = (
    Measure(0, "max_persistence", "greater"),
    Measure(0, "total_persistence", "less"),
    Measure(0, "entropy", "less"),
    *(Measure(dimension, feature, side) for dimension in (1, 2) for feature, side in _OF_LOOPS),
)


@dataclass(frozen=True)
class Options:
    """What is compared, and how much of it: cost is runs x null models x surrogates diagrams.

    ``runs_per_network``: None for all. ``most_points``: the last so many distinct points, in order, because order is
    what surrogates are made from; None for all. ``max_dimension``: 2 for voids too.
    """

    nulls: tuple[str, ...] = ("phase", "ar1", "walk")
    surrogates: int = 39
    runs_per_network: int | None = 8
    most_points: int | None = 100
    max_dimension: int = 1
    alpha: float = 0.05
    seed: int = 0


DEFAULT = Options()
FULL = Options(surrogates=99, runs_per_network=None, most_points=None, max_dimension=2)


def path_of(vectors: np.ndarray, most_points: int | None) -> np.ndarray:
    """The last distinct points in the order of their first visits, in the coordinates of their own span, (m, r).

    A Rips diagram does not see how often a point is visited, so neither must a surrogate: with as many points as the
    run has *different* ones, both sides have the same number of H0 bars.
    """
    rows = checked_points(vectors)
    first, _ = distinct_rows(rows)
    chosen = first if most_points is None else first[-most_points:]
    return isometric(rows[chosen])


def measured(diagrams: Diagrams, scale: float, measures: Sequence[Measure] = MEASURES) -> np.ndarray:
    """Values (measures,), lengths in units of ``scale``; NaN where there is no bar to tell an entropy from."""
    features = [diagram_features(one) for one in diagrams.diagrams]
    values = np.full(len(measures), np.nan)
    for position, measure in enumerate(measures):
        if measure.dimension < len(features):
            value = getattr(features[measure.dimension], measure.feature)
            if value is not None:
                values[position] = value if measure.feature == "entropy" else value / scale
    return values


def spread_of(points: np.ndarray) -> float:
    """Median distance between two points, the unit of lengths: a walk spreads more than a run, and that is no shape."""
    distances = distance_matrix(points)[np.triu_indices(len(points), 1)]
    middle = float(np.median(distances)) if len(distances) else 0.0
    return middle if middle > 0 else 1.0


def compare_with_nulls(
    paths: Sequence[np.ndarray], numbers: Sequence[int], options: Options = DEFAULT, workers: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Measure paths and their surrogates.

    Args:
        paths: arrays (m, r) from :func:`path_of`.
        numbers: the runs' numbers, which choose their seeds.
        options: which null models and how many surrogates.
        workers: threads; None for one per core.

    Returns:
        ``observed`` (paths, measures) and ``null`` (paths, null models, surrogates, measures).
    """
    scales: list[float] = []

    def clouds() -> Iterator[np.ndarray]:
        for path, number in zip(paths, numbers, strict=True):
            scales.append(spread_of(path))
            yield path
            for null in options.nulls:
                for cloud in NULLS[null](path, options.surrogates, seed_of(number, null, options.seed)):
                    scales.append(spread_of(cloud))
                    yield cloud

    found = diagrams_of(clouds(), options.max_dimension, workers=workers)
    rows = [measured(diagrams, scale) for diagrams, scale in zip(found, scales, strict=True)]
    width = 1 + len(options.nulls) * options.surrogates
    table = np.array(rows).reshape(len(paths), width, len(MEASURES))
    null = table[:, 1:].reshape(len(paths), len(options.nulls), options.surrogates, len(MEASURES))
    return table[:, 0], null


def compute(corpus: Corpus, options: Options = DEFAULT) -> Findings:
    """Compare runs of every space and network with their surrogates."""
    findings = Findings()
    for space in corpus.spaces:
        _space_findings(space, options, findings)
    return adjusted(findings)


def _space_findings(space: Space, options: Options, findings: Findings) -> None:
    chosen = [space.trajectories[position] for position in balanced(space.trajectories, options.runs_per_network)]
    paths = [path_of(one.vectors, options.most_points) for one in chosen]
    long = [i for i, path in enumerate(paths) if len(path) >= FEWEST_POINTS]
    observed, null = compare_with_nulls([paths[i] for i in long], [chosen[i].run.number for i in long], options)
    used = [i for i, measure in enumerate(MEASURES) if measure.dimension <= options.max_dimension]
    recorded = asdict(options) | {"nulls": list(options.nulls), "runs_of_space": len(space.trajectories)}
    verdicts = _verdicts(observed, null, used)
    for (kind, column), of_runs in verdicts.items():
        name = MEASURES[column].name
        p_values = np.full(len(chosen), np.nan)
        p_values[long] = [one.p for one in of_runs]
        better = adjust(p_values)
        excess = np.full(len(chosen), np.nan)
        excess[long] = [one.excess for one in of_runs]
        by_run = dict(zip(long, of_runs, strict=True))
        null_name = options.nulls[kind]
        for row, trajectory in enumerate(chosen):
            details = {"why": f"fewer than {FEWEST_POINTS} distinct points", "points": len(paths[row])}
            if row in by_run:
                details = _told(by_run[row], better[row]) | {"points": len(paths[row])}
            findings.runs.append(
                RunStatistic(
                    trajectory.run.number,
                    f"p_{null_name}_{name}",
                    float(p_values[row]),
                    embedding_model=space.embedding_model,
                    modality=space.modality,
                    details=details,
                )
            )
        for group, members in _networks(space, chosen):
            part = p_values[members]
            more = recorded | {"significant_after_adjustment": int((better[members] <= options.alpha).sum())}
            share = significant_share(group, f"share_{null_name}_{name}", part, options.surrogates, options.alpha, more)
            findings.groups.append(share)
            what = f"(run - mean) / standard deviation of {options.surrogates} surrogates"
            statistic = f"excess_{null_name}_{name}"
            findings.groups += means(group, {statistic: excess[members]}, {statistic: "standard deviations"}, what)


def _verdicts(observed: np.ndarray, null: np.ndarray, used: Sequence[int]) -> dict[tuple[int, int], list[Verdict]]:
    """Verdicts of all runs by position of the null model and of the measure."""
    return {
        (kind, column): [
            verdict(float(observed[run, column]), null[run, kind, :, column], MEASURES[column].side)
            for run in range(len(observed))
        ]
        for kind in range(null.shape[1])
        for column in used
    }


def _told(one: Verdict, better: float) -> dict[str, object]:
    return {
        "observed": finite(one.observed),
        "null_mean": finite(one.null_mean),
        "null_deviation": finite(one.null_deviation),
        "p_adjusted": finite(better),
        "unit": "median distances (entropy: nats)",
    }


def _networks(space: Space, chosen: Sequence[Trajectory]) -> list[tuple[Group, list[int]]]:
    """Networks alone: the few runs of a prompt that are chosen would say nothing."""
    return [(group, members) for group, members in grouped(chosen, space) if group.prompt_number < 0]


TOPOLOGY_NULLS = Analysis(
    "topology_nulls",
    "Topology against null models",
    "Whether diagrams differ from those of surrogates that keep spectrum, memory or steps, as shares of runs.",
    compute,
)
