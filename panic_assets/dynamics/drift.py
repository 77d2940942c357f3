"""Drift: how far outputs move from their prompt, and how far each is from the one before.

Here belong distances along single runs. Distances *between* runs belong to ``divergence``, time constants of what is
measured here to ``relaxation``.

Two distances, each under its own name: the cosine distance 1 - cos, in [0, 2], and the chord ||u - v|| of unit vectors,
sqrt(2 - 2 cos), in [0, 2] too. The chord is a metric; the cosine distance is half its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Trajectory
from panic_assets.dynamics.findings import Findings, RunStatistic
from panic_assets.dynamics.grouping import grouped, mean_curve, means, stacked
from panic_assets.dynamics.stage import Analysis

LATE = 0.25  # the last part of a run that late statistics average over

UNITS = {
    "final_drift_cosine": "cosine distance",
    "final_drift_chord": "chord",
    "late_drift_cosine": "cosine distance",
    "late_drift_chord": "chord",
    "mean_step_chord": "chord",
    "late_step_chord": "chord",
    "still_share": "",
}


def units(vectors: np.ndarray) -> np.ndarray:
    """Rows (..., d) scaled to length one, float64; a row of zeros has no direction and becomes NaN."""
    vectors = np.asarray(vectors, dtype=float)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.full(vectors.shape, np.nan), where=lengths > 0)


def chord(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Chord ||u - v|| between the directions of rows (..., d); exactly 0 for equal rows, NaN for a row of zeros."""
    return np.asarray(np.linalg.norm(units(left) - units(right), axis=-1))


def cosine_distance(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """1 - cos of the angle between rows (..., d), as half the squared chord, so that near rows keep their digits."""
    return chord(left, right) ** 2 / 2


@dataclass(frozen=True)
class Drift:
    """Chords along one run, at the outputs ``x`` (n,): ``from_start`` (n,) and ``steps`` (n,), NaN at the first.

    ``reference`` is what ``from_start`` counts from: ``prompt`` or ``first output``.
    """

    x: np.ndarray
    from_start: np.ndarray
    steps: np.ndarray
    reference: str


def drift(trajectory: Trajectory) -> Drift:
    """Distances of every output from the prompt's vector, or from the first output where the prompt has none."""
    directions = units(trajectory.vectors)
    steps = np.full(len(trajectory), np.nan)
    steps[1:] = np.linalg.norm(np.diff(directions, axis=0), axis=-1)
    if trajectory.prompt is None:
        start, reference = directions[:1], "first output"
    else:
        start, reference = units(trajectory.prompt), "prompt"
    from_start = np.linalg.norm(directions - start, axis=-1)
    return Drift(trajectory.sequence_numbers, from_start, steps, reference)


def run_numbers(one: Drift) -> dict[str, float]:
    """Summary of one run; units in `UNITS`. ``still_share`` is the share of steps to an exactly equal vector."""
    late = slice(len(one.x) - max(1, round(LATE * len(one.x))), None)
    steps = one.steps[1:]
    final = float(one.from_start[-1]) if len(one.x) else float("nan")
    return {
        "final_drift_cosine": final**2 / 2,
        "final_drift_chord": final,
        "late_drift_cosine": mean_known(one.from_start[late] ** 2 / 2),
        "late_drift_chord": mean_known(one.from_start[late]),
        "mean_step_chord": mean_known(steps),
        "late_step_chord": mean_known(one.steps[late]),
        "still_share": mean_known(np.where(np.isnan(steps), np.nan, steps == 0)),
    }


def mean_known(values: np.ndarray) -> float:
    """Mean without NaN; NaN of nothing."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def summaries(drifts: Sequence[Drift]) -> dict[str, np.ndarray]:
    """`run_numbers` of many runs: (runs,) for each name."""
    rows = [run_numbers(one) for one in drifts]
    return {name: np.array([row[name] for row in rows]) for name in UNITS}


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """Drift of every run, and means and curves of every network and prompt, in every space."""
    findings = Findings()
    for raw in corpus.spaces:
        space = continued_space(raw, continuation)
        drifts = [drift(one) for one in space.trajectories]
        numbers = summaries(drifts)
        for row, trajectory in enumerate(space.trajectories):
            details = {"from": drifts[row].reference}
            findings.runs += [
                RunStatistic(
                    trajectory.run.number,
                    name,
                    float(values[row]),
                    unit=UNITS[name],
                    embedding_model=space.embedding_model,
                    modality=space.modality,
                    details=details,
                )
                for name, values in numbers.items()
            ]
        for group, members in grouped(space.trajectories, space):
            chosen = [drifts[m] for m in members]
            origins = " or ".join(sorted({one.reference for one in chosen}))
            findings.groups += means(group, {k: v[members] for k, v in numbers.items()}, UNITS, f"from the {origins}")
            for name, series in (("drift", [(d.x, d.from_start) for d in chosen]), ("step", _steps(chosen))):
                places, table = stacked(series)
                findings.curves += [
                    mean_curve(group, f"{name}_chord", places, table, "invocations"),
                    mean_curve(group, f"{name}_cosine", places, table**2 / 2, "invocations"),
                ]
    return findings


def _steps(drifts: Sequence[Drift]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(one.x[1:], one.steps[1:]) for one in drifts]


DRIFT = Analysis(
    "drift",
    "Drift",
    "How far outputs move from their prompt and from the output before, as cosine distance and as chord.",
    compute,
)
