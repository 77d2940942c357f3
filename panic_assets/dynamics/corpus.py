"""The trajectories of one experiment, in memory: what every analysis starts from.

Here belongs reading them from the lake and handing them out by group. What is made of them is the analyses' business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix

PROMPT = -1  # the sequence number of the prompt's own vector


class NothingToAnalyse(PanicError):
    """The lake holds no runs of the experiment."""


@dataclass(frozen=True)
class Run:
    """One run and how it ended. ``outputs`` are its outputs in order: texts, and hashes of pictures as bytes."""

    number: int
    network: str
    models: tuple[str, ...]
    prompt_number: int
    prompt: str
    seed: int
    replicate: int
    stop_reason: str | None
    transient_length: int | None
    cycle_length: int | None
    outputs: tuple[str | bytes, ...]


@dataclass(frozen=True)
class Trajectory:
    """The embedded outputs of one run in one space, in order.

    ``sequence_numbers`` int32 (n,): places in the run, rising, never -1. ``vectors`` float32 (n, d). ``prompt`` is the
    float32 (d,) vector of the run's prompt, None where the model does not embed texts.
    """

    run: Run
    sequence_numbers: np.ndarray
    vectors: np.ndarray
    prompt: np.ndarray | None

    def __len__(self) -> int:
        return len(self.sequence_numbers)


@dataclass(frozen=True)
class Space:
    """All trajectories of one embedding model and modality (``text`` or ``image``), in the order of run numbers."""

    embedding_model: str
    modality: str
    trajectories: tuple[Trajectory, ...]

    def by_network(self) -> dict[str, list[Trajectory]]:
        """Trajectories of each network, networks in the order of their first runs."""
        groups: dict[str, list[Trajectory]] = {}
        for trajectory in self.trajectories:
            groups.setdefault(trajectory.run.network, []).append(trajectory)
        return groups


@dataclass
class Corpus:
    """One experiment. ``tags`` are those of its prompts, by prompt number."""

    experiment: str
    runs: tuple[Run, ...]
    tags: dict[int, dict[str, str]]
    lake: Lake = field(repr=False)

    @cached_property
    def spaces(self) -> tuple[Space, ...]:
        """Every (embedding model, modality) of the experiment, read when first asked for."""
        return tuple(self._spaces())

    def _spaces(self) -> Iterator[Space]:
        columns = ["run_number", "sequence_number", "embedding_model", "modality", "vector"]
        names = self.lake.read("embeddings", self.experiment, columns=["embedding_model"])
        runs = {run.number: run for run in self.runs}
        for model in sorted(set(names.column("embedding_model").to_pylist())):
            table = self.lake.read("embeddings", self.experiment, columns=columns, where={"embedding_model": model})
            vectors = matrix(table)
            numbers = table.column("run_number").to_numpy()
            places = table.column("sequence_number").to_numpy()
            modalities = np.array(table.column("modality").to_pylist())
            prompts = {int(numbers[row]): vectors[row] for row in np.flatnonzero(places == PROMPT)}
            for modality in sorted(set(modalities[places != PROMPT])):
                chosen = np.flatnonzero((modalities == modality) & (places != PROMPT))
                starts = np.flatnonzero(np.diff(numbers[chosen], prepend=-1))
                parts = np.split(chosen, starts[1:])
                yield Space(
                    model,
                    str(modality),
                    tuple(
                        Trajectory(runs[number], places[rows], vectors[rows], prompts.get(number))
                        for rows in parts
                        if len(rows) and (number := int(numbers[rows[0]])) in runs
                    ),
                )


def load_corpus(lake: Lake, experiment: str) -> Corpus:
    """An experiment's runs, with their outputs; vectors are read when they are first asked for.

    Raises:
        NothingToAnalyse: there are no runs.
        LakeError: a table can't be read.
    """
    planned = lake.read("runs", experiment).to_pylist()
    if not planned:
        raise NothingToAnalyse(f"the lake at {lake.root} holds no runs of an experiment {experiment!r}; run it first")
    outcomes = {row["run_number"]: row for row in lake.read("outcomes", experiment).to_pylist()}
    outputs: dict[int, list[str | bytes]] = {}
    rows = lake.read("invocations", experiment, columns=["run_number", "text", "image_hash"])
    for number, text, image_hash in zip(*(rows.column(n).to_pylist() for n in rows.column_names), strict=True):
        outputs.setdefault(number, []).append(text if image_hash is None else image_hash)
    runs = []
    for row in planned:
        ended = outcomes.get(row["run_number"], {})
        runs.append(
            Run(
                row["run_number"],
                row["network"],
                tuple(row["models"]),
                row["prompt_number"],
                row["prompt"],
                row["seed"],
                row["replicate"],
                ended.get("stop_reason"),
                ended.get("transient_length"),
                ended.get("cycle_length"),
                tuple(outputs.get(row["run_number"], ())),
            )
        )
    tags = {
        row["prompt_number"]: json.loads(row["tags"]) if row["tags"] else {}
        for row in lake.read("prompts", experiment).to_pylist()
    }
    return Corpus(experiment, tuple(runs), tags, lake)
