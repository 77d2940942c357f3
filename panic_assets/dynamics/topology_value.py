"""Does topology say anything that duplicates and dwell times do not? One answer for each experiment.

Here belong the features that are compared, the targets, and the sentence. Cross-validation and partial correlation are
in ``added_value``; whether a diagram differs from chance is ``topology_nulls``. Definitions and limits:
docs/analyses/topology_value.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from panic_assets.dynamics.added_value import Gain, compare_features, partial_correlation_of_runs
from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.grouping import grouped
from panic_assets.dynamics.null_models import adjusted
from panic_assets.dynamics.recurrence import quantify, recurrence_matrix, typical_distance
from panic_assets.dynamics.regimes import UNDETERMINED, classify, features_of
from panic_assets.dynamics.stage import Analysis
from panic_assets.geometry import checked_points, distance_matrix, distinct_rows

BASELINE = ("distinct_share", "mean_dwell", "longest_dwell", "mean_step", "spread", "length")
GIVEN = ("distinct_share", "mean_dwell", "length")
_OF_DIAGRAM = ("bars", "total_persistence", "max_persistence", "entropy")
_DIMENSIONS = (0, 1, 2)
TOPOLOGICAL = tuple(f"h{dimension}_{name}" for dimension in _DIMENSIONS for name in _OF_DIAGRAM)
_NEAR = 0.5  # of the space's typical distance, as in the analyses of recurrence and regimes
_LAST = 0.25


@dataclass(frozen=True)
class Options:
    """``folds`` of cross-validation, fewer with few prompts; ``permutations`` for the null distribution of the gain."""

    folds: int = 5
    permutations: int = 99
    seed: int = 0


DEFAULT = Options()


def dwell_times(which: np.ndarray) -> np.ndarray:
    """How many points in a row each visit lasts: int (visits,), from positions of distinct points (n,)."""
    edges = np.flatnonzero(np.diff(which, prepend=-1, append=-1))
    return np.diff(edges)


def baseline_features(vectors: np.ndarray) -> np.ndarray:
    """What a trajectory tells without topology, float (6,), in the order of `BASELINE`; NaN without points.

    Share of distinct points; mean and longest dwell (points in a row that are equal to the bit); mean distance of
    successive points; root mean square distance from the centroid; number of points.
    """
    rows = checked_points(vectors)
    if not len(rows):
        return np.full(len(BASELINE), np.nan)
    first, which = distinct_rows(rows)
    dwells = dwell_times(which)
    step = np.linalg.norm(np.diff(rows, axis=0), axis=1).mean() if len(rows) > 1 else np.nan
    spread = np.sqrt(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).mean())
    return np.array([len(first) / len(rows), dwells.mean(), dwells.max(), step, spread, len(rows)], dtype=float)


def final_drift(trajectory: Trajectory) -> float:
    """Distance from the prompt, or the first output where the prompt has no vector, to the mean of the last quarter."""
    vectors = trajectory.vectors.astype(float)
    start = vectors[0] if trajectory.prompt is None else trajectory.prompt.astype(float)
    return float(np.linalg.norm(vectors[-max(1, int(_LAST * len(vectors))) :].mean(axis=0) - start))


def topological_features(corpus: Corpus, space: Space) -> np.ndarray:
    """Rows of ``persistence_features`` as float (runs, 12), in the order of `TOPOLOGICAL`; NaN where there is none."""
    where = {"embedding_model": space.embedding_model, "modality": space.modality}
    rows = corpus.lake.read("persistence_features", corpus.experiment, where=where).to_pylist()
    places = {one.run.number: position for position, one in enumerate(space.trajectories)}
    table = np.full((len(places), len(TOPOLOGICAL)), np.nan)
    columns = {name: position for position, name in enumerate(TOPOLOGICAL)}
    for row in rows:
        position = places.get(row["run_number"])
        if position is None or row["homology_dimension"] not in _DIMENSIONS:
            continue
        for name in _OF_DIAGRAM:
            # No bar at all has no entropy: as little as one bar has.
            value = 0.0 if row[name] is None else row[name]
            table[position, columns[f"h{row['homology_dimension']}_{name}"]] = value
    return table


def targets_of(space: Space, typical: float) -> dict[str, np.ndarray]:
    """Labels (runs,) by target, "" where unknown: the network, the stop reason, the regime by its rule."""
    runs = space.trajectories
    regimes = [classify(features_of(one, typical)) for one in runs]
    return {
        "network": np.array([one.run.network for one in runs], dtype=str),
        "stop_reason": np.array([one.run.stop_reason or "" for one in runs], dtype=str),
        "regime": np.array(["" if one == UNDETERMINED else one for one in regimes], dtype=str),
    }


def sentence(target: str, gain: Gain) -> str:
    """The answer in plain words; it says yes only if the interval is above 0 and chance does as well in under 5 %."""
    change = f"from {gain.base.value:.0%} to {gain.both.value:.0%}"
    ends = f"{100 * gain.gain.low:+.0f} to {100 * gain.gain.high:+.0f} percentage points"
    known = f"difference {100 * gain.gain.value:+.0f} (95 % interval {ends}, p = {gain.p:.2g}, {gain.runs} runs)"
    if gain.gain.low > 0 and gain.p <= 0.05:
        answer = "Topology says more than duplicates and dwell times"
    elif gain.gain.high < 0:
        answer = "Topology only adds noise to duplicates and dwell times"
    else:
        answer = "Topology says nothing that can be shown beyond duplicates and dwell times"
    told = target.replace("_", " ")
    return f"{answer} about the {told}: telling it of unseen runs goes {change} balanced accuracy, {known}."


def compute(corpus: Corpus, options: Options = DEFAULT) -> Findings:
    """Compare features for every space and target, and correlate loops with drift and recurrence."""
    findings = Findings()
    for space in corpus.spaces:
        if space.trajectories:
            _space_findings(corpus, space, options, findings)
    return adjusted(findings)


def _space_findings(corpus: Corpus, space: Space, options: Options, findings: Findings) -> None:
    base = np.array([baseline_features(one.vectors) for one in space.trajectories])
    added = topological_features(corpus, space)
    typical = typical_distance(space.trajectories)
    prompts = np.array([one.run.prompt_number for one in space.trajectories])
    everyone = Group(space.embedding_model, space.modality)
    held = np.isfinite(added).any(axis=1)
    for target, labels in targets_of(space, typical).items():
        known = np.where(held, labels, "")
        gain = compare_features(
            base, added, known, prompts, folds=options.folds, permutations=options.permutations, seed=options.seed
        )
        why = "no persistence features" if not held.any() else "fewer than two classes of at least five runs"
        findings.groups += _rows(replace(everyone, contrast=f"target={target}"), target, gain, why, options)
    loops = added[:, TOPOLOGICAL.index("h1_total_persistence")]
    given = base[:, [BASELINE.index(name) for name in GIVEN]]
    dynamics = {
        "drift": np.array([final_drift(one) for one in space.trajectories]),
        "recurrence": np.array([_recurrence_rate(one, typical) for one in space.trajectories]),
    }
    groups = [(group, members) for group, members in grouped(space.trajectories, space) if group.prompt_number < 0]
    for group, members in [(everyone, list(range(len(space.trajectories)))), *groups]:
        for name, values in dynamics.items():
            findings.groups.append(_correlation(group, name, loops[members], values[members], given[members]))


def _recurrence_rate(trajectory: Trajectory, typical: float) -> float:
    recurrence = recurrence_matrix(distance_matrix(trajectory.vectors), _NEAR * typical)
    return quantify(recurrence).recurrence_rate


def _rows(group: Group, target: str, gain: Gain | None, why: str, options: Options) -> list[GroupStatistic]:
    names = ("baseline_accuracy", "accuracy_with_topology", "topology_gain")
    method = "balanced accuracy of a ridge classifier, cross-validated by run; bootstrap over runs within classes"
    if gain is None:
        finding = f"What topology adds about the {target.replace('_', ' ')} can't be told: {why}."
        nothing = Interval(float("nan"))
        return [GroupStatistic(group, n, nothing, 0, method, details={"why": why, "finding": finding}) for n in names]
    details = {
        "classes": list(gain.classes),
        "chance": 1 / len(gain.classes),
        "folds": gain.folds,
        "prompts_kept_together": gain.grouped,
        "permutations": options.permutations,
        "baseline": list(BASELINE),
        "added": list(TOPOLOGICAL),
        "finding": sentence(target, gain),
    }
    return [
        GroupStatistic(
            group,
            name,
            interval,
            gain.runs,
            method + ("; p: residuals of the added features permuted" if name == names[2] else ""),
            p_value=gain.p if name == names[2] and np.isfinite(gain.p) else None,
            details=details,
        )
        for name, interval in zip(names, (gain.base, gain.both, gain.gain), strict=True)
    ]


def _correlation(group: Group, name: str, loops: np.ndarray, values: np.ndarray, given: np.ndarray) -> GroupStatistic:
    estimate, p, runs = partial_correlation_of_runs(loops, values, given)
    told = np.isfinite(estimate.value)
    method = f"partial rank correlation of H1 total persistence with {name}, given {', '.join(GIVEN)}; over runs"
    return GroupStatistic(
        group,
        f"loops_with_{name}",
        estimate,
        runs,
        method,
        p_value=p if told else None,
        details=None if told else {"why": "too few runs, no diagrams, or nothing left that varies"},
    )


TOPOLOGY_VALUE = Analysis(
    "topology_value",
    "What topology adds",
    "Whether persistence features tell networks and outcomes apart better than duplicates, dwell times and steps do.",
    compute,
    reads=("runs", "invocations", "outcomes", "embeddings", "persistence_features"),
)
