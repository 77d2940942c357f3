"""The data of a study: read from the lake, split by run, the same each time.

Here belong reading, splitting, thinning, and what is to be known of data before a result is believed. What a row of a
task is belongs to ``tasks``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from panic_assets.dynamics.corpus import NothingToAnalyse, Trajectory, load_corpus
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.studies import tasks
from panic_assets.studies.leakage import seen_share
from panic_assets.studies.records import Dataset, Part
from panic_assets.studies.retrieval import distinct_targets, retrieval_credit
from panic_assets.studies.spec import StudySpec

PARTS = ("train", "validation", "test")
_TRAIN = 0


class NothingToTrainOn(PanicError):
    """The lake lacks what a study learns from, or holds too little of it."""


def load_dataset(spec: StudySpec, lake: Lake) -> Dataset:
    """The data of a study, each run whole in one part. Equal specs on equal lakes give equal data.

    Raises:
        NothingToTrainOn: an experiment, an embedding model or a network is not in the lake, or there are too few runs.
        LakeError: a table can't be read.
    """
    rows = tasks.digits() if spec.task == "digits" else _rows_of_lake(spec, lake)
    if spec.data.most_rows is not None:
        rows = rows.chosen(_kept(rows.runs, spec.data.most_rows, spec.data.split.seed))
    _require(spec, len(rows.x) > 0, "no run is long enough for a pair", "lower data.horizon, or run longer ones")
    _require(
        spec,
        not rows.classes or len(rows.classes) > 1,
        f"all rows are of one class, {rows.classes[0] if rows.classes else ''!r}",
        "choose experiments with several",
    )
    split = spec.data.split
    part_of = deal(rows, (split.train, split.validation, split.test), split.seed)
    parts = [_part(rows, part_of[rows.runs] == number) for number in range(len(PARTS))]
    for name, part in zip(PARTS, parts, strict=True):
        _require(
            spec,
            len(part) > 0,
            f"{len(np.unique(rows.runs))} runs leave none for {name}",
            f"run more, or give data.split.{name} a larger share",
        )
    train, validation, test = parts
    missing = set(range(len(rows.classes))) - set(train.y.tolist() if rows.classes else ())
    _require(
        spec,
        not missing,
        f"{len(missing)} of {len(rows.classes)} classes are not in train",
        "raise data.most_rows",
    )
    facts = _facts(spec, rows, train, validation, test)
    return Dataset(spec.task, train, validation, test, rows.classes, facts)


def deal(rows: tasks.Rows, shares: Sequence[float], seed: int) -> np.ndarray:
    """Which part each run goes to, int64 by number of the run: 0 train, 1 validation, 2 test.

    Runs are dealt stratum by stratum, each to the part that is most behind its share, in random order within a stratum:
    parts have their shares of all runs and, nearly, of each stratum. Of every class one run is in train.
    """
    rng = np.random.default_rng([seed, 0])
    runs, first = np.unique(rows.runs, return_index=True)
    by_chance = rng.permutation(len(runs))
    strata = sorted(set(rows.strata))
    place = {strata[k]: int(rank) for k, rank in enumerate(rng.permutation(len(strata)))}
    order = sorted(by_chance, key=lambda k: place[rows.strata[runs[k]]])
    is_sure = np.zeros(len(runs), bool)
    if rows.classes:
        label = rows.y[first]
        is_sure[[next(k for k in by_chance if label[k] == found) for found in np.unique(label)]] = True
    part_of = np.full(len(rows.strata), -1, np.int64)
    part_of[runs[is_sure]] = _TRAIN
    given = np.zeros(len(shares))
    given[_TRAIN] = is_sure.sum()
    for k in (k for k in order if not is_sure[k]):
        behind = int(np.argmax(np.asarray(shares) * (given.sum() + 1) - given))
        part_of[runs[k]] = behind
        given[behind] += 1
    return part_of


def _kept(runs: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Numbers of at most ``most`` rows, rising: of every run one row at random, then of every run a second, ..."""
    by_chance = np.random.default_rng([seed, 1]).permutation(len(runs))
    seen: dict[int, int] = {}
    rounds = np.zeros(len(runs), np.int64)
    for row in by_chance:
        rounds[row] = seen[int(runs[row])] = seen.get(int(runs[row]), -1) + 1
    chance = np.argsort(by_chance)
    return np.sort(np.lexsort((chance, rounds))[:most])


