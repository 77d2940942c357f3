"""The analysis ``cluster_dynamics``: what runs do as sequences of clusters, in rows and curves.

Here belongs what is reported, in which units. Sequences belong to ``symbols``, models to ``core_sets`` and ``markov``.
Groups are single networks: passages of different networks are those of different systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from panic_assets.dynamics import markov
from panic_assets.dynamics.core_sets import CoreModel, CoreRule, Timescales, core_sequences, lag_times, poles
from panic_assets.dynamics.corpus import Corpus
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.grouping import bootstrapped_means
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.symbols import (
    OUTLIER,
    LabelledRun,
    LabelledSpace,
    bigrams,
    continued_labels,
    dwells,
    labelled_spaces,
    spacing,
)
from panic_assets.dynamics.uncertainty import bootstrap

RULE = CoreRule()
_OVER_RUNS = "bootstrap over runs"
_POWERS = (1, 2, 3, 4, 5)
_CHECKED_STATES = 3
_CELLS = 20_000_000  # of a table of resamples


def cluster_dynamics(corpus: Corpus, rule: CoreRule = RULE, along_cycles: bool = True) -> Findings:
    """Passages, dwell times and core-set Markov models of every space and network.

    ``along_cycles``: the Markov model continues runs that closed a cycle to the length of the longest run of their
    network; bigrams and dwell times are always those that were seen.
    """
    findings = Findings()
    for space in labelled_spaces(corpus.lake, corpus.experiment, corpus.runs):
        for network, runs in space.by_network().items():
            group = Group(space.embedding_model, space.modality, network)
            _tell_runs(findings, group, runs)
            _tell_dwells(findings, group, runs)
            findings.transitions += passages(space, network, "bigram", 1, [one.labels for one in runs])
            _tell_cores(findings, space, group, continued_labels(runs) if along_cycles else runs, rule)
    return findings


def passages(
    space: LabelledSpace, network: str, kind: str, lag: int, sequences: Sequence[np.ndarray]
) -> list[dict[str, Any]]:
    """Rows of ``transitions`` (without experiment): counts, and shares of what leaves a state, over runs."""
    pairs, counts = bigrams(sequences, lag)
    if not len(pairs):
        return []
    first = np.searchsorted(np.unique(pairs[:, 0]), pairs[:, 0])
    resamples = int(np.clip(_CELLS // len(pairs), 100, 1000))

    def shares(runs: np.ndarray) -> np.ndarray:
        drawn = np.bincount(runs, minlength=len(counts)) @ counts
        leaving = np.bincount(first, drawn)[first]
        return np.divide(drawn, leaving, out=np.full(len(drawn), np.nan), where=leaving > 0)

    value, low, high = (np.atleast_1d(part) for part in bootstrap(shares, len(counts), resamples=resamples))
    own = {
        "clustering_id": space.clustering_id,
        "embedding_model": space.embedding_model,
        "modality": space.modality,
        "network": network,
        "kind": kind,
        "lag": lag,
    }
    numbers = counts.sum(axis=0)
    return [
        own
        | {"from_state": int(a), "to_state": int(b), "count": int(numbers[row]), "probability": _known(value[row])}
        | {"low": _known(low[row]), "high": _known(high[row])}
        for row, (a, b) in enumerate(pairs)
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tell_runs(findings: Findings, group: Group, runs: Sequence[LabelledRun]) -> None:
    for one in runs:
        found = dwells(one.labels)
        longest = int(np.argmax(found.lengths))
        stride = spacing([one])
        numbers = {
            "clusters_visited": (float(len(np.unique(one.labels[one.labels != OUTLIER]))), "clusters"),
            "outlier_share": (float((one.labels == OUTLIER).mean()), ""),
            "label_changes": (float(len(found.lengths) - 1), "passages"),
            "longest_dwell": (float(found.lengths[longest] * stride), "invocations"),
        }
        space = (group.embedding_model, group.modality)
        findings.runs += [
            RunStatistic(one.run.number, name, value, None, unit, *space) for name, (value, unit) in numbers.items()
        ]
        findings.runs += [
            RunStatistic(one.run.number, name, None, str(int(label)), "", *space)
            for name, label in (("last_cluster", one.labels[-1]), ("longest_held_cluster", found.states[longest]))
        ]


def _tell_dwells(findings: Findings, group: Group, runs: Sequence[LabelledRun]) -> None:
    """Mean dwell time in clusters, and the share of stretches that last; a run's last stretch is censored."""
    stride = spacing(runs)
    longest = max(len(one.labels) for one in runs)
    ended, at_risk = np.zeros((2, len(runs), longest))
    outliers, places = np.zeros((2, len(runs)))
    for row, one in enumerate(runs):
        found = dwells(one.labels)
        inside = found.states != OUTLIER
        ended[row] = np.bincount(found.lengths[inside & found.ended] - 1, minlength=longest)
        at_risk[row] = np.bincount(found.lengths[inside] - 1, minlength=longest)[::-1].cumsum()[::-1]
        outliers[row], places[row] = (one.labels == OUTLIER).sum(), len(one.labels)

    def numbers(drawn: np.ndarray) -> np.ndarray:
        weights = np.bincount(drawn, minlength=len(runs)).astype(float)
        ends, risk = weights @ ended, weights @ at_risk
        share = np.cumprod(1 - np.divide(ends, risk, out=np.zeros(longest), where=risk > 0))
        share[risk <= 0] = np.nan
        mean = stride * risk.sum() / ends.sum() if ends.sum() else np.nan
        return np.concatenate([[mean, (weights @ outliers) / (weights @ places)], share])

    value, low, high = (np.asarray(part, float) for part in bootstrap(numbers, len(runs)))
    why = None if np.isfinite(value[0]) else {"why": "no stay in a cluster ended within a run"}
    findings.groups += [
        GroupStatistic(
            group,
            "mean_dwell",
            Interval(value[0], low[0], high[0]),
            len(runs),
            f"time in clusters over stays that ended, last stays censored; {_OVER_RUNS}",
            "invocations",
            details=why,
        ),
        GroupStatistic(
            group, "outlier_share", Interval(value[1], low[1], high[1]), len(runs), f"pooled share; {_OVER_RUNS}"
        ),
    ]
    told = np.flatnonzero(np.isfinite(value[2:]))
    if len(told):
        x, rows = (told + 1) * stride, told + 2
        findings.curves.append(Curve(group, "dwell_survival", x, value[rows], "invocations", low[rows], high[rows]))


