"""Regimes: is a run contractive, oscillatory or exploratory? By a rule that is data, with how firmly it holds.

Here belong the features that the rule reads, the rule, and how far a label hangs on its thresholds. The features'
own analyses (exact cycles, recurrence) are ``absorption`` and ``recurrence``. The thresholds are this project's choice,
not a law: that is why every label comes with its stability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import ge, le
from typing import Any

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.grouping import bootstrapped_means, grouped, means
from panic_assets.dynamics.recurrence import THEILER, quantify, recurrence_matrix, typical_distance
from panic_assets.dynamics.stage import Analysis
from panic_assets.geometry import distance_matrix

UNDETERMINED = "undetermined"
_FEWEST_POINTS = 10
_NEAR = 0.5  # of the space's typical distance: the radius of the recurrences that determinism is told from


@dataclass(frozen=True)
class Features:
    """What the rule reads of a run; NaN where it can't be told. All but the first two are of embeddings.

    ``cycle_turns``: length of the exact cycle in turns of the ring, 0 if none was closed. ``points``: of the
    trajectory. ``tail_spread``: median distance between points of the second half; ``step``: median distance of
    successive points of the second half; both in units of the space's typical distance. ``growth``: exponent a of the
    root mean square displacement over a lag, lag^a, from lags 1 to a quarter of the run: 0 for a stationary run, 1/2
    for a random walk, 1 for straight motion. ``return_depth``: how far distance over lag falls again after its first
    rise, over that rise, in the second half: 1 for an exact cycle. ``determinism``: DET within half the typical
    distance.
    """

    cycle_turns: float
    points: float
    tail_spread: float
    step: float
    growth: float
    return_depth: float
    determinism: float


@dataclass(frozen=True)
class Condition:
    """One comparison; ``exact`` ones are of counts, whose thresholds are never perturbed. NaN never fulfils one."""

    feature: str
    least: bool
    threshold: float
    exact: bool = False

    def told(self) -> str:
        """In words."""
        return f"{self.feature} {'>=' if self.least else '<='} {self.threshold:g}"


@dataclass(frozen=True)
class Clause:
    """``regime`` holds when all conditions do."""

    regime: str
    conditions: tuple[Condition, ...]


_LONG = Condition("points", True, _FEWEST_POINTS, exact=True)
RULE = (
    Clause("contractive", (Condition("cycle_turns", True, 1, True), Condition("cycle_turns", False, 1, True))),
    Clause("oscillatory", (Condition("cycle_turns", True, 2, True),)),
    Clause("contractive", (_LONG, Condition("tail_spread", False, 0.1), Condition("step", False, 0.1))),
    Clause(
        "oscillatory",
        (
            _LONG,
            Condition("return_depth", True, 0.5),
            Condition("determinism", True, 0.5),
            Condition("step", True, 0.02),
        ),
    ),
    Clause("exploratory", (_LONG, Condition("step", True, 0.05), Condition("growth", True, 0.25))),
    Clause("exploratory", (_LONG, Condition("step", True, 0.5), Condition("tail_spread", True, 0.65))),
)
REGIMES = ("contractive", "oscillatory", "exploratory", UNDETERMINED)


def distance_by_lag(distances: np.ndarray) -> np.ndarray:
    """Root mean square distance of points ``lag`` apart, float (n // 2 + 1,) from lag 0; lags up to half the points."""
    squares = distances**2
    return np.sqrt([np.diagonal(squares, lag).mean() for lag in range(len(distances) // 2 + 1)])


def growth_exponent(distances: np.ndarray) -> float:
    """Slope of log root mean square displacement on log lag, lags 1 to a quarter of the points.

    0 where nothing moves; NaN with fewer than three lags.
    """
    curve = distance_by_lag(distances)[1 : len(distances) // 4 + 1]
    if len(curve) < 3:
        return float("nan")
    if not curve.any():
        return 0.0
    lags = np.flatnonzero(curve > 0) + 1
    if len(lags) < 3:
        return 0.0
    return float(np.polyfit(np.log(lags), np.log(curve[lags - 1]), 1)[0])


def return_depth(distances: np.ndarray) -> float:
    """How deep distance over lag falls after its highest value so far, over that value: 1 when a lag leads back.

    0 where nothing moves, or where the curve only rises; NaN with fewer than four points.
    """
    if len(distances) < 4:
        return float("nan")
    curve = distance_by_lag(distances)[1:]
    peak = np.maximum.accumulate(curve)
    return float(np.max(np.divide(peak - curve, peak, out=np.zeros_like(curve), where=peak > 0)))


def features_of(trajectory: Trajectory, typical: float) -> Features:
    """Features of a run, given the typical distance of its space."""
    run, n = trajectory.run, len(trajectory)
    turns = run.cycle_length / len(run.models) if run.transient_length is not None and run.cycle_length else 0.0
    nan = float("nan")
    if n < 4:
        return Features(turns, float(n), nan, nan, nan, nan, nan)
    distances = distance_matrix(trajectory.vectors)
    tail = distances[n // 2 :, n // 2 :]
    scale = typical if typical > 0 else nan
    if not distances.any():
        scale = scale if scale > 0 else 1.0  # nothing moves at all: that is no less true without a scale
    recurrence = recurrence_matrix(distances, _NEAR * typical)
    return Features(
        turns,
        float(n),
        float(np.median(tail[np.triu_indices(len(tail), 1)]) / scale),
        float(np.median(np.diagonal(tail, 1)) / scale),
        growth_exponent(distances),
        return_depth(tail),
        quantify(recurrence, THEILER).determinism,
    )


def classify(features: Features, rule: Sequence[Clause] = RULE) -> str:
    """The regime of the first clause that holds, else ``undetermined``."""
    return str(classify_all(np.array([list(asdict(features).values())]), rule, np.ones((1, _free(rule))))[0, 0])


def _free(rule: Sequence[Clause]) -> int:
    return sum(not one.exact for clause in rule for one in clause.conditions)


def classify_all(table: np.ndarray, rule: Sequence[Clause], factors: np.ndarray) -> np.ndarray:
    """Labels (draws, runs) of a float (runs, features) table when each free threshold is multiplied by a factor.

    ``factors`` is float (draws, free thresholds), in the order of the rule.
    """
    columns = {name: table[:, i] for i, name in enumerate(Features.__dataclass_fields__)}
    labels = np.full((len(factors), len(table)), UNDETERMINED, dtype=object)
    undecided = np.ones(labels.shape, dtype=bool)
    used = 0
    for clause in rule:
        holds = undecided.copy()
        for one in clause.conditions:
            thresholds = np.full((len(factors), 1), one.threshold)
            if not one.exact:
                thresholds = thresholds * factors[:, used : used + 1]
                used += 1
            compare: Callable[..., np.ndarray] = ge if one.least else le
            holds &= compare(columns[one.feature][None, :], thresholds)
        labels[holds] = clause.regime
        undecided &= ~holds
    return labels


def perturbations(rule: Sequence[Clause] = RULE, draws: int = 500, ratio: float = 1.5, seed: int = 0) -> np.ndarray:
    """Factors for `classify_all`: each threshold by its own, log-uniform between 1 / ``ratio`` and ``ratio``."""
    generator = np.random.default_rng(seed)
    return np.exp(generator.uniform(-np.log(ratio), np.log(ratio), (draws, _free(rule))))


def compute(
    corpus: Corpus, rule: Sequence[Clause] = RULE, ratio: float = 1.5, continuation: Continuation = CONTINUED
) -> Findings:
    """Label every run, and every network and prompt by the regime of most of its runs."""
    findings = Findings()
    for space in corpus.spaces:
        _space_findings(continued_space(space, continuation), rule, ratio, findings)
    return findings


def _space_findings(space: Space, rule: Sequence[Clause], ratio: float, findings: Findings) -> None:
    typical = typical_distance(space.trajectories)
    features = [features_of(one, typical) for one in space.trajectories]
    table = np.array([list(asdict(one).values()) for one in features]).reshape(-1, len(Features.__dataclass_fields__))
    labels = classify_all(table, rule, np.ones((1, _free(rule))))[0]
    perturbed = classify_all(table, rule, perturbations(rule, ratio=ratio))
    agreeing = (perturbed == labels).mean(axis=0)
    own: dict[str, Any] = {"embedding_model": space.embedding_model, "modality": space.modality}
    for row, trajectory in enumerate(space.trajectories):
        number = trajectory.run.number
        measured = {name: float(v) for name, v in asdict(features[row]).items()}
        findings.runs.append(
            RunStatistic(
                number, "regime", label=str(labels[row]), details={"stability": round(float(agreeing[row]), 4)}, **own
            )
        )
        findings.runs.append(RunStatistic(number, "stability", float(agreeing[row]), **own))
        findings.runs += [RunStatistic(number, name, value, unit=_UNITS.get(name, ""), **own)
                          for name, value in measured.items()]  # fmt: skip
    for group, members in grouped(space.trajectories, space):
        numbers = {name: table[members, i] for i, name in enumerate(Features.__dataclass_fields__)}
        findings.groups += means(group, numbers | {"stability": agreeing[members]}, _UNITS)
        findings.groups += _shares(group, labels[members], perturbed[:, members], rule, ratio)


def majority(shares: Mapping[str, float]) -> str:
    """The regime of more than half of the runs, else ``undetermined``."""
    return next((name for name, share in shares.items() if share > 0.5), UNDETERMINED)


def _shares(
    group: Group, labels: np.ndarray, perturbed: np.ndarray, rule: Sequence[Clause], ratio: float
) -> list[GroupStatistic]:
    """Share of each regime, and the group's own label with its stability."""
    runs = len(labels)
    held = (labels[:, None] == np.array(REGIMES, dtype=object)).astype(float)
    estimate, low, high = bootstrapped_means(held)
    told = " or ".join(f"{c.regime} if {' and '.join(one.told() for one in c.conditions)}" for c in rule)
    rows = [
        GroupStatistic(
            group,
            f"share_{name}",
            Interval(float(estimate[i]), float(low[i]), float(high[i])),
            runs,
            "share of runs, bootstrap over runs",
            details={"rule": told},
        )
        for i, name in enumerate(REGIMES)
    ]
    label = majority(dict(zip(REGIMES, estimate, strict=True)))
    # Runs and thresholds are drawn together: one answer to how firmly the label stands.
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, runs, (len(perturbed), runs))
    again = np.take_along_axis(perturbed, drawn, axis=1)
    shares = np.stack([(again == name).mean(axis=1) for name in REGIMES], axis=1)
    found = np.where(shares.max(axis=1) > 0.5, np.array(REGIMES)[shares.argmax(axis=1)], UNDETERMINED)
    rows.append(
        GroupStatistic(
            group,
            "label_stability",
            Interval(float(np.mean(found == label)), confidence=None),
            runs,
            f"share of resamples of runs, thresholds times 1/{ratio:g} to {ratio:g}, in which the label stays",
            details={"label": label},
        )
    )
    return rows


_UNITS = {
    "cycle_turns": "turns of the ring",
    "points": "points",
    "tail_spread": "typical distances",
    "step": "typical distances",
}

REGIMES_ANALYSIS = Analysis(
    "regimes",
    "Regimes",
    "Contractive, oscillatory, exploratory or undetermined: each run and network by a stated rule, with its stability.",
    compute,
)
