"""Runs against surrogates of themselves: which runs, the p-value of each, and the share of a network that stands out.

Here belongs what the analyses with null models share. The surrogates are `panic_assets.topology.surrogates`; what is
measured is the analyses' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from panic_assets.dynamics.corpus import Trajectory
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.uncertainty import adjust, permutation_p
from panic_assets.topology.surrogates import matched_ar1, matched_walks, phase_randomised, time_shuffled

Side = Literal["greater", "less"]

NULLS: Mapping[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "shuffle": time_shuffled,
    "phase": phase_randomised,
    "ar1": matched_ar1,
    "walk": matched_walks,
}
_SEEDS_PER_RUN = 16  # one for each null model, with room for more


def balanced(trajectories: Sequence[Trajectory], most: int | None) -> list[int]:
    """Positions of at most ``most`` trajectories of each network, in order; None for all.

    The first run of each prompt, seeded and unseeded apart, then the second of each, and so on: so prompts weigh alike,
    runs that can close a cycle and runs that can't are both there, and the choice does not look at what runs did.
    """
    if most is None:
        return list(range(len(trajectories)))
    networks: dict[str, list[tuple[int, int, int]]] = {}
    seen: dict[tuple[str, int, bool], int] = {}
    for position, one in enumerate(trajectories):
        prompt = (one.run.network, one.run.prompt_number, one.run.seed < 0)
        rank = seen[prompt] = seen.get(prompt, -1) + 1
        networks.setdefault(one.run.network, []).append((rank, one.run.prompt_number, position))
    return sorted(position for members in networks.values() for *_, position in sorted(members)[:most])


def seed_of(run_number: int, null: str, seed: int) -> int:
    """A seed of its own for each run and null model, which depends on no other run."""
    return (seed << 32) + run_number * _SEEDS_PER_RUN + list(NULLS).index(null)


@dataclass(frozen=True)
class Verdict:
    """A run's value beside those of its surrogates; ``excess`` is in their standard deviations, NaN if all agree."""

    observed: float
    null_mean: float
    null_deviation: float
    p: float

    @property
    def excess(self) -> float:
        """(observed - mean) / standard deviation of the surrogates."""
        flat = not self.null_deviation > 1e-12 * max(1.0, abs(self.null_mean))
        return float("nan") if flat else (self.observed - self.null_mean) / self.null_deviation


def verdict(observed: float, null_values: np.ndarray, side: Side) -> Verdict:
    """Compare a value with those of surrogates (n,); NaN among them, or observed, tells nothing."""
    known = np.asarray(null_values, dtype=float)
    known = known[np.isfinite(known)]
    mean = float(known.mean()) if len(known) else float("nan")
    deviation = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
    return Verdict(observed, mean, deviation, permutation_p(observed, known, side))


def level_of(surrogates: int, alpha: float) -> float:
    """How often p <= ``alpha`` by chance alone: p comes in steps of 1 / (surrogates + 1)."""
    return float(np.floor(alpha * (surrogates + 1) + 1e-9)) / (surrogates + 1)


def significant_share(
    group: Group, statistic: str, p_values: np.ndarray, surrogates: int, alpha: float, details: Mapping[str, Any]
) -> GroupStatistic:
    """Share of runs with p <= ``alpha``, its Clopper-Pearson interval, and the p-value of so many by chance alone."""
    from scipy.stats import binomtest

    known = p_values[np.isfinite(p_values)]
    method = f"share of runs with p <= {alpha:g} of {surrogates} surrogates each; Clopper-Pearson; p: binomial"
    level = level_of(surrogates, alpha)
    if not len(known) or level == 0:
        why = "no run has a p-value" if not len(known) else "too few surrogates for p to be that small"
        return GroupStatistic(group, statistic, Interval(float("nan")), len(known), method, details={"why": why})
    hits = int((known <= alpha + 1e-12).sum())
    test = binomtest(hits, len(known), level, alternative="greater")
    ends = binomtest(hits, len(known)).proportion_ci(0.95, "exact")
    share = Interval(hits / len(known), float(ends.low), float(ends.high))
    return GroupStatistic(
        group,
        statistic,
        share,
        len(known),
        method,
        "share",
        float(test.pvalue),
        details={"by_chance": level} | dict(details),
    )


def adjusted(findings: Findings) -> Findings:
    """The same with p-values of groups adjusted for all tests that the analysis made."""
    p = np.array([float("nan") if row.p_value is None else row.p_value for row in findings.groups])
    groups = [
        row if row.p_value is None else replace(row, p_adjusted=float(better))
        for row, better in zip(findings.groups, adjust(p), strict=True)
    ]
    return replace(findings, groups=groups)


def finite(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