def _tell_cores(
    findings: Findings, space: LabelledSpace, group: Group, runs: Sequence[LabelledRun], rule: CoreRule
) -> None:
    core, sequences = core_sequences([one.labels for one in runs], [one.strengths for one in runs], rule)
    model = CoreModel(sequences, len(core))
    usable = sum(len(own) > 0 for own in sequences)
    findings.groups.append(
        GroupStatistic(
            group,
            "core_states",
            Interval(float(len(core)), confidence=None),
            usable,
            f"clusters of a share of at least {rule.share:g} and a mean dwell of at least {rule.dwell:g} labels",
            "clusters",
            details={"clusters": core, "active": [core[state] for state in model.active]},
        )
    )
    if len(model.active) < 2:
        why = {"why": f"core states with ways both ways between them: {len(model.active)}; it takes two"}
        findings.groups += [
            GroupStatistic(group, name, Interval(float("nan")), usable, "core-set Markov model", details=why)
            for name in ("spectral_gap", "mixing_time", "flux_asymmetry")
        ]
        _tell_passages(findings, space, group, core, sequences, [1])
        _tell_ends(findings, group, core, model, 1)
        return
    stride = spacing(runs)
    scales = model.implied_timescales()
    plateau = scales.plateau()
    lag = plateau or 1
    _tell_scales(findings, group, scales, stride, plateau, usable)
    _tell_spectrum(findings, group, model, lag, stride, usable, core)
    _tell_check(findings, group, model, lag, stride, core)
    _tell_passages(findings, space, group, core, sequences, sorted({1, lag}))
    _tell_ends(findings, group, core, model, lag)


