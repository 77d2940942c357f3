"""Change points: where a run begins to be drawn from elsewhere, tested so that it can be found in any dimension.

Here belong the energy statistic of a split, its null by shuffling the run's own innovations, and binary segmentation.
Only distances between a run's points are read, so that the number of dimensions costs no power by itself: no penalty
grows with it. What the parts between the changes are like belongs to ``regimes``.

The statistic is that of D. S. Matteson and N. A. James, A nonparametric approach for multiple change point analysis of
multivariate data, J. Am. Stat. Assoc. 109 (2014) 334-345 (exponent 1). Their permutations suppose independent points.
Successive outputs are not, and in many dimensions the statistic is so sharp that even blocks of the series, permuted,
lose too much memory at their joints: a run without a change then seems to have one half of the time. So the memory is
estimated, taken out, and put back after shuffling: see ``memory``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Space
from panic_assets.dynamics.findings import Findings, RunStatistic
from panic_assets.dynamics.grouping import grouped, mean_curve, means
from panic_assets.dynamics.memory import NO_MEMORY, Memory, Shuffled, expected_ratios, fit_memory, lag_ratios
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import adjust
from panic_assets.geometry import distance_matrix

_COPIES = 10
_CORRECTIONS = 2


@dataclass(frozen=True)
class Search:
    """How changes are looked for.

    ``alpha``: chance that a run without a change is said to have one. ``shortest``: points between two changes, at
    least. ``permutations``: at most, for each part tested. ``enough``: a test ends once so many permutations did as
    well; with ``enough`` / (1 + ``permutations``) >= ``alpha`` it can't become significant any more. ``fewest``:
    parts worth fewer independent points are not tested. ``parts``: into so many
    a run is cut before its memory is told, so that up to ``parts`` - 1 changes are not taken for it.
    """

    alpha: float = 0.05
    shortest: int = 5
    permutations: int = 199
    enough: int = 10
    fewest: float = 12
    parts: int = 3
    seed: int = 0


def split_statistic(distances: np.ndarray, shortest: int) -> np.ndarray:
    """The energy statistic of every split of n points into the first k and the rest, float (n,); -inf where too short.

    Q(k) = k m / (k + m) * (2 mean d(X, Y) - mean d(X, X') - mean d(Y, Y')), m = n - k, with the means within a part
    over pairs of different points.
    """
    return _split_statistics(distances[None], shortest)[0]


def _split_statistics(matrices: np.ndarray, shortest: int) -> np.ndarray:
    """`split_statistic` of a stack of symmetric matrices with zero diagonals, (k, n, n) -> (k, n)."""
    n = matrices.shape[1]
    rows = matrices.sum(axis=2)
    # Twice the sum of the distances from each point to those before it: its running sum is that of the first part.
    before = 2 * np.einsum("kij,ij->ki", matrices, np.tri(n, k=-1))
    left = np.arange(n)
    right = n - left
    first = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(before, axis=1)[:, :-1]], axis=1)
    across = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)[:, :-1]], axis=1) - first
    second = rows.sum(axis=1)[:, None] - 2 * across - first
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = 2 * across / (left * right) - first / (left * (left - 1.0)) - second / (right * (right - 1.0))
        found = left * right / n * energy
    allowed = (left >= max(shortest, 2)) & (right >= max(shortest, 2))
    return np.where(allowed, found, -np.inf)


def greedy_parts(distances: np.ndarray, parts: int, shortest: int) -> list[slice]:
    """Cut a series at its best split, then the part with the best split, until there are ``parts``; no test is made."""
    found = [slice(0, len(distances))]
    while len(found) < parts:
        curves = [split_statistic(distances[part, part], shortest) for part in found]
        best = int(np.argmax([curve.max() for curve in curves]))
        if not np.isfinite(curves[best].max()):
            break
        part = found.pop(best)
        middle = part.start + int(np.argmax(curves[best]))
        found += [slice(part.start, middle), slice(middle, part.stop)]
    return found


def memory_between_changes(distances: np.ndarray, search: Search = Search()) -> Memory:
    """The memory of a series whose mean may change: fitted within greedy parts, so that changes are not taken for it.

    Cutting a series where it moved most takes memory away from it. The same is done to shuffles of the fitted memory,
    and by as much as their ratios differ from what was fitted, those of the series are put right before a second fit.
    """
    shortest = max(search.shortest, len(distances) // 8)

    def told(matrix: np.ndarray) -> tuple[NDArray[np.float64], list[int]]:
        parts = greedy_parts(matrix, search.parts, shortest)
        return lag_ratios(matrix, parts), [part.stop - part.start for part in parts]

    ratios, sizes = told(distances)
    fitted = fit_memory(ratios, sizes)
    for _ in range(_CORRECTIONS):
        if len(distances) < search.fewest * fitted.inflation:
            break
        generator = np.random.default_rng([search.seed, len(distances)])
        copies = [told(copy) for copy in Shuffled(distances, fitted).draw(_COPIES, generator)]
        lost = [found - expected_ratios(fitted, found_sizes) for found, found_sizes in copies]
        corrected = fit_memory(ratios - np.mean(lost, axis=0), sizes)
        fitted = max(fitted, corrected, key=lambda one: one.inflation)
    return fitted


@dataclass(frozen=True)
class Trial:
    """A part of a run tested for one change. ``place``: the best split, the first point of what follows it.

    ``p_value`` is None where the part was too short, or too slow, to be tested. ``memory``: what the null kept.
    """

    start: int
    end: int
    place: int | None
    p_value: float | None
    memory: Memory

    @property
    def untested(self) -> bool:
        """Whether nothing can be said."""
        return self.p_value is None


@dataclass(frozen=True)
class Changes:
    """``places``: rising, each the first point of a new part; ``trials``: all that were made, the whole run first."""

    places: tuple[int, ...]
    trials: tuple[Trial, ...]


def try_change(distances: np.ndarray, start: int, end: int, search: Search) -> Trial:
    """Test the points start..end-1 for one change against shuffles of their own innovations.

    The p-value is that of Besag and Clifford's sequential test (J. Besag, P. Clifford, Biometrika 78 (1991) 301-304),
    valid at every level: (permutations that did as well) / (permutations made) once ``enough`` did, else
    (1 + those) / (1 + made).
    """
    part = distances[start:end, start:end]
    n = end - start
    if n < 2 * search.shortest:
        return Trial(start, end, None, None, NO_MEMORY)
    statistics = split_statistic(part, search.shortest)
    split = int(np.argmax(statistics))
    observed = float(statistics[split])
    if not part.any():
        return Trial(start, end, start + split, 1.0, NO_MEMORY)
    kept = memory_between_changes(part, search)
    if n < search.fewest * kept.inflation:
        return Trial(start, end, start + split, None, kept)
    shuffled = Shuffled(part, kept)
    # Seeded by the place, so that a part's p-value does not hang on what was tested before.
    generator = np.random.default_rng([search.seed, start, end])
    made = reached = 0
    tolerance = 1e-6 * abs(observed)
    while made < search.permutations:
        count = min(10, search.permutations - made)
        null = _split_statistics(shuffled.draw(count, generator), search.shortest).max(axis=1)
        hits = np.cumsum(null >= observed - tolerance) + reached
        if hits[-1] >= search.enough:
            made += int(np.argmax(hits >= search.enough)) + 1
            return Trial(start, end, start + split, search.enough / made, kept)
        made, reached = made + count, int(hits[-1])
    return Trial(start, end, start + split, (1 + reached) / (1 + made), kept)


def find_changes(distances: np.ndarray, search: Search = Search()) -> Changes:
    """Binary segmentation: test the whole, split it at a change, test the parts, until none of them changes.

    The parts of one depth share ``alpha`` (each is tested at alpha / parts), so that each depth, and a run without any
    change, errs with probability alpha at most, up to how well two numbers tell the run's memory.

    Args:
        distances: float (n, n), symmetric, zero on the diagonal: the points in order.
        search: see there.
    """
    places: list[int] = []
    trials: list[Trial] = []
    parts = [(0, len(distances))]
    while parts:
        alpha = search.alpha / len(parts)
        made = [try_change(distances, start, end, search) for start, end in parts]
        trials += made
        parts = []
        for one in made:
            if one.p_value is not None and one.place is not None and one.p_value <= alpha:
                places.append(one.place)
                parts += [(one.start, one.place), (one.place, one.end)]
    return Changes(tuple(sorted(places)), tuple(trials))


def compute(corpus: Corpus, search: Search = Search(), continuation: Continuation = CONTINUED) -> Findings:
    """Changes of every run; share of runs with a change, and when first, for every network and prompt."""
    findings = Findings()
    for space in corpus.spaces:
        _space_findings(continued_space(space, continuation), search, findings)
    return findings


def _space_findings(space: Space, search: Search, findings: Findings) -> None:
    found = [find_changes(distance_matrix(one.vectors), search) for one in space.trajectories]
    raw = np.array([np.nan if (p := one.trials[0].p_value) is None else p for one in found])
    adjusted, tested = adjust(raw), np.isfinite(raw)
    counts = np.array([len(one.places) if known else np.nan for one, known in zip(found, tested, strict=True)], float)
    firsts = np.full(len(found), np.nan)
    for row, (trajectory, changes) in enumerate(zip(space.trajectories, found, strict=True)):
        places = [int(trajectory.sequence_numbers[place]) for place in changes.places]
        if places:
            firsts[row] = places[0]
        whole = changes.trials[0]
        details: dict[str, object] = {
            "places": places,
            "memory": asdict(whole.memory),
            "inflation": whole.memory.inflation,
            "alpha": search.alpha,
        }
        if whole.untested:
            details["why"] = "too short" if whole.place is None else "too slow: too few independent points"
        own: dict[str, Any] = {"embedding_model": space.embedding_model, "modality": space.modality}
        number = trajectory.run.number
        findings.runs += [
            RunStatistic(number, "changes", float(counts[row]), unit="changes", details=details, **own),
            RunStatistic(number, "first_change", float(firsts[row]), unit="invocations", **own),
            RunStatistic(
                number,
                "change_p",
                float(raw[row]),
                details={"adjusted": float(adjusted[row]) if tested[row] else None},
                **own,
            ),
        ]
    what = f"energy statistic, innovations shuffled, alpha {search.alpha:g} for each run"
    for group, members in grouped(space.trajectories, space):
        some = np.where(tested, counts > 0, np.nan)[members]
        findings.groups += means(
            group,
            {
                "share_with_change": some,
                "mean_changes": counts[members],
                "mean_first_change": firsts[members],
                "share_tested": tested[members].astype(float),
            },
            {"mean_changes": "changes", "mean_first_change": "invocations"},
            what,
        )
        ends = np.unique(np.concatenate([space.trajectories[m].sequence_numbers for m in members]))
        reached = np.where(tested[members, None], np.nan_to_num(firsts[members, None], nan=np.inf) <= ends, np.nan)
        for row, member in zip(reached, members, strict=True):
            row[ends > space.trajectories[member].sequence_numbers[-1]] = np.nan
        findings.curves.append(mean_curve(group, "changed_by", ends, reached, "invocations"))


CHANGE_POINTS = Analysis(
    "change_points",
    "Change points",
    "Where runs begin to be drawn from elsewhere, by shuffling their own innovations, at a stated error rate.",
    compute,
)
