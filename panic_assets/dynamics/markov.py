"""Markov models of counted passages: estimators, and what they say about time, direction and destination.

Here belongs mathematics on count and transition matrices. Counting belongs to ``symbols``; which states, lags and
intervals are reported, to ``cluster_dynamics``. Times are in steps of the transition matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUARTER = 0.25
_MANY_STEPS = 1 << 24


def transition_matrix(counts: np.ndarray) -> np.ndarray:
    """Maximum likelihood without constraints: rows of counts over their sums. A state never left is absorbing.

    Args:
        counts: float (k, k), passages from row to column.
    """
    sums = counts.sum(axis=1, keepdims=True)
    rows = np.divide(counts, sums, out=np.zeros_like(counts, dtype=float), where=sums > 0)
    rows[np.diag_indices(len(rows))] += (sums[:, 0] <= 0).astype(float)
    return rows


def reversible_matrix(counts: np.ndarray, tolerance: float = 1e-10, most: int = 20_000) -> np.ndarray:
    """Maximum likelihood under detailed balance, by fixed-point iteration.

    x_ij <- (c_ij + c_ji) / (c_i / x_i + c_j / x_j), T = x / row sums (G. R. Bowman and others, J. Chem. Phys. 131
    (2009) 124101; B. Trendelkamp-Schroer and others, J. Chem. Phys. 143 (2015) 174101, eq. 13).

    Args:
        counts: float (k, k), strongly connected.
        tolerance: largest change of a stationary probability at which it ends.
        most: iterations at most.
    """
    both = counts + counts.T
    flows = both / max(both.sum(), 1e-300)
    left = counts.sum(axis=1)
    for _ in range(most):
        rate = np.divide(left, flows.sum(axis=1), out=np.zeros(len(left)), where=flows.sum(axis=1) > 0)
        below = rate[:, None] + rate[None, :]
        new = np.divide(both, below, out=np.zeros_like(flows), where=below > 0)
        new /= max(new.sum(), 1e-300)
        change = np.abs(new.sum(axis=1) - flows.sum(axis=1)).max(initial=0.0)
        flows = new
        if change < tolerance:
            break
    return transition_matrix(flows)


def stationary(matrix: np.ndarray) -> np.ndarray:
    """The probabilities (k,) that an irreducible transition matrix leaves as they are (pi T = pi, sum 1)."""
    k = len(matrix)
    system = np.vstack([matrix.T - np.eye(k), np.ones((1, k))])
    found = np.linalg.lstsq(system, np.append(np.zeros(k), 1.0), rcond=None)[0]
    found = np.clip(found, 0.0, None)
    return found / found.sum()


def moduli(matrix: np.ndarray) -> np.ndarray:
    """Moduli of the eigenvalues (k,), falling; the first is 1."""
    return np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]


def timescales(matrix: np.ndarray, number: int) -> np.ndarray:
    """Implied time scales -1 / ln |lambda_i|, i = 2 to ``number`` + 1, in steps; NaN beyond the states, infinite if 1.

    W. C. Swope and others, J. Phys. Chem. B 108 (2004) 6571.
    """
    values = np.full(number, np.nan)
    own = moduli(matrix)[1 : number + 1]
    with np.errstate(divide="ignore"):
        values[: len(own)] = np.where(own >= 1 - 1e-12, np.inf, -1.0 / np.log(np.clip(own, 1e-300, 1 - 1e-15)))
    return values


def mixing_time(matrix: np.ndarray, distance: float = QUARTER) -> float:
    """First step at which the total variation distance to the stationary state is at most ``distance`` from any start.

    D. A. Levin, Y. Peres, Markov Chains and Mixing Times, section 4.5. The distance never rises, so that powers of
    two and a bisection find the step. Infinite for a periodic chain, or one that has not mixed in 16 million steps.
    """
    goal = stationary(matrix)

    def mixed(power: np.ndarray) -> bool:
        return bool(0.5 * np.abs(power - goal).sum(axis=1).max() <= distance)

    if mixed(np.eye(len(matrix))):
        return 0.0
    powers = [matrix]
    while not mixed(powers[-1]):
        if 1 << len(powers) > _MANY_STEPS:
            return float("inf")
        powers.append(powers[-1] @ powers[-1])
    step, reached = 0, np.eye(len(matrix))
    for exponent in range(len(powers) - 2, -1, -1):
        further = reached @ powers[exponent]
        if not mixed(further):
            step, reached = step + (1 << exponent), further
    return float(step + 1)


def flux_asymmetry(matrix: np.ndarray) -> float:
    """Share of the flow between states that is not balanced by flow back, 0 (detailed balance) to 1 (one way only).

    sum_ij |F_ij - F_ji| / (2 sum_i!=j F_ij), F_ij = pi_i T_ij. NaN without flow.
    """
    flow = stationary(matrix)[:, None] * matrix
    between = flow.sum() - np.trace(flow)
    return float(np.abs(flow - flow.T).sum() / (2 * between)) if between > 1e-12 else float("nan")


def entropy_production(counts: np.ndarray, prior: float = 0.5) -> float:
    """Entropy that the stationary chain produces, nats per step; 0 exactly under detailed balance.

    (1/2) sum_ij (F_ij - F_ji) ln(F_ij / F_ji) (J. Schnakenberg, Rev. Mod. Phys. 48 (1976) 571). ``prior`` passages
    are added both ways to each pair of states that was seen one way, without which one unseen way back is infinite.

    Args:
        counts: float (k, k), strongly connected.
        prior: passages.
    """
    seen = (counts + counts.T > 0) & ~np.eye(len(counts), dtype=bool)
    matrix = transition_matrix(counts + prior * seen)
    flow = stationary(matrix)[:, None] * matrix
    ratio = np.where(seen, np.log(np.where(seen, flow, 1.0)) - np.log(np.where(seen, flow.T, 1.0)), 0.0)
    return float(0.5 * ((flow - flow.T) * ratio).sum())


@dataclass(frozen=True)
class Classes:
    """Communicating classes: ``of`` int (k,), the class of each state; ``closed``: classes that were never left."""

    of: np.ndarray
    closed: tuple[int, ...]


def classes(counts: np.ndarray) -> Classes:
    """Strongly connected components of the graph of passages seen.

    A class is closed (absorbing) if no passage leads out of it and at least one stays within: a state that was seen
    once, at the very end of a run, is none.
    """
    from scipy.sparse.csgraph import connected_components

    number, of = connected_components(counts > 0, directed=True, connection="strong")
    closed = []
    for one in range(number):
        inside = of == one
        if counts[np.ix_(inside, ~inside)].sum() == 0 and counts[np.ix_(inside, inside)].sum() > 0:
            closed.append(one)
    return Classes(of, tuple(closed))


def largest_connected(counts: np.ndarray) -> np.ndarray:
    """States (m,) of the strongly connected component with the most passages inside, ties to the first."""
    of = classes(counts).of
    inside = [counts[np.ix_(of == one, of == one)].sum() for one in range(of.max(initial=-1) + 1)]
    return np.flatnonzero(of == int(np.argmax(inside))) if inside else np.empty(0, int)


def committor(matrix: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Probability (k,) of reaching ``target`` before ``source``; NaN where neither is reached.

    q_i = sum_j T_ij q_j elsewhere (W. E, E. Vanden-Eijnden, J. Stat. Phys. 123 (2006) 503).

    Args:
        matrix: (k, k) transition matrix.
        source: states (a,), disjoint from target.
        target: states (b,).
    """
    k = len(matrix)
    ends = np.zeros(k, bool)
    ends[source] = ends[target] = True
    reaches = ends.copy()
    for _ in range(k):
        reaches |= ((matrix > 0) & reaches).any(axis=1)
    values = np.full(k, np.nan)
    values[source], values[target] = 0.0, 1.0
    free = np.flatnonzero(reaches & ~ends)
    if len(free):
        inner = matrix[np.ix_(free, free)] - np.eye(len(free))
        # A free state may also pass to states that reach neither end: such walks count as not reaching the target.
        values[free] = np.linalg.solve(inner, -matrix[np.ix_(free, np.asarray(target))].sum(axis=1))
    return values


def simulate(matrix: np.ndarray, starts: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """Independent chains: int (chains, steps + 1), from ``starts`` int (chains,)."""
    generator = np.random.default_rng(seed)
    edges = np.cumsum(matrix, axis=1)
    edges[:, -1] = np.inf
    paths = np.empty((len(starts), steps + 1), np.int64)
    paths[:, 0] = starts
    for step in range(steps):
        drawn = generator.random(len(starts))
        paths[:, step + 1] = (drawn[:, None] >= edges[paths[:, step]]).sum(axis=1)
    return paths
