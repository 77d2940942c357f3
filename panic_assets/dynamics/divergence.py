"""Divergence: how fast runs that start alike come apart, as finite-time Lyapunov exponents.

Here belong distances between runs at equal times and slopes of their logarithms. The approach to a plateau belongs to
``relaxation``, distances along one run to ``drift``. All distances are chords between directions, in [0, 2]; rates are
per invocation, natural logarithm.

Embeddings lie on a sphere: distances saturate at a plateau, so that a straight line through the logarithm of a *whole*
series measures mostly how long the run was. It is given under the name ``whole_slope`` for comparison with others. The
exponents proper are the early slopes, fitted only until the mean distance reaches ``FRACTION`` of its plateau.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Space, Trajectory
from panic_assets.dynamics.drift import LATE, units
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import bootstrap
from panic_assets.geometry import distance_matrix

FRACTION = 0.5  # of the plateau, at which the early fit stops
_FEWEST_POINTS = 3
_MOST_PAIRS = 2000
_MOST_VALUES = 4  # of a tag, beyond which differing values are not paired one by one
_RESAMPLES = 500


@dataclass(frozen=True)
class Pairs:
    """Chords between pairs of runs at equal places.

    ``x`` (t,) places; ``left``, ``right`` (p,) positions of the runs; ``distances`` float64 (p, t), exactly 0 where the
    two outputs have equal vectors, NaN where one run has none; ``strata`` (runs,) prompt numbers.
    """

    x: np.ndarray
    left: np.ndarray
    right: np.ndarray
    distances: np.ndarray
    strata: np.ndarray

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.strata)


def ensemble(
    trajectories: Sequence[Trajectory],
    belongs: Callable[[int, int], bool] = lambda a, b: a == b,
    most_pairs: int = _MOST_PAIRS,
) -> Pairs:
    """Pairs of runs of one network whose prompt numbers ``belongs`` accepts; by default those of one prompt.

    More than ``most_pairs`` are cut down to a random choice of that many, the same one every time.
    """
    prompts = np.array([one.run.prompt_number for one in trajectories], int)
    pairs = [(i, j) for i, j in combinations(range(len(prompts)), 2) if belongs(int(prompts[i]), int(prompts[j]))]
    if len(pairs) > most_pairs:
        chosen = np.sort(np.random.default_rng(0).choice(len(pairs), most_pairs, replace=False))
        pairs = [pairs[i] for i in chosen]
    left, right = np.array(pairs, int).reshape(-1, 2).T
    places = np.unique(np.concatenate([one.sequence_numbers for one in trajectories] or [np.empty(0, int)]))
    distances = np.full((len(pairs), len(places)), np.nan)
    if pairs:
        _fill(distances, trajectories, places, left, right)
    told = np.isfinite(distances).any(axis=0)
    return Pairs(places[told], left, right, distances[:, told], prompts)


def _fill(
    distances: np.ndarray, trajectories: Sequence[Trajectory], places: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    directions = [units(one.vectors) for one in trajectories]
    rows = np.full((len(trajectories), len(places)), -1)
    for row, one in zip(rows, trajectories, strict=True):
        row[np.searchsorted(places, one.sequence_numbers)] = np.arange(len(one))
    for column in range(len(places)):
        present = [
            run for run in np.flatnonzero(rows[:, column] >= 0) if np.isfinite(directions[run][rows[run, column], 0])
        ]
        if len(present) < 2:
            continue
        between = np.full((len(trajectories), len(trajectories)), np.nan)
        points = np.stack([directions[run][rows[run, column]] for run in present])
        between[np.ix_(present, present)] = distance_matrix(points)
        distances[:, column] = between[left, right]


def pair_mean(pairs: Pairs, values: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """The function from positions of runs to the mean of ``values`` (p, t) over pairs, (t,); NaN is left out.

    A run drawn k times counts in k times as many pairs; it is never paired with its own copy, at distance zero.
    """
    values = pairs.distances if values is None else values
    known = np.isfinite(values)
    complete = bool(known.all())
    filled = np.where(known, values, 0.0)

    def mean(drawn: np.ndarray) -> np.ndarray:
        times = np.bincount(drawn, minlength=pairs.runs).astype(float)
        weights = times[pairs.left] * times[pairs.right]
        counts = np.full(values.shape[1], weights.sum()) if complete else weights @ known
        return np.divide(weights @ filled, counts, out=np.full(values.shape[1], np.nan), where=counts > 0)

    return mean


@dataclass(frozen=True)
class Slope:
    """A straight line through ``points`` logarithms: rate per invocation, R squared; NaN with fewer than three."""

    rate: float
    r_squared: float
    points: int


def slope(x: np.ndarray, logs: np.ndarray) -> Slope:
    """Least squares of ``logs`` on ``x``, float (n,) each; what is not finite is left out."""
    known = np.isfinite(logs)
    points = int(known.sum())
    if points < _FEWEST_POINTS:
        return Slope(np.nan, np.nan, points)
    away, up = x[known] - x[known].mean(), logs[known] - logs[known].mean()
    rate = float(away @ up / (away @ away))
    total = float(up @ up)
    error = float(((up - rate * away) ** 2).sum())
    return Slope(rate, 1 - error / total if total > 0 else np.nan, points)


def plateau(distance: np.ndarray) -> float:
    """Median of the last quarter of a curve float (t,)."""
    return float(np.median(distance[len(distance) - max(1, round(LATE * len(distance))) :]))


def early_window(distance: np.ndarray, fraction: float = FRACTION) -> int:
    """Number of first points before a curve float (t,) comes within reach of its plateau.

    A curve that grows is cut where it first reaches ``fraction`` of its plateau, one that falls where it first reaches
    its plateau divided by ``fraction``; 0 for a curve that starts there.
    """
    if not len(distance):
        return 0
    level = plateau(distance)
    reached = distance >= fraction * level if distance[0] <= level else distance <= level / fraction
    return int(np.argmax(reached)) if reached.any() else len(distance)


def exponents(
    x: np.ndarray, distance: np.ndarray, mean_log: np.ndarray, fraction: float = FRACTION
) -> dict[str, Slope]:
    """Slopes of one group of pairs.

    Args:
        x: places (t,), in invocations.
        distance: mean distance of pairs (t,).
        mean_log: mean over pairs of the logarithm of the distance (t,), merged pairs left out.
        fraction: of the plateau, see `early_window`.

    Returns:
        ``early_slope`` of the logarithm of the mean, ``early_log_slope`` of the mean of logarithms (the Lyapunov
        exponent as theory defines it: the former is at least as large in expectation, led by the fastest pairs), and
        ``whole_slope``, of the logarithm of the mean over the whole series.
    """
    logs = np.log(distance, out=np.full(len(distance), np.nan), where=distance > 0)
    window = slice(0, early_window(distance, fraction))
    return {
        "early_slope": slope(x[window], logs[window]),
        "early_log_slope": slope(x[window], mean_log[window]),
        "whole_slope": slope(x, logs),
    }


def pair_groups(space: Space, tags: Mapping[int, Mapping[str, str]]) -> Iterator[tuple[Group, Pairs]]:
    """Every group of pairs of one space: within prompts, and across them as tags tell.

    Contrasts: "" within one prompt (each prompt, then all of a network); ``across prompts``; ``key=value across
    prompts`` for different prompts with an equal tag; ``key=a against b`` for prompts that differ in it.
    """
    for network, members in space.by_network().items():
        own = Group(space.embedding_model, space.modality, network)
        by_prompt: dict[int, list[Trajectory]] = {}
        for one in members:
            by_prompt.setdefault(one.run.prompt_number, []).append(one)
        for prompt, runs in by_prompt.items():
            yield replace(own, prompt_number=prompt), ensemble(runs)
        yield own, ensemble(members)
        if len(by_prompt) > 1:
            for contrast, belongs in across(sorted(by_prompt), tags).items():
                yield replace(own, contrast=contrast), _used(members, belongs)


def _used(members: Sequence[Trajectory], belongs: Callable[[int, int], bool]) -> Pairs:
    """Only runs that are in a pair are resampled and counted."""
    prompts = {one.run.prompt_number for one in members}
    used = {a for a in prompts if any(belongs(a, b) for b in prompts)}
    return ensemble([one for one in members if one.run.prompt_number in used], belongs)


def across(prompts: Sequence[int], tags: Mapping[int, Mapping[str, str]]) -> dict[str, Callable[[int, int], bool]]:
    """Contrasts between different prompts: names, and which two prompt numbers belong to each."""
    found: dict[str, Callable[[int, int], bool]] = {"across prompts": lambda a, b: a != b}
    for key in sorted({key for prompt in prompts for key in tags.get(prompt, {})}):
        holders: dict[str, set[int]] = {}
        for prompt in prompts:
            if key in tags.get(prompt, {}):
                holders.setdefault(str(tags[prompt][key]), set()).add(prompt)
        for value, own in sorted(holders.items()):
            if len(own) > 1:
                found[f"{key}={value} across prompts"] = _both(own)
        if len(holders) <= _MOST_VALUES:
            for (one, own), (other, theirs) in combinations(sorted(holders.items()), 2):
                found[f"{key}={one} against {other}"] = _each(own, theirs)
    return found


def _both(own: set[int]) -> Callable[[int, int], bool]:
    return lambda a, b: a != b and a in own and b in own


def _each(own: set[int], theirs: set[int]) -> Callable[[int, int], bool]:
    return lambda a, b: (a in own and b in theirs) or (a in theirs and b in own)


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """Exponents, merge shares and curves of all groups of pairs in every space."""
    findings = Findings()
    for raw in corpus.spaces:
        for group, pairs in pair_groups(continued_space(raw, continuation), corpus.tags):
            _add(findings, group, pairs)
    return findings


def _add(findings: Findings, group: Group, pairs: Pairs) -> None:
    if not len(pairs.left) or not len(pairs.x):
        for name in _NAMES:
            why = {"why": "no two runs to compare at any time"}
            findings.groups.append(
                GroupStatistic(group, name, Interval(np.nan), pairs.runs, _METHOD, _UNITS[name], details=why)
            )
        return
    spread = pairs.distances
    logs = np.log(spread, out=np.full(spread.shape, np.nan), where=spread > 0)
    merged = np.where(np.isnan(spread), np.nan, spread == 0)
    functions = [pair_mean(pairs, values) for values in (spread, logs, merged)]
    x = pairs.x.astype(float)

    def numbers(drawn: np.ndarray) -> np.ndarray:
        distance, mean_log, share = (function(drawn) for function in functions)
        told = np.isfinite(distance)
        found = exponents(x[told], distance[told], mean_log[told])
        at = plateau(distance[told]) if told.any() else np.nan
        rates = [one.rate for one in found.values()]
        return np.concatenate([rates, [at, share[told][-1] if told.any() else np.nan], distance, mean_log, share])

    value, low, high = bootstrap(numbers, pairs.runs, strata=pairs.strata, resamples=_RESAMPLES)
    distance, mean_log, _ = np.split(value[len(_NAMES) :], 3)
    found = exponents(x, distance, mean_log)
    for place, name in enumerate(_NAMES):
        findings.groups.append(
            GroupStatistic(
                group,
                name,
                Interval(float(value[place]), float(low[place]), float(high[place])),
                pairs.runs,
                _METHOD,
                _UNITS[name],
                details=_details(found.get(name), distance, len(pairs.left)),
            )
        )
    for name, part in zip(("distance", "mean_log_distance", "merged_share"), range(3), strict=True):
        at = slice(len(_NAMES) + part * len(x), len(_NAMES) + (part + 1) * len(x))
        findings.curves.append(Curve(group, name, x, value[at], "invocations", low[at], high[at]))


def _details(found: Slope | None, distance: np.ndarray, pairs: int) -> dict[str, object]:
    details: dict[str, object] = {"pairs": pairs}
    if found is None:
        return details
    details["points"] = found.points
    if np.isfinite(found.r_squared):
        details["r_squared"] = round(found.r_squared, 6)
    if np.isnan(found.rate):
        details["why"] = (
            "all runs are merged"
            if not (distance > 0).any()
            else f"fewer than {_FEWEST_POINTS} points before the plateau"
        )
    return details


_NAMES = ("early_slope", "early_log_slope", "whole_slope", "plateau", "final_merged_share")
_UNITS = dict.fromkeys(_NAMES[:3], "per invocation") | {"plateau": "chord", "final_merged_share": ""}
_METHOD = f"chords of pairs of runs; early: until {FRACTION:g} of the plateau; bootstrap over runs within prompts"

DIVERGENCE = Analysis(
    "divergence",
    "Divergence",
    "How fast runs of one prompt, or of kindred prompts, come apart: Lyapunov exponents of finite time.",
    compute,
    reads=("runs", "invocations", "outcomes", "embeddings", "prompts"),
)
