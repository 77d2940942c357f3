"""Recoverability: can the prompt be told from an output at time t? Accuracy of a classifier over time, and its decay.

Here belong the classifier, its cross-validation and its null. At each time every run gives one output, so that no run
is ever in training and test at once. Trained is on equally many runs of every prompt, none of them the tested one: if
outputs say nothing about prompts, expected accuracy is then exactly 1 / prompts, in any dimension. (Leaving out single
runs is not like that: the own centroid rests on one run less, lies farther away, and accuracy falls *below* chance.)

The classifier takes the nearest centroid of directions. It needs nothing but inner products, which are computed once,
in the full space; a reduction by PCA, which would have to be fitted within each fold, is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus, Trajectory
from panic_assets.dynamics.drift import LATE, units
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval
from panic_assets.dynamics.grouping import bootstrapped_means
from panic_assets.dynamics.relaxation import mean_of, relaxation_of
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import bootstrap, permutation_p

_MOST_PLACES = 40
_MOST_FOLDS = 10
_REPEATS = 3
_PERMUTATIONS = 199
_SHORTEST = 0.5  # of the longest run; shorter ones are left out
_TIE = 1e-9


@dataclass(frozen=True)
class Recovered:
    """``credit`` float (runs, t): how often a run's prompt was told from its output, 0 to 1; NaN where never tested."""

    credit: np.ndarray
    chance: float


def inner_products(vectors: np.ndarray) -> np.ndarray:
    """Of the directions of float (runs, t, d), at each time: float64 (t, runs, runs); zeros for rows of zeros."""
    directions = np.nan_to_num(units(vectors)).transpose(1, 0, 2)
    return np.asarray(directions @ directions.transpose(0, 2, 1))


def recover(products: np.ndarray, labels: np.ndarray, repeats: int = _REPEATS, seed: int = 0) -> Recovered:
    """Cross-validated nearest-centroid classification at each time.

    Args:
        products: float (t, runs, runs), see `inner_products`.
        labels: int (runs,), the prompt of each run; every prompt at least twice.
        repeats: times the runs are dealt into folds anew.
        seed: of the dealing.

    Returns:
        The share of times that each run was told rightly. Ties share the credit, so that runs which all give one output
        score exactly at chance.
    """
    rng = np.random.default_rng(seed)
    kinds, of = np.unique(labels, return_inverse=True)
    size = int(np.bincount(of).min())
    folds = min(size, _MOST_FOLDS)
    credit = np.zeros((len(labels), len(products)))
    tested = np.zeros(len(labels))
    for _ in range(repeats):
        # ``dealt`` (prompts, size): equally many runs of every prompt, in random order; rows of folds are cut across.
        dealt = np.stack([rng.permutation(np.flatnonzero(of == kind))[:size] for kind in range(len(kinds))])
        for test in np.array_split(np.arange(size), folds):
            train = np.zeros((len(labels), len(kinds)))
            kept = np.delete(dealt, test, axis=1)
            train[kept, np.arange(len(kinds))[:, None]] = 1 / kept.shape[1]
            runs = dealt[:, test].reshape(-1)
            credit[runs] += _credit(products, train, runs, of[runs]).T
            tested[runs] += 1
    shares = np.divide(credit, tested[:, None], out=np.full(credit.shape, np.nan), where=tested[:, None] > 0)
    return Recovered(shares, 1 / len(kinds))


