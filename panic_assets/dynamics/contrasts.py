"""Contrasts: how runs of prompts with one tag differ from those with another, in what runs do as a whole.

Here belong differences between groups of runs that the tags of their prompts tell apart. What is compared is measured
by ``drift``, ``relaxation`` and ``absorption``. Distances between runs of different prompts belong to ``divergence``.

A tag belongs to a prompt, not to a run. Permuted are therefore the tags of whole prompts, wherever there are enough
prompts for a p-value below 0.05; runs of one prompt are no independent witnesses of what a category does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from panic_assets.dynamics.absorption import watched
from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Run, Space
from panic_assets.dynamics.drift import UNITS, drift, summaries
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.relaxation import run_relaxation
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import adjust, bootstrap, permutation_p

_PERMUTATIONS = 999
_FEWEST_DEALS = 40  # ways to deal the tags to the prompts: a two-sided p-value can't be below 2 / 40 otherwise
_MOST_VALUES = 4
_COMPARED = ("late_drift_cosine", "final_drift_chord", "mean_step_chord", "late_step_chord")


@dataclass(frozen=True)
class Sides:
    """``name`` of a contrast, and the prompt numbers on either side of it."""

    name: str
    left: frozenset[int]
    right: frozenset[int]


def sides(tags: Mapping[int, Mapping[str, str]]) -> list[Sides]:
    """Contrasts that the tags allow: values of a key two by two, or each against the rest if there are more than four.

    Prompts without the key are on neither side.
    """
    found = []
    for key in sorted({key for own in tags.values() for key in own}):
        holders: dict[str, frozenset[int]] = {}
        for prompt, own in tags.items():
            if key in own:
                value = str(own[key])
                holders[value] = holders.get(value, frozenset()) | {prompt}
        if len(holders) > _MOST_VALUES:
            every = frozenset().union(*holders.values())
            found += [Sides(f"{key}={value} - rest", own, every - own) for value, own in sorted(holders.items())]
        else:
            pairs = combinations(sorted(holders.items()), 2)
            found += [Sides(f"{key}={one} - {other}", own, theirs) for (one, own), (other, theirs) in pairs]
    return found


@dataclass(frozen=True)
class Difference:
    """Of means, left minus right, with its interval; ``unit`` is what was permuted: ``prompts`` or ``runs``."""

    estimate: Interval
    p_value: float
    unit: str


def difference(values: np.ndarray, is_left: np.ndarray, prompts: np.ndarray, seed: int = 0) -> Difference:
    """Difference of the means of two groups of runs.

    Args:
        values: float (runs,) without NaN.
        is_left: bool (runs,), equal for all runs of one prompt.
        prompts: int (runs,), prompt numbers.
        seed: of bootstrap and permutations.

    Returns:
        Interval by bootstrap over runs within prompts, so that it speaks of these prompts; two-sided permutation
        p-value. Everything is NaN when a side is empty.
    """
    if is_left.all() or not is_left.any():
        return Difference(Interval(np.nan), np.nan, "runs")

    def of(drawn: np.ndarray) -> float:
        left = is_left[drawn]
        if left.all() or not left.any():
            return float("nan")
        return float(values[drawn][left].mean() - values[drawn][~left].mean())

    kinds, position = np.unique(prompts, return_inverse=True)
    prompt_left = np.zeros(len(kinds), bool)
    prompt_left[position[is_left]] = True
    by_prompt = comb(len(kinds), int(prompt_left.sum())) >= _FEWEST_DEALS
    rng = np.random.default_rng(seed)
    deals = np.stack(
        [
            rng.permutation(prompt_left)[position] if by_prompt else rng.permutation(is_left)
            for _ in range(_PERMUTATIONS)
        ]
    ).astype(float)
    null = deals @ values / deals.sum(axis=1) - (1 - deals) @ values / (1 - deals).sum(axis=1)
    p_value = permutation_p(of(np.arange(len(values))), null, "two")
    return Difference(
        bootstrap(of, len(values), strata=prompts, seed=seed), p_value, "prompts" if by_prompt else "runs"
    )


def measured(space: Space) -> dict[str, dict[int, float]]:
    """Numbers of single runs in one space: value by run number, for each statistic."""
    drifts = [drift(one) for one in space.trajectories]
    numbers = {name: values for name, values in summaries(drifts).items() if name in _COMPARED}
    numbers["tau_drift"] = np.array([run_relaxation(one).tau for one in drifts])
    order = [one.run.number for one in space.trajectories]
    return {name: dict(zip(order, values.tolist(), strict=True)) for name, values in numbers.items()}


def closed(runs: Sequence[Run]) -> dict[str, dict[int, float]]:
    """Whether each run closed a cycle, 1 or 0; NaN for runs in which it would not have been noticed."""
    return {
        "cycle_share": {
            run.number: float(run.cycle_length is not None) if able else float("nan")
            for run, able in zip(runs, watched(runs), strict=True)
        }
    }


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """All contrasts of all statistics, for every network in every space; p-values adjusted over all of them."""
    rows: list[GroupStatistic] = []
    contrasts = sides(corpus.tags)
    if contrasts:
        for group, table in _tables(corpus, continuation):
            runs = [run for run in corpus.runs if run.network == group.network]
            for contrast in contrasts:
                rows += [_row(group, contrast, name, numbers, runs) for name, numbers in table.items()]
    adjusted = adjust(np.array([np.nan if row.p_value is None else row.p_value for row in rows]))
    return Findings(
        groups=[
            row if row.p_value is None else replace(row, p_adjusted=float(p))
            for row, p in zip(rows, adjusted, strict=True)
        ]
    )


def _tables(corpus: Corpus, continuation: Continuation) -> Iterator[tuple[Group, dict[str, dict[int, float]]]]:
    networks = list(dict.fromkeys(run.network for run in corpus.runs))
    cycles = closed(corpus.runs)
    for network in networks:
        yield Group(network=network), cycles
    for raw in corpus.spaces:
        space = continued_space(raw, continuation)
        table = measured(space)
        for network in space.by_network():
            yield Group(space.embedding_model, space.modality, network), table


def _row(group: Group, contrast: Sides, name: str, numbers: Mapping[int, float], runs: Sequence[Run]) -> GroupStatistic:
    chosen = [
        run
        for run in runs
        if run.prompt_number in contrast.left | contrast.right and np.isfinite(numbers.get(run.number, np.nan))
    ]
    values = np.array([numbers[run.number] for run in chosen])
    prompts = np.array([run.prompt_number for run in chosen], int)
    is_left = np.array([run.prompt_number in contrast.left for run in chosen], bool)
    found = difference(values, is_left, prompts)
    told = not np.isnan(found.p_value)
    details: dict[str, object] = {"left_runs": int(is_left.sum()), "right_runs": int((~is_left).sum())}
    if told:
        details["permuted"] = found.unit
    else:
        details["why"] = "one side has no run of which this can be told"
    return GroupStatistic(
        replace(group, contrast=contrast.name),
        name,
        found.estimate,
        len(chosen),
        "difference of means; bootstrap over runs within prompts; p by permutation, adjusted by Benjamini-Hochberg",
        UNITS.get(name, "invocations" if name == "tau_drift" else ""),
        found.p_value if told else None,
        details=details,
    )


CONTRASTS = Analysis(
    "contrasts",
    "Contrasts",
    "Differences between groups of prompts, told apart by their tags, in drift, steps, relaxation and cycles.",
    compute,
    reads=("runs", "invocations", "outcomes", "embeddings", "prompts"),
)
