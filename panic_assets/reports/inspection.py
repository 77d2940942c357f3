"""One run and one invocation, looked at closely: everything that the lake says of them, as dataclasses.

Here belongs reading; printing is in ``inspection_words``. A whole experiment is told by ``status`` and ``summary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix

_PICTURE = ("image_hash", "width", "height", "format", "byte_size")


class NotThere(PanicError):
    """The experiment has no such run, or the run no such invocation."""


@dataclass(frozen=True)
class Picture:
    """A stored picture without its bytes; width and height in pixels."""

    image_hash: bytes
    width: int
    height: int
    format: str
    byte_size: int


@dataclass(frozen=True)
class Step:
    """One invocation of a run.

    ``repeats``: the first earlier sequence number with this output at the same place in the ring. ``distances``:
    Euclidean distance to the last output before it of the same medium, by embedding model.
    """

    sequence_number: int
    model: str
    type: str
    text: str | None
    picture: Picture | None
    audio_hash: bytes | None
    flags: tuple[str, ...]
    repeats: int | None = None
    distances: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunView:
    """A run: its row, its outcome (None while it is not over) and its steps."""

    experiment: str
    run_number: int
    run_id: bytes
    network: str
    prompt_number: int
    prompt: str
    seed: int
    replicate: int
    max_length: int
    outcome: Mapping[str, Any] | None
    steps: tuple[Step, ...]

    @property
    def cycle(self) -> range | None:
        """Sequence numbers of one turn of the cycle that it ended in."""
        held = self.outcome or {}
        start, length = held.get("transient_length"), held.get("cycle_length")
        return None if start is None or length is None else range(start, start + length)


@dataclass(frozen=True)
class InvocationView:
    """An invocation: all columns of its row, its input, and the picture of either if there is one."""

    experiment: str
    run_number: int
    sequence_number: int
    network: str
    columns: Mapping[str, Any]
    input_text: str | None
    input_picture: Picture | None
    output_text: str | None
    output_picture: Picture | None
    invocations: int


def run_view(lake: Lake, experiment: str, run_number: int) -> RunView:
    """A run with its trajectory.

    Raises:
        NotThere: the experiment has no such run.
        CorruptPart: a file of the lake is missing or damaged.
    """
    run = _run(lake, experiment, run_number)
    where = {"run_number": run_number}
    names = ["sequence_number", "model", "type", "text", "image_hash", "audio_hash", "flags"]
    rows = lake.read("invocations", experiment, columns=names, where=where).to_pylist()
    pictures = _pictures(lake, experiment, {row["image_hash"] for row in rows if row["image_hash"]})
    distances = _distances(lake, experiment, run_number)
    outcomes = lake.read("outcomes", experiment, where=where).to_pylist()
    ring, seen, steps = len(run["models"]), dict[tuple[int, object], int](), list[Step]()
    for row in rows:
        number, output = row["sequence_number"], row["image_hash"] or row["audio_hash"] or row["text"]
        first = seen.setdefault((number % ring, output), number)
        steps.append(
            Step(
                number,
                row["model"],
                row["type"],
                row["text"],
                pictures.get(row["image_hash"]),
                row["audio_hash"],
                tuple(row["flags"]),
                first if first != number else None,
                distances.get(number, {}),
            )
        )
    own = ("run_number", "run_id", "network", "prompt_number", "prompt", "seed", "replicate", "max_length")
    facts = {name: run[name] for name in own}
    return RunView(experiment, **facts, outcome=outcomes[0] if outcomes else None, steps=tuple(steps))


def invocation_view(lake: Lake, experiment: str, run_number: int, sequence_number: int) -> InvocationView:
    """An invocation with its input and its output.

    Raises:
        NotThere: the experiment has no such run, or the run no such invocation.
        CorruptPart: a file of the lake is missing or damaged.
    """
    run = _run(lake, experiment, run_number)
    where = {"run_number": run_number}
    count = lake.read("invocations", experiment, columns=["sequence_number"], where=where).num_rows
    wanted = [sequence_number - 1, sequence_number]
    rows = lake.read("invocations", experiment, where=where | {"sequence_number": wanted}).to_pylist()
    by_number = {row["sequence_number"]: row for row in rows}
    if sequence_number not in by_number:
        there = f"0 to {count - 1}" if count else "none yet"
        raise NotThere(f"run {run_number} of {experiment} has no invocation {sequence_number}; there are: {there}")
    row, before = by_number[sequence_number], by_number.get(sequence_number - 1)
    pictures = _pictures(lake, experiment, {each["image_hash"] for each in rows if each["image_hash"]})
    return InvocationView(
        experiment,
        run_number,
        sequence_number,
        run["network"],
        row,
        before["text"] if before else run["prompt"] if sequence_number == 0 else None,
        pictures.get(before["image_hash"]) if before else None,
        row["text"],
        pictures.get(row["image_hash"]),
        count,
    )


def _run(lake: Lake, experiment: str, run_number: int) -> dict[str, Any]:
    rows = lake.read("runs", experiment, where={"run_number": run_number}).to_pylist()
    if rows:
        return rows[0]
    numbers = lake.read("runs", experiment, columns=["run_number"]).column(0).to_pylist()
    there = f"{min(numbers)} to {max(numbers)}" if numbers else "none yet; `panic run` makes them"
    raise NotThere(f"experiment {experiment} has no run {run_number}; there are: {there}")


def _pictures(lake: Lake, experiment: str, hashes: set[bytes]) -> dict[bytes, Picture]:
    """Facts of pictures; their bytes are not read."""
    if not hashes:
        return {}
    rows = lake.read("images", experiment, columns=_PICTURE, where={"image_hash": hashes}).to_pylist()
    return {row["image_hash"]: Picture(**row) for row in rows}


def _distances(lake: Lake, experiment: str, run_number: int) -> dict[int, dict[str, float]]:
    """By sequence number and embedding model: how far an output is from the last one of its medium; 0-based."""
    rows = lake.read("embeddings", experiment, where={"run_number": run_number})
    found: dict[int, dict[str, float]] = {}
    for model in rows.column("embedding_model").unique().to_pylist():
        own = rows.filter([value == model for value in rows.column("embedding_model").to_pylist()])
        vectors = matrix(own).astype(float)
        last: dict[str, int] = {}
        order = zip(own.column("sequence_number").to_pylist(), own.column("modality").to_pylist(), strict=True)
        for place, (number, modality) in enumerate(order):
            if number >= 0 and modality in last:
                found.setdefault(number, {})[model] = float(np.linalg.norm(vectors[place] - vectors[last[modality]]))
            if number >= 0:
                last[modality] = place
    return found