def _part(rows: tasks.Rows, is_in: np.ndarray) -> Part:
    return Part(rows.x[is_in], rows.y[is_in], rows.runs[is_in], rows.steps[is_in])


def _require(spec: StudySpec, is_so: bool, what: str, remedy: str) -> None:
    if not is_so:
        raise NothingToTrainOn(f"study {spec.name}: {what}; {remedy}")


def _rows_of_lake(spec: StudySpec, lake: Lake) -> tasks.Rows:
    sources = [source for name in spec.data.experiments for source in _sources(spec, lake, name)]
    networks = {source.trajectory.run.network for source in sources}
    for name in spec.data.networks:
        known = ", ".join(sorted(networks))
        _require(spec, name in networks, f"data.networks: no run is of {name!r}", f"use some of {known}")
    if spec.data.networks:
        sources = [source for source in sources if source.trajectory.run.network in spec.data.networks]
    dimensions = {source.trajectory.vectors.shape[1] for source in sources}
    model = spec.data.embedding_model
    _require(
        spec,
        len(dimensions) < 2,
        f"vectors of {model} have {' and '.join(map(str, sorted(dimensions)))} numbers in different experiments",
        "embed them by one revision of the model",
    )
    _require(spec, bool(sources), f"there is no vector of {model}", "run the experiments to their end")
    return tasks.rows_of(spec.task, sources, spec.data.horizon)


def _sources(spec: StudySpec, lake: Lake, experiment: str) -> Iterable[tasks.Source]:
    wanted = (spec.data.embedding_model, spec.data.modality)
    try:
        spaces = load_corpus(lake, experiment).spaces
    except NothingToAnalyse as error:
        raise NothingToTrainOn(
            f"study {spec.name}: data.experiments: {error} (`panic run data/experiments/{experiment}.yaml`; "
            "`make demo` makes the demo)"
        ) from error
    found: dict[tuple[str, str], tuple[Trajectory, ...]] = {
        (space.embedding_model, space.modality): space.trajectories for space in spaces
    }
    there = ", ".join(f"{model} of {modality}s" for model, modality in found) or "none"
    _require(
        spec,
        wanted in found,
        f"data.embedding_model: experiment {experiment} has no vectors of {wanted[0]} of {wanted[1]}s, only {there}",
        "choose one of these, or add the model to the experiment and run it again",
    )
    return (tasks.Source(experiment, wanted[1], trajectory) for trajectory in found[wanted] if len(trajectory))


def _facts(spec: StudySpec, rows: tasks.Rows, train: Part, validation: Part, test: Part) -> dict[str, Any]:
    """What a reader should know of the data, as JSON values. Shares are from 0 to 1."""
    parts = dict(zip(PARTS, (train, validation, test), strict=True))
    facts: dict[str, Any] = {
        "experiments": list(spec.data.experiments),
        "shape": list(rows.x.shape[1:]),
        "rows": {name: len(part) for name, part in parts.items()},
        "runs": {name: len(np.unique(part.runs)) for name, part in parts.items()},
        "seen_share": {name: seen_share(part, train) for name, part in parts.items() if part is not train},
    }
    if rows.classes:
        most_frequent = np.bincount(train.y).argmax()
        return facts | {
            "classes": len(rows.classes),
            "baseline": "the most frequent class of train",
            "baseline_accuracy": float(np.mean(test.y == most_frequent)),
        }
    targets, own = distinct_targets(test.y)
    return facts | {
        "distinct_targets": {name: len(distinct_targets(part.y)[0]) for name, part in parts.items()},
        "unmoved_share": float(np.mean((rows.x == rows.y).all(axis=1))),
        "baseline": "persistence: the input as it is",
        "baseline_accuracy": float(np.mean(retrieval_credit(test.x, targets, own))),
        "baseline_loss": float(np.mean(((test.x - test.y) ** 2).sum(axis=1))),
    }