def _tell_scales(
    findings: Findings, group: Group, scales: Timescales, stride: float, plateau: int | None, runs: int
) -> None:
    for number in range(scales.values.shape[1]):
        if np.isfinite(scales.values[:, number]).any():
            parts = (stride * part[:, number] for part in (scales.values, scales.low, scales.high))
            value, low, high = parts
            name = f"implied_timescale_{number + 2}"
            findings.curves.append(Curve(group, name, stride * scales.lags, value, "invocations", low, high))
    lag = plateau or 1
    place = int(np.flatnonzero(scales.lags == lag)[0])
    value, low, high = (stride * part[place, 0] for part in (scales.values, scales.low, scales.high))
    details: dict[str, Any] = {"lag_labels": lag, "lag_invocations": lag * stride, "validated": plateau is not None}
    if plateau is None:
        details["why"] = "no lag's interval holds the time scales of all longer lags: lag 1 is taken, unvalidated"
    method = f"-lag / ln |second eigenvalue| at the first lag of the plateau; {_OVER_RUNS}"
    findings.groups.append(
        GroupStatistic(
            group, "slowest_timescale", Interval(value, low, high), runs, method, "invocations", details=details
        )
    )


def _tell_spectrum(
    findings: Findings, group: Group, model: CoreModel, lag: int, stride: float, runs: int, core: Sequence[int]
) -> None:
    weight, low, high = model.stationary(lag)
    reversible = markov.stationary(markov.reversible_matrix(model.active_counts(lag)))
    for place, state in enumerate(model.active):
        findings.groups.append(
            GroupStatistic(
                _of_cluster(group, core[state]),
                "stationary_probability",
                Interval(weight[place], low[place], high[place]),
                runs,
                f"core-set Markov model at lag {lag}; {_OVER_RUNS}",
                details={"reversible": float(reversible[place])},
            )
        )

    def spectral(counts: np.ndarray) -> np.ndarray:
        matrix = markov.transition_matrix(counts)
        second = markov.moduli(matrix)[1]
        return np.array([1 - second, stride * lag * markov.mixing_time(matrix)])

    def direction(counts: np.ndarray) -> np.ndarray:
        return np.array([markov.flux_asymmetry(markov.transition_matrix(counts)), markov.entropy_production(counts)])

    p_value, expected = model.balance_p()
    spectrum, balance = model.estimate(lag, spectral), model.estimate(1, direction)
    null = {"mean_under_null": expected} if np.isfinite(expected) else {"why": "no null could be simulated"}
    at_lag: dict[str, Any] = {"lag_labels": lag, "lag_invocations": lag * stride}
    endless = at_lag if np.isfinite(spectrum[0][1]) else at_lag | {"why": "the chain is periodic or does not mix"}
    told: tuple[tuple[str, tuple[np.ndarray, ...], int, str, str, dict[str, Any]], ...] = (
        ("spectral_gap", spectrum, 0, "1 - |second eigenvalue| per lag", f"per {lag * stride:g} invocations", at_lag),
        ("mixing_time", spectrum, 1, "first total variation <= 1/4 from the worst start", "invocations", endless),
        ("flux_asymmetry", balance, 0, "unbalanced share of flow at lag 1; null: reversible model", "", null),
        ("entropy_production", balance, 1, "of fluxes at lag 1, half a passage added", "nats per label", {}),
    )
    for name, (values, lows, highs), place, method, unit, details in told:
        interval = Interval(values[place], lows[place], highs[place])
        p = p_value if name == "flux_asymmetry" and np.isfinite(p_value) else None
        findings.groups.append(
            GroupStatistic(
                group, name, interval, runs, f"{method}; {_OVER_RUNS}", unit, p_value=p, details=details or None
            )
        )


