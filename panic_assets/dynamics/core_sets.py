"""Core-set Markov state models: which clusters are core, at which lag passages forget, and how sure that is.

Here belongs the model of a group of runs with its bootstrap over runs. The mathematics of one matrix belongs to
``markov``, rows and curves to ``cluster_dynamics``. Times are in labels of the sequence; who reports them multiplies
them by the spacing of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics import markov
from panic_assets.dynamics.symbols import OUTLIER, count_matrices, dwells, milestones
from panic_assets.dynamics.uncertainty import bootstrap, permutation_p

RESAMPLES = 400  # of spectral statistics, each of which needs an eigendecomposition
_CALM = 1e-3  # share of all passages that is added to each resample


@dataclass(frozen=True)
class CoreRule:
    """What makes a cluster a core state.

    ``share``: of all labels at least; ``dwell``: mean stretch at least, in labels (1 admits clusters that a cycle
    passes through); ``strength``: membership that an output must have to count as inside; ``most``: states at most,
    the largest ones.
    """

    share: float = 0.01
    dwell: float = 1.0
    strength: float = 0.1
    most: int = 30


def core_sequences(
    labels: Sequence[np.ndarray], strengths: Sequence[np.ndarray], rule: CoreRule
) -> tuple[list[int], list[np.ndarray]]:
    """The core states, largest first, and the milestoned sequence of each run as positions in them.

    Args:
        labels: int (n,) for each run, -1 for outliers.
        strengths: float (n,) for each run.
        rule: see :class:`CoreRule`.
    """
    inside = [np.where(s >= rule.strength, own, OUTLIER) for own, s in zip(labels, strengths, strict=True)]
    total = sum(map(len, inside))
    held: dict[int, list[int]] = {}
    for own in inside:
        found = dwells(own)
        for state, length in zip(found.states.tolist(), found.lengths.tolist(), strict=True):
            held.setdefault(state, []).append(length)
    held.pop(OUTLIER, None)
    core = [s for s, h in held.items() if sum(h) >= rule.share * total and sum(h) / len(h) >= rule.dwell]
    core = sorted(core, key=lambda state: (-sum(held[state]), state))[: rule.most]
    return core, [milestones(own, core) for own in inside]


def lag_times(sequences: Sequence[np.ndarray], number: int = 8) -> list[int]:
    """Lags to compare: about geometric from 1 to a quarter of the median run, ``number`` at most."""
    lengths = [len(s) for s in sequences if len(s) > 1]
    longest = int(np.median(lengths)) // 4 if lengths else 0
    return sorted(set(np.geomspace(1, longest, number).astype(int).tolist())) if longest >= 1 else [1]


@dataclass(frozen=True)
class Timescales:
    """Implied time scales over lags: float (lags, scales), in labels; infinite where nothing is forgotten."""

    lags: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def plateau(self, later: int = 2) -> int | None:
        """The smallest lag whose interval of the slowest scale holds the estimates of the longer lags.

        Compared are longer lags up to twice that scale, ``later`` of them at least: beyond it next to nothing is left
        of the memory, and estimates grow with the lag by noise alone. None: no lag is so, or there are no intervals.
        """
        slowest, low, high = self.values[:, 0], self.low[:, 0], self.high[:, 0]
        for place, lag in enumerate(self.lags):
            rest = slowest[(self.lags > lag) & (self.lags <= 2 * slowest[place])]
            if len(rest) >= later and ((rest >= low[place]) & (rest <= high[place])).all():
                return int(lag)
        return None


class CoreModel:
    """Passages between core states of a group of runs, at any lag."""

    def __init__(self, sequences: Sequence[np.ndarray], states: int) -> None:
        self.sequences, self.states = list(sequences), states
        self._counts: dict[int, np.ndarray] = {}
        #: States between which there is a way both ways, with the most passages; spectra and pi are of these.
        self.active = markov.largest_connected(self.total(1)) if states else np.empty(0, int)

    def counts(self, lag: int) -> np.ndarray:
        """Passages of each run, float (runs, states, states)."""
        if lag not in self._counts:
            self._counts[lag] = count_matrices(self.sequences, self.states, lag)
        return self._counts[lag]

    def total(self, lag: int) -> np.ndarray:
        """Passages of all runs, float (states, states)."""
        return np.asarray(self.counts(lag).sum(axis=0))

    def active_counts(self, lag: int) -> np.ndarray:
        """Passages of all runs among the active states."""
        return self.total(lag)[np.ix_(self.active, self.active)]

    def estimate(
        self, lag: int, statistic: Callable[[np.ndarray], np.ndarray], resamples: int = RESAMPLES, whole: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A statistic of the counts of active (or all) states with the ends of its 95 % interval, over runs.

        A thousandth of all passages is added to every resample: one that left out the only run of a passage would
        otherwise have no stationary state.
        """
        chosen = np.arange(self.states) if whole else self.active
        counts = self.counts(lag)[:, chosen][:, :, chosen]
        everything = counts.sum(axis=0)
        flat = counts.reshape(len(counts), -1)

        def resampled(runs: np.ndarray) -> np.ndarray:
            weights = np.bincount(runs, minlength=len(flat)).astype(float)
            return statistic((weights @ flat).reshape(everything.shape) + _CALM * everything)

        return bootstrap(resampled, len(flat), resamples=resamples)

    def implied_timescales(self, number: int = 3, lags: Sequence[int] | None = None) -> Timescales:
        """Time scales of the unconstrained estimate (moduli of eigenvalues), over lags."""
        lags = lag_times(self.sequences) if lags is None else list(lags)
        rows = [
            self.estimate(lag, lambda c, n=lag: n * markov.timescales(markov.transition_matrix(c), number))  # type: ignore[misc]
            for lag in lags
        ]
        return Timescales(np.array(lags), *(np.stack([row[part] for row in rows]) for part in range(3)))

    def stationary(self, lag: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stationary probabilities of the active states with their intervals."""
        return self.estimate(lag, lambda c: markov.stationary(markov.transition_matrix(c)), 1000)

    def chapman_kolmogorov(
        self, lag: int, state: int, powers: Sequence[int]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Chance of being in an active state again after each power of the lag: predicted, and seen with its interval.

        J.-H. Prinz and others, J. Chem. Phys. 134 (2011) 174105.
        """
        matrix = markov.transition_matrix(self.active_counts(lag))
        predicted = np.array([np.linalg.matrix_power(matrix, power)[state, state] for power in powers])
        seen = [
            self.estimate(lag * power, lambda c: markov.transition_matrix(c)[state, state : state + 1])
            for power in powers
        ]
        return predicted, tuple(np.array([row[part][0] for row in seen]) for part in range(3))

    def balance_p(self, simulations: int = 199, seed: int = 0) -> tuple[float, float]:
        """p-value of the flux asymmetry at lag 1 and its mean under the null of detailed balance.

        The null is simulated: runs of the same starts and lengths from the reversible estimate, counted alike.
        """
        counts = self.active_counts(1)
        place = {int(state): position for position, state in enumerate(self.active)}
        inside = [np.array([place[s] for s in own.tolist() if s in place], int) for own in self.sequences]
        inside = [own for own in inside if len(own) > 1]
        if not inside or len(self.active) < 2:
            return float("nan"), float("nan")
        matrix, k = markov.reversible_matrix(counts), len(self.active)
        lengths = np.array([len(own) - 1 for own in inside])
        null = []
        for number in range(simulations):
            paths = markov.simulate(matrix, np.array([own[0] for own in inside]), int(lengths.max()), seed + number)
            within = np.arange(lengths.max()) < lengths[:, None]
            pairs = (paths[:, :-1] * k + paths[:, 1:])[within]
            made = np.bincount(pairs, minlength=k * k).reshape(k, k).astype(float)
            connected = markov.largest_connected(made)
            null.append(markov.flux_asymmetry(markov.transition_matrix(made[np.ix_(connected, connected)])))
        values = np.array(null)
        values = values[np.isfinite(values)]
        observed = markov.flux_asymmetry(markov.transition_matrix(counts))
        if not len(values) or not np.isfinite(observed):
            return float("nan"), float("nan")
        return float(permutation_p(observed, values, "greater")), float(values.mean())


def poles(model: CoreModel, lag: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The two sets between which committors are told, as states; None if there are not two.

    The two closed classes most passages end in; without two, the two states of the largest stationary probability
    among those more likely kept than left, or among all.
    """
    counts = model.total(lag)
    found = markov.classes(counts)
    closed = sorted(found.closed, key=lambda one: -counts[:, found.of == one].sum())
    if len(closed) >= 2:
        return np.flatnonzero(found.of == closed[0]), np.flatnonzero(found.of == closed[1])
    if len(model.active) < 3:
        return None
    matrix = markov.transition_matrix(model.active_counts(lag))
    weight = markov.stationary(matrix)
    kept = np.diag(matrix) >= 0.5
    chosen = np.argsort(-np.where(kept, weight, weight - 1.0), kind="stable")[:2]
    return model.active[chosen[:1]], model.active[chosen[1:2]]
