"""Whether runs go in circles without ever repeating themselves: sliding-window persistence of every run.

Here belong which runs are scored, their null models and their summary; the mathematics is in ``topology.windows``.
Exact cycles are found by ``absorption``, without statistics. Definitions and limits: docs/analyses/windows.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.findings import Findings, RunStatistic
from panic_assets.dynamics.grouping import grouped, means
from panic_assets.dynamics.null_models import (
    NULLS,
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
from panic_assets.topology.persistence import diagrams_of
from panic_assets.topology.windows import FEWEST_POINTS, Period, leading_components, periodicity_score, window_cloud


@dataclass(frozen=True)
class Options:
    """``runs_per_network`` of each network are compared with surrogates (None: all); every run is scored.

    ``components``: leading principal components of a run that are embedded. ``most_points``: windows in a cloud.
    """

    components: int = 4
    most_points: int = 80
    nulls: tuple[str, ...] = ("ar1", "shuffle")
    surrogates: int = 19
    runs_per_network: int | None = 8
    alpha: float = 0.05
    seed: int = 0


DEFAULT = Options()
FULL = Options(surrogates=99, runs_per_network=None, most_points=200)


@dataclass(frozen=True)
class Scored:
    """A series: its score, 0 to 1, its period and window in points."""

    score: float
    period: Period
    window: int


def score_all(series: Sequence[np.ndarray], most_points: int, workers: int | None = None) -> list[Scored]:
    """Score series (n, k) of at least twelve points, on threads."""
    found: list[tuple[Period, int]] = []

    def clouds() -> Iterator[np.ndarray]:
        for one in series:
            cloud, period, window = window_cloud(one, most_points)
            found.append((period, window))
            yield cloud

    diagrams = diagrams_of(clouds(), 1, workers=workers)
    return [
        Scored(periodicity_score(of_series.diagrams[1]), period, window)
        for of_series, (period, window) in zip(diagrams, found, strict=True)
    ]


def null_scores(
    series: Sequence[np.ndarray], numbers: Sequence[int], null: str, options: Options, workers: int | None = None
) -> np.ndarray:
    """Scores (series, surrogates) of surrogates of each series; period and window are found anew for each."""
    surrogates = [
        one
        for points, number in zip(series, numbers, strict=True)
        for one in NULLS[null](points, options.surrogates, seed_of(number, null, options.seed))
    ]
    scores = [one.score for one in score_all(surrogates, options.most_points, workers)]
    return np.array(scores).reshape(len(series), options.surrogates)


def compute(corpus: Corpus, options: Options = DEFAULT, continuation: Continuation = CONTINUED) -> Findings:
    """Score every run of every space, and compare some with surrogates."""
    from threadpoolctl import threadpool_limits

    findings = Findings()
    # Matrices of one run are too small for several threads to do anything but wait for one another.
    with threadpool_limits(limits=1, user_api="blas"):
        for space in corpus.spaces:
            _space_findings(continued_space(space, continuation), options, findings)
    return adjusted(findings)


def _space_findings(space: Space, options: Options, findings: Findings) -> None:
    runs = space.trajectories
    long = [i for i, one in enumerate(runs) if len(one) >= FEWEST_POINTS]
    reduced = {i: leading_components(runs[i].vectors, options.components) for i in long}
    scored = dict(zip(long, score_all([reduced[i][0] for i in long], options.most_points), strict=True))
    numbers = {name: np.full(len(runs), np.nan) for name in _UNITS}
    for i, one in scored.items():
        stride = _stride(runs[i])
        numbers["score"][i] = one.score
        numbers["period"][i] = one.period.length * stride
        numbers["autocorrelation"][i] = one.period.strength
        numbers["window"][i] = one.window * stride
        numbers["variance_held"][i] = reduced[i][1]
    for i, trajectory in enumerate(runs):
        details: dict[str, Any] = {"points": len(trajectory), "components": options.components}
        if i not in scored:
            details |= {"why": f"fewer than {FEWEST_POINTS} points"}
        findings.runs += [
            RunStatistic(
                trajectory.run.number,
                name,
                float(values[i]),
                unit=_UNITS[name],
                embedding_model=space.embedding_model,
                modality=space.modality,
                details=details,
            )
            for name, values in numbers.items()
        ]
    for group, members in grouped(runs, space):
        findings.groups += means(group, {name: values[members] for name, values in numbers.items()}, _UNITS)
    _against_nulls(space, {i: reduced[i][0] for i in long}, numbers["score"], options, findings)


def _against_nulls(
    space: Space, series: dict[int, np.ndarray], scores: np.ndarray, options: Options, findings: Findings
) -> None:
    chosen = [i for i in balanced(space.trajectories, options.runs_per_network) if i in series]
    recorded = asdict(options) | {"nulls": list(options.nulls)}
    for null in options.nulls:
        drawn = null_scores(
            [series[i] for i in chosen], [space.trajectories[i].run.number for i in chosen], null, options
        )
        verdicts = [verdict(float(scores[i]), values, "greater") for i, values in zip(chosen, drawn, strict=True)]
        p_values = np.full(len(space.trajectories), np.nan)
        p_values[chosen] = [one.p for one in verdicts]
        better = adjust(p_values)
        for i, one in zip(chosen, verdicts, strict=True):
            findings.runs.append(_run_row(space, space.trajectories[i], null, one, float(better[i]), options))
        for group, members in grouped(space.trajectories, space):
            if group.prompt_number < 0:
                more = recorded | {"significant_after_adjustment": int((better[members] <= options.alpha).sum())}
                findings.groups.append(
                    significant_share(
                        group, f"share_{null}", p_values[members], options.surrogates, options.alpha, more
                    )
                )


def _run_row(
    space: Space, trajectory: Trajectory, null: str, one: Verdict, better: float, options: Options
) -> RunStatistic:
    details = {
        "observed": finite(one.observed),
        "null_mean": finite(one.null_mean),
        "null_deviation": finite(one.null_deviation),
        "p_adjusted": finite(better),
        "surrogates": options.surrogates,
    }
    return RunStatistic(
        trajectory.run.number,
        f"p_{null}",
        one.p,
        embedding_model=space.embedding_model,
        modality=space.modality,
        details=details,
    )


def _stride(trajectory: Trajectory) -> float:
    """Invocations from one point to the next; the median, should an embedding be missing."""
    return float(np.median(np.diff(trajectory.sequence_numbers)))


_UNITS = {
    "score": "share of a round circle",
    "period": "invocations",
    "autocorrelation": "",
    "window": "invocations",
    "variance_held": "share",
}

WINDOWS = Analysis(
    "windows",
    "Sliding-window persistence",
    "How periodic runs are, by the longest loop of their delay embedding (Perea and Harer 2015), against null models.",
    compute,
)
