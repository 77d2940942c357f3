"""Recurrence: when a run comes back near where it was, and what the pattern of its returns says.

Here belong recurrence matrices, the quantities of recurrence quantification analysis (RQA), and recurrence over lag.
Definitions are those of N. Marwan, M. C. Romano, M. Thiel, J. Kurths, Recurrence plots for the analysis of complex
systems, Physics Reports 438 (2007) 237-329, section 3. Whether a run *is* periodic belongs to ``absorption`` (exactly)
and ``regimes`` (by a stated rule).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.findings import Findings, RunStatistic
from panic_assets.dynamics.grouping import grouped, mean_curve, means, stacked
from panic_assets.dynamics.stage import Analysis
from panic_assets.geometry import distance_matrix

_SAMPLED_PAIRS = 20_000
_SHORTEST_LINE = 2  # Marwan's l_min and v_min


@dataclass(frozen=True)
class Threshold:
    """How near counts as back.

    ``space``: ``value`` times the median distance between points of different runs of the space; one radius for all
    runs, so that recurrence rates compare. ``rate``: the radius at which a share ``value`` of a run's own pairs recurs;
    lines then compare between runs of different spread. Where more pairs than that are exact repeats, all of those
    recur.
    """

    kind: Literal["space", "rate"]
    value: float


RULES = (Threshold("space", 0.5), Threshold("rate", 0.05))
THEILER = 1


@dataclass(frozen=True)
class Quantification:
    """RQA of one run; NaN where there are no pairs, or no lines, to tell it from. Lengths are in points.

    ``recurrence_rate`` RR, ``determinism`` DET, ``mean_diagonal`` L, ``longest_diagonal`` Lmax, ``diagonal_entropy``
    ENTR in nats, ``laminarity`` LAM, ``trapping_time`` TT.
    """

    recurrence_rate: float
    determinism: float
    mean_diagonal: float
    longest_diagonal: float
    diagonal_entropy: float
    laminarity: float
    trapping_time: float


_UNITS = {
    "mean_diagonal": "points",
    "longest_diagonal": "points",
    "diagonal_entropy": "nats",
    "trapping_time": "points",
    "radius": "distance",
}


def recurrence_matrix(distances: np.ndarray, radius: float) -> NDArray[np.bool_]:
    """Bool (n, n): pairs at most ``radius`` apart. Exact repeats recur at any radius >= 0."""
    return np.asarray(distances <= radius)


def rate_radius(distances: np.ndarray, rate: float, theiler: int = THEILER) -> float:
    """The smallest distance such that at least a share ``rate`` of the pairs beyond the Theiler window is within it.

    NaN when no pair is beyond the window.
    """
    pairs = np.sort(distances[np.triu_indices(len(distances), theiler + 1)])
    return float(pairs[min(int(np.ceil(rate * len(pairs))), len(pairs)) - 1]) if len(pairs) else float("nan")


def typical_distance(trajectories: Sequence[Trajectory], seed: int = 0) -> float:
    """Median distance between points of different runs, of at most 20,000 random pairs, each run weighing the same.

    With one run alone, the median over its own pairs of points; NaN with fewer than two points.
    """
    filled = [one.vectors for one in trajectories if len(one)]
    if not filled:
        return float("nan")
    generator = np.random.default_rng(seed)
    if len(filled) == 1:
        matrix = distance_matrix(filled[0])
        pairs = matrix[np.triu_indices(len(matrix), 1)]
        return float(np.median(pairs)) if len(pairs) else float("nan")
    left = generator.integers(0, len(filled), _SAMPLED_PAIRS)
    right = (left + generator.integers(1, len(filled), _SAMPLED_PAIRS)) % len(filled)
    lengths = np.array([len(vectors) for vectors in filled])
    starts = np.cumsum(lengths) - lengths
    pooled = np.concatenate(filled)
    rows = [starts[one] + (generator.random(_SAMPLED_PAIRS) * lengths[one]).astype(int) for one in (left, right)]
    found = np.empty(_SAMPLED_PAIRS)
    for start in range(0, _SAMPLED_PAIRS, 2000):
        part = slice(start, start + 2000)
        found[part] = np.linalg.norm(pooled[rows[0][part]].astype(float) - pooled[rows[1][part]], axis=1)
    return float(np.median(found))


def line_lengths(lines: np.ndarray) -> NDArray[np.intp]:
    """Lengths of the runs of True along each row of a bool (m, k) array, in no order that matters."""
    padded = np.zeros((lines.shape[0], lines.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = lines
    steps = np.diff(padded.ravel())
    return np.asarray(np.flatnonzero(steps == -1) - np.flatnonzero(steps == 1))


def diagonals(recurrence: np.ndarray, theiler: int = THEILER) -> NDArray[np.bool_]:
    """The diagonals above the Theiler window as rows: bool (n - theiler - 1, n), False past the end of each."""
    n = len(recurrence)
    lags = np.arange(theiler + 1, n)[:, None]
    columns = np.arange(n)[None, :] + lags
    inside = columns < n
    return np.asarray(recurrence[np.arange(n)[None, :], np.minimum(columns, n - 1)] & inside)


def quantify(recurrence: np.ndarray, theiler: int = THEILER) -> Quantification:
    """Quantify a recurrence matrix by its lines.

    RR is the share of recurrent pairs; DET = sum over l >= 2 of l P(l) / sum over all l of l P(l) with P the histogram
    of diagonal lengths; L and ENTR = -sum p ln p are of the lengths l >= 2; LAM and TT are DET and L of vertical lines.
    The matrix is symmetric, so diagonals of its upper half are enough. Pairs with |i - j| <= ``theiler`` are left out
    of everything, vertical lines included: those that cross the diagonal fall into two.

    Args:
        recurrence: bool (n, n), symmetric.
        theiler: width of the Theiler window in points, >= 0; 0 leaves out the diagonal alone.
    """
    n = len(recurrence)
    lines = diagonals(recurrence, theiler) if n > theiler + 1 else np.zeros((0, n), dtype=bool)
    pairs = (n - theiler) * (n - theiler - 1) // 2 if n > theiler + 1 else 0
    lengths = line_lengths(lines)
    away = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > theiler
    verticals = line_lengths(recurrence & away)
    determinism, mean_diagonal = _share_and_mean(lengths)
    laminarity, trapping = _share_and_mean(verticals)
    long = lengths[lengths >= _SHORTEST_LINE]
    shares = np.bincount(long)[_SHORTEST_LINE:] / len(long) if len(long) else np.empty(0)
    shares = shares[shares > 0]
    return Quantification(
        float(lengths.sum() / pairs) if pairs else float("nan"),
        determinism,
        mean_diagonal,
        float(lengths.max()) if len(lengths) else float("nan"),
        float(abs(np.sum(shares * np.log(shares)))) if len(long) else float("nan"),
        laminarity,
        trapping,
    )


def _share_and_mean(lengths: np.ndarray) -> tuple[float, float]:
    """Share of the points in lines of two or more, and the mean length of those lines."""
    long = lengths[lengths >= _SHORTEST_LINE]
    share = float(long.sum() / lengths.sum()) if len(lengths) else float("nan")
    return share, float(long.mean()) if len(long) else float("nan")


def by_lag(recurrence: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recurrence rate over the lag between two points: (lags, rates), lags int in the unit of ``places``, > 0."""
    i, j = np.triu_indices(len(recurrence), 1)
    lags = np.asarray(places)[j] - np.asarray(places)[i]
    counts = np.bincount(lags)
    hits = np.bincount(lags, weights=recurrence[i, j])
    present = np.flatnonzero(counts)
    return present, hits[present] / counts[present]