def _tell_check(
    findings: Findings, group: Group, model: CoreModel, lag: int, stride: float, core: Sequence[int]
) -> None:
    """Chapman-Kolmogorov: T(lag)^k against T(k lag), for the largest active states."""
    longest = max(lag_times(model.sequences))
    powers = [power for power in _POWERS if power * lag <= max(longest, lag)]
    for state in range(min(_CHECKED_STATES, len(model.active))):
        predicted, (seen, low, high) = model.chapman_kolmogorov(lag, state, powers)
        one, x = _of_cluster(group, core[model.active[state]]), stride * lag * np.array(powers)
        findings.curves += [
            Curve(one, "chapman_kolmogorov_predicted", x, predicted, "invocations"),
            Curve(one, "chapman_kolmogorov_seen", x, seen, "invocations", low, high),
        ]


def _tell_passages(
    findings: Findings,
    space: LabelledSpace,
    group: Group,
    core: Sequence[int],
    sequences: Sequence[np.ndarray],
    lags: Sequence[int],
) -> None:
    names = np.array(core, int)
    for lag in lags:
        findings.transitions += passages(space, group.network, "core", lag, [names[own] for own in sequences])


def _tell_ends(findings: Findings, group: Group, core: Sequence[int], model: CoreModel, lag: int) -> None:
    """Closed classes, the share of runs that end in each, and committors between two sets."""
    if not core:
        return
    found = markov.classes(model.total(1))
    last = np.array([own[-1] for own in model.sequences if len(own)])
    findings.groups.append(
        GroupStatistic(
            group,
            "absorbing_classes",
            Interval(float(len(found.closed)), confidence=None),
            len(last),
            "strongly connected components of core passages that no run was seen to leave",
            "classes",
            details={"classes": [[core[s] for s in np.flatnonzero(found.of == one).tolist()] for one in found.closed]},
        )
    )
    for one in found.closed:
        members = [core[state] for state in np.flatnonzero(found.of == one).tolist()]
        ended = (found.of[last] == one).astype(float)
        value, low, high = bootstrapped_means(ended[:, None])
        findings.groups.append(
            GroupStatistic(
                _of_cluster(group, min(members)),
                "absorbed_share",
                Interval(float(value[0]), float(low[0]), float(high[0])),
                len(last),
                f"share of runs whose last core state is in the class of this cluster; {_OVER_RUNS}",
                details={"clusters": members},
            )
        )
    ends = poles(model, lag)
    if ends is None:
        return
    source, target = ends
    values, low, high = model.estimate(
        lag, lambda c: markov.committor(markov.transition_matrix(c), source, target), whole=True
    )
    names = {"from": [core[state] for state in source], "to": [core[state] for state in target]}
    for state, value in enumerate(values):
        if state not in source and state not in target and np.isfinite(value):
            findings.groups.append(
                GroupStatistic(
                    _of_cluster(group, core[state]),
                    "committor",
                    Interval(value, low[state], high[state]),
                    len(last),
                    f"chance to reach `to` before `from`, at lag {lag}; {_OVER_RUNS}",
                    details=names,
                )
            )


def _of_cluster(group: Group, cluster: int) -> Group:
    return Group(group.embedding_model, group.modality, group.network, contrast=f"cluster={cluster}")


CLUSTER_DYNAMICS = Analysis(
    "cluster_dynamics",
    "Clusters in time",
    "Passages between clusters, dwell times, and a core-set Markov model with its time scales, direction and ends.",
    cluster_dynamics,
    reads=("runs", "invocations", "outcomes", "clusterings", "cluster_assignments"),
    has_transitions=True,
)
