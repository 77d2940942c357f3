"""Runs as sequences of cluster labels: reading them, counting what follows what, how long a label is held.

Here belong counts that never leave a run: every function takes one array per run, so that nothing can be joined across
runs. Outliers (label -1) are a state of their own in `bigrams`; nothing bridges them. What is inferred from counts
(probabilities, time scales) belongs to ``markov``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from panic_assets.dynamics.corpus import Run
from panic_assets.lake import Lake

OUTLIER = -1


@dataclass(frozen=True)
class LabelledRun:
    """One run in one space. ``sequence_numbers`` and ``labels`` int32 (n,), ``strengths`` float32 (n,), 0 to 1."""

    run: Run
    sequence_numbers: np.ndarray
    labels: np.ndarray
    strengths: np.ndarray


@dataclass(frozen=True)
class LabelledSpace:
    """The labelled runs of one experiment under one clustering, in the order of run numbers."""

    clustering_id: bytes
    embedding_model: str
    modality: str
    runs: tuple[LabelledRun, ...]

    def by_network(self) -> dict[str, list[LabelledRun]]:
        """Runs of each network, networks in the order of their first runs."""
        groups: dict[str, list[LabelledRun]] = {}
        for one in self.runs:
            groups.setdefault(one.run.network, []).append(one)
        return groups


def labelled_spaces(lake: Lake, experiment: str, runs: Iterable[Run]) -> list[LabelledSpace]:
    """The labels of an experiment's outputs, from the newest clustering of each embedding model and modality.

    Raises:
        LakeError: a table can't be read.
    """
    known = {run.number: run for run in runs}
    table = lake.read("cluster_assignments", where={"experiment": experiment})
    used = set(table.column("clustering_id").unique().to_pylist())
    newest: dict[tuple[str, str], tuple[object, bytes]] = {}
    for row in lake.read("clusterings").to_pylist():
        if row["clustering_id"] in used:
            kind = (row["embedding_model"], row["modality"])
            mine = (row["created_at"], row["clustering_id"])
            newest[kind] = max(newest.get(kind, mine), mine)
    ids = np.array(table.column("clustering_id").to_pylist(), dtype=object)
    columns = [table.column(name).to_numpy() for name in ("run_number", "sequence_number", "cluster", "probability")]
    spaces = []
    for (model, modality), (_, identity) in sorted(newest.items()):
        numbers, places, labels, strengths = (column[ids == identity] for column in columns)
        labelled = []
        for number in np.unique(numbers):
            rows = np.flatnonzero((numbers == number) & (places >= 0))
            if number in known and len(rows):
                labelled.append(LabelledRun(known[int(number)], places[rows], labels[rows], strengths[rows]))
        spaces.append(LabelledSpace(identity, model, modality, tuple(labelled)))
    return spaces


def spacing(runs: Sequence[LabelledRun]) -> float:
    """Mean number of invocations from one label to the next; 1 where no run has two labels."""
    steps = sum(len(one.labels) - 1 for one in runs)
    span = sum(int(one.sequence_numbers[-1] - one.sequence_numbers[0]) for one in runs if len(one.labels))
    return span / steps if steps > 0 else 1.0


def continued_labels(runs: Sequence[LabelledRun]) -> list[LabelledRun]:
    """Every run that closed a cycle, continued along it to the length of the longest run given.

    Such a run is a deterministic map, so its future is known (`dynamics.continuation` does the same for vectors); a
    model of it that ends at the closing would take a state that is never left for one that was hardly held.
    """
    until = max((len(one.run.outputs) for one in runs), default=0)
    return [_continued(one, until) for one in runs]


def _continued(one: LabelledRun, until: int) -> LabelledRun:
    transient, length, given = one.run.transient_length, one.run.cycle_length, len(one.run.outputs)
    if transient is None or length is None or given >= until or not len(one.labels):
        return one
    places = np.arange(given, until)
    sources = transient + (places - transient) % length
    rows = np.minimum(np.searchsorted(one.sequence_numbers, sources), len(one.labels) - 1)
    known = one.sequence_numbers[rows] == sources
    return replace(
        one,
        sequence_numbers=np.concatenate([one.sequence_numbers, places[known]]).astype(np.int32),
        labels=np.concatenate([one.labels, one.labels[rows[known]]]),
        strengths=np.concatenate([one.strengths, one.strengths[rows[known]]]),
    )


def bigrams(sequences: Sequence[np.ndarray], lag: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """How often each label follows each other, run by run.

    Args:
        sequences: int (n,) for each run; -1 is a state like any other, so a pair never spans an outlier.
        lag: distance within the sequence.

    Returns:
        ``pairs`` int (p, 2), the pairs seen, in order; ``counts`` int64 (runs, p).
    """
    parts = [np.stack([s[:-lag], s[lag:]], axis=1) for s in sequences if len(s) > lag]
    if not parts:
        return np.empty((0, 2), int), np.zeros((len(sequences), 0), np.int64)
    pairs, which = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    owner = np.repeat(np.arange(len(sequences)), [max(0, len(s) - lag) for s in sequences])
    counts = np.zeros((len(sequences), len(pairs)), np.int64)
    np.add.at(counts, (owner, which.reshape(-1)), 1)
    return pairs, counts


@dataclass(frozen=True)
class Dwells:
    """Stretches of one label. ``states``, ``lengths`` int (m,); ``ended`` bool (m,), False if the run ended first."""

    states: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray


def dwells(labels: np.ndarray) -> Dwells:
    """The stretches of equal labels of one run, outliers included, in order. Lengths count labels."""
    if not len(labels):
        return Dwells(np.empty(0, int), np.empty(0, int), np.empty(0, bool))
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    lengths = np.diff(starts, append=len(labels))
    return Dwells(labels[starts], lengths, np.arange(len(starts)) < len(starts) - 1)


def milestones(labels: np.ndarray, core: Sequence[int]) -> np.ndarray:
    """Each label replaced by the core state that was visited last; what comes before the first core is dropped.

    A walk that leaves core A into no-man's-land still belongs to A until it enters another core (F. Noé and others;
    Ch. Schütte and others, J. Chem. Phys. 134 (2011) 204105). Returned are positions in ``core``, int (m,), m <= n.
    """
    place = {state: position for position, state in enumerate(core)}
    positions = np.array([place.get(int(label), -1) for label in labels], int)
    inside = np.flatnonzero(positions >= 0)
    if not len(inside):
        return np.empty(0, int)
    last = np.maximum.accumulate(np.where(positions >= 0, np.arange(len(labels)), -1))
    return positions[last[inside[0] :]]


def count_matrices(sequences: Sequence[np.ndarray], states: int, lag: int) -> np.ndarray:
    """Passages at a lag by a sliding window within each run: float (runs, from, to).

    Sequences hold 0 to ``states`` - 1.
    """
    counts = np.zeros((len(sequences), states, states))
    for own, sequence in zip(counts, sequences, strict=True):
        if len(sequence) > lag:
            np.add.at(own, (sequence[:-lag], sequence[lag:]), 1.0)
    return counts