def radius_of(rule: Threshold, distances: np.ndarray, typical: float, theiler: int = THEILER) -> float:
    """The radius that a rule gives for a run; NaN where it can't be told."""
    return rule.value * typical if rule.kind == "space" else rate_radius(distances, rule.value, theiler)


def compute(
    corpus: Corpus,
    rules: Sequence[Threshold] = RULES,
    theiler: int = THEILER,
    continuation: Continuation = CONTINUED,
) -> Findings:
    """Quantify every run under every rule; means and curves of each network and prompt.

    Curves are of the first rule: ``recurrence_by_lag`` (pairs at a lag that recur) and ``return_to_start`` (runs that
    are near their own first point), x in invocations.
    """
    findings = Findings()
    for space in corpus.spaces:
        _space_findings(continued_space(space, continuation), rules, theiler, findings)
    return findings


def _space_findings(space: Space, rules: Sequence[Threshold], theiler: int, findings: Findings) -> None:
    typical = typical_distance(space.trajectories)
    numbers: dict[str, np.ndarray] = {}
    lagged, returned = [], []
    for row, trajectory in enumerate(space.trajectories):
        distances = distance_matrix(trajectory.vectors)
        for position, rule in enumerate(rules):
            radius = radius_of(rule, distances, typical, theiler)
            recurrence = recurrence_matrix(distances, radius)
            for name, value in (asdict(quantify(recurrence, theiler)) | {"radius": radius}).items():
                numbers.setdefault(f"{rule.kind}_{name}", np.full(len(space.trajectories), np.nan))[row] = value
            if position == 0:
                places = trajectory.sequence_numbers
                lagged.append(by_lag(recurrence, places))
                returned.append((places[1:], recurrence[0, 1:].astype(float)))
    details: dict[str, dict[str, Any]] = {
        rule.kind: {"threshold": rule.value, "theiler_points": theiler, "typical_distance": _finite(typical)}
        for rule in rules
    }
    for statistic, values in numbers.items():
        kind, name = statistic.split("_", 1)
        for trajectory, value in zip(space.trajectories, values, strict=True):
            findings.runs.append(
                RunStatistic(
                    trajectory.run.number,
                    statistic,
                    float(value),
                    unit=_UNITS.get(name, ""),
                    embedding_model=space.embedding_model,
                    modality=space.modality,
                    details=details[kind] | {"points": len(trajectory)},
                )
            )
    units = {statistic: _UNITS.get(statistic.split("_", 1)[1], "") for statistic in numbers}
    what = ", ".join(_told(rule) for rule in rules) + f", Theiler window {theiler} points"
    for group, members in grouped(space.trajectories, space):
        findings.groups += means(group, _chosen(numbers, members), units, what)
        for name, series in (("recurrence_by_lag", lagged), ("return_to_start", returned)):
            x, table = stacked([series[m] for m in members])
            if len(x):
                findings.curves.append(mean_curve(group, name, x, table, "invocations"))


def _chosen(numbers: Mapping[str, np.ndarray], members: Sequence[int]) -> dict[str, np.ndarray]:
    return {name: values[list(members)] for name, values in numbers.items()}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _told(rule: Threshold) -> str:
    if rule.kind == "space":
        return f"space: within {rule.value:g} of the space's median distance between runs"
    return f"rate: {rule.value:.0%} of a run's pairs recur"


RECURRENCE = Analysis(
    "recurrence",
    "Recurrence",
    "When runs come back near where they were: recurrence quantification (Marwan 2007) and recurrence over lag.",
    compute,
    reads=("runs", "invocations", "outcomes", "embeddings"),
)