def _credit(products: np.ndarray, train: np.ndarray, runs: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Float (t, len(runs)): 1 for the right centroid alone nearest, 1/k for one of k, else 0."""
    towards = products @ train
    norms = np.einsum("tic,ic->tc", towards, train)
    distance = norms[:, None, :] - 2 * towards[:, runs]
    nearest = distance <= distance.min(axis=2, keepdims=True) + _TIE
    right = nearest[:, np.arange(len(runs)), own]
    return np.asarray(right / nearest.sum(axis=2))


@dataclass(frozen=True)
class Null:
    """Under shuffled prompts: ``accuracy`` float (permutations, t)."""

    accuracy: np.ndarray


def shuffled(products: np.ndarray, labels: np.ndarray, permutations: int = _PERMUTATIONS, seed: int = 1) -> Null:
    """Accuracy after the prompts were dealt to the runs at random, whole runs at once."""
    rng = np.random.default_rng(seed)
    rows = [
        np.nanmean(recover(products, rng.permutation(labels), repeats=1, seed=number).credit, axis=0)
        for number in range(permutations)
    ]
    return Null(np.array(rows))


def time_to_chance(x: np.ndarray, accuracy: np.ndarray, null: Null) -> float:
    """The first place at which accuracy can't be told from its null; NaN if it can everywhere.

    The threshold is the 95 % quantile of the *largest* accuracy over all places under the null: of forty single tests,
    two would find something by chance.
    """
    within = np.flatnonzero(accuracy <= np.quantile(null.accuracy.max(axis=1), 0.95) + _TIE)
    return float(x[within[0]]) if len(within) else float("nan")


def aligned(trajectories: Sequence[Trajectory]) -> tuple[np.ndarray, list[Trajectory]]:
    """Places that all the runs kept have in common, at most 40 spread evenly, and these runs.

    Runs shorter than half the longest are left out, then prompts with fewer than two runs.
    """
    longest = max((len(one) for one in trajectories), default=0)
    kept = [one for one in trajectories if len(one) >= max(1.0, _SHORTEST * longest)]
    prompts = [one.run.prompt_number for one in kept]
    kept = [one for one in kept if prompts.count(one.run.prompt_number) >= 2]
    if not kept:
        return np.empty(0, int), []
    places = kept[0].sequence_numbers
    for one in kept[1:]:
        places = np.intersect1d(places, one.sequence_numbers)
    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), _MOST_PLACES)).round().astype(int))
    return places[chosen], kept


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """Recoverability of prompts for every network in every space."""
    findings = Findings()
    for raw in corpus.spaces:
        space = continued_space(raw, continuation)
        for network, members in space.by_network().items():
            _add(findings, Group(space.embedding_model, space.modality, network), members)
    return findings


def _add(findings: Findings, group: Group, members: Sequence[Trajectory]) -> None:
    places, kept = aligned(members)
    labels = np.array([one.run.prompt_number for one in kept], int)
    if len(set(labels.tolist())) < 2 or not len(places):
        why = (
            "fewer than two prompts with two runs each"
            if len(set(labels.tolist())) < 2
            else "the runs have no time in common"
        )
        findings.groups += [
            GroupStatistic(group, name, Interval(np.nan), len(kept), _METHOD, unit, details={"why": why})
            for name, unit in _UNITS.items()
        ]
        return
    products = inner_products(np.stack([one.vectors[np.searchsorted(one.sequence_numbers, places)] for one in kept]))
    found, null = recover(products, labels), shuffled(products, labels)
    accuracy, low, high = bootstrapped_means(found.credit)
    x = places.astype(float)
    findings.curves += [
        Curve(group, "accuracy", x, accuracy, "invocations", low, high),
        Curve(group, "accuracy_null_95", x, np.quantile(null.accuracy, 0.95, axis=0), "invocations"),
    ]
    ends = {
        "first_accuracy": slice(0, 1),
        "late_accuracy": _late(x),
    }
    details: dict[str, object] = {
        "chance": round(found.chance, 6),
        "prompts": len(set(labels.tolist())),
        "left_out": len(members) - len(kept),
    }
    for name, part in ends.items():
        scores = np.array([row[part].mean() for row in found.credit])
        known = np.flatnonzero(~np.isnan(scores))
        known_scores, strata = scores[known], labels[known]

        def mean(drawn: np.ndarray, own: np.ndarray = known_scores) -> float:
            return float(own[drawn].mean())

        p_value = permutation_p(float(known_scores.mean()), null.accuracy[:, part].mean(axis=1), "greater")
        findings.groups.append(
            GroupStatistic(
                group,
                name,
                bootstrap(mean, len(known), strata=strata),
                len(known),
                _METHOD,
                "",
                p_value,
                details=details,
            )
        )
    findings.groups += [
        _decay(group, x, found, labels, details),
        _to_chance(group, x, accuracy, null, len(kept), details),
    ]


def _decay(
    group: Group, x: np.ndarray, found: Recovered, labels: np.ndarray, details: dict[str, object]
) -> GroupStatistic:
    """Tau of the exponential approach of accuracy to its plateau.

    Whether accuracy falls at all is told by the runs, which are independent, not by the residuals of the fit: the drop
    from the first to the late accuracy must have an interval above zero.
    """
    tested = ~np.isnan(found.credit).any(axis=1)
    drops = (found.credit[:, 0] - found.credit[:, _late(x)].mean(axis=1))[tested]
    drop = bootstrap(lambda drawn: float(drops[drawn].mean()), len(drops), strata=labels[tested])
    _, ((tau, *_), (low, *_), (high, *_)) = relaxation_of(x, mean_of(found.credit), len(labels), strata=labels)
    why = ""
    if not drop.low > 0:
        why = "accuracy does not fall, as far as the runs tell"
    elif not np.isfinite(tau):
        why = "no plateau within the time seen, or too few times"
    interval = Interval(float("nan")) if why else Interval(float(tau), float(low), float(high))
    own = details | ({"why": why} if why else {})
    return GroupStatistic(group, "decay_time", interval, len(labels), _METHOD, "invocations", details=own)


def _late(x: np.ndarray) -> slice:
    return slice(len(x) - max(1, round(LATE * len(x))), None)


def _to_chance(
    group: Group, x: np.ndarray, accuracy: np.ndarray, null: Null, runs: int, details: dict[str, object]
) -> GroupStatistic:
    value = time_to_chance(x, accuracy, null)
    own = details | ({"why": "above chance at all times"} if np.isnan(value) else {})
    return GroupStatistic(
        group,
        "time_to_chance",
        Interval(value, confidence=None),
        runs,
        "below 95 % of the largest accuracies of shuffled prompts",
        "invocations",
        details=own,
    )


_UNITS = {"first_accuracy": "", "late_accuracy": "", "decay_time": "invocations", "time_to_chance": "invocations"}
_METHOD = "nearest centroid, cross-validated by runs; bootstrap over runs within prompts; p from shuffled prompts"

RECOVERABILITY = Analysis(
    "recoverability",
    "Recoverability of the prompt",
    "How well the prompt can be told from an output, over time, and how fast that fades.",
    compute,
)
