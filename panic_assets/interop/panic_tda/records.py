"""What the rows of a PANIC-TDA database say, whatever the schema that they were written under.

Here belong the shapes alone: between reading (``source``) and writing (``importer``). A field is None where the source
does not say it; nothing is guessed. Identifiers are 32 lowercase hexadecimal digits without hyphens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

Era = Literal["python", "elixir"]


@dataclass(frozen=True)
class Times:
    """When the source says that a row was worked on and written, in UTC; None where it does not say."""

    started_at: datetime | None = None
    completed_at: datetime | None = None
    inserted_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class SourceExperiment:
    """One experiment: ``seeds`` in the Python era, ``num_runs`` in the Elixir era, None in the other."""

    source_id: str
    networks: list[list[str]]
    prompts: list[str]
    embedding_models: list[str]
    max_length: int
    seeds: list[int] | None = None
    num_runs: int | None = None
    times: Times = Times()


@dataclass(frozen=True)
class SourceRun:
    """One run: ``seed`` (-1: unseeded) in the Python era, ``run_number`` in the Elixir era, None in the other."""

    source_id: str
    experiment_id: str
    network: list[str]
    initial_prompt: str
    max_length: int
    seed: int | None = None
    run_number: int | None = None
    times: Times = Times()


@dataclass(frozen=True)
class SourceInvocation:
    """One invocation; ``type`` is text or image. ``image`` holds the encoded bytes as stored."""

    source_id: str
    run_id: str
    sequence_number: int
    model: str
    type: str
    seed: int | None = None
    input_id: str | None = None
    text: str | None = None
    image: bytes | None = None
    times: Times = Times()


@dataclass(frozen=True)
class SourceEmbedding:
    """One embedding: ``vector`` is float32 of shape (dimension,), None where the source has none."""

    source_id: str
    invocation_id: str
    embedding_model: str
    vector: np.ndarray | None
    times: Times = Times()


@dataclass(frozen=True)
class SourceDiagram:
    """The diagrams of one run in one embedding model.

    ``diagrams[k]``: float64 of shape (bars, 2) with birth and death (infinity: never) in homology dimension k; None
    where the source has none. ``entropy``: one number for each dimension, in nats. ``more`` holds the stored bytes
    where they contain more than that (generators).
    """

    source_id: str
    run_id: str
    embedding_model: str
    diagrams: list[np.ndarray] | None
    entropy: list[float] | None = None
    more: bytes | None = None
    times: Times = Times()


@dataclass(frozen=True)
class SourceClustering:
    """One clustering over all experiments of the database; ``layer`` (0: finest) in the Elixir era."""

    source_id: str
    embedding_model: str
    algorithm: str
    parameters: dict[str, Any]
    layer: int | None = None
    times: Times = Times()


@dataclass(frozen=True)
class SourceAssignment:
    """The cluster of one embedding, named by the embedding that is its medoid; None for an outlier."""

    source_id: str
    clustering_id: str
    embedding_id: str
    invocation_id: str
    medoid_embedding_id: str | None
    times: Times = Times()


@dataclass(frozen=True)
class SourceLyapunov:
    """The divergence exponent of one network, prompt and embedding model (Elixir era); unit: 1 / embedding index."""

    source_id: str
    experiment_id: str
    network: str
    prompt: str
    embedding_model: str
    exponent: float | None
    r_squared: float | None
    divergence_curve: list[float] = field(default_factory=list)
    num_pairs: int | None = None
    num_timesteps: int | None = None
    times: Times = Times()


@dataclass(frozen=True)
class Rejected:
    """A row that can't become a record: where it stands, why, and all of its columns as the database gave them.

    ``kind`` is a short name for the defect, such as ``bad_vector``; ``reason`` a sentence with field and value.
    """

    table: str
    source_id: str
    kind: str
    reason: str
    row: dict[str, Any] = field(default_factory=dict)


Record = (
    SourceExperiment
    | SourceRun
    | SourceInvocation
    | SourceEmbedding
    | SourceDiagram
    | SourceClustering
    | SourceAssignment
    | SourceLyapunov
)
