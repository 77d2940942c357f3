"""What the event store keeps and tells, as plain rows.

Here belong shapes alone. The first four have the columns of the lake's tables of the same names; what is JSON there is
a dict here. Times are in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from panic_assets.studies.records import State

#: Why an event waits among the dead letters. The first two end by themselves when what is missing comes.
Reason = Literal["unknown_trial", "unknown_run", "wrong_run", "conflict", "id_reused", "malformed", "unprocessable"]


@dataclass(frozen=True)
class ModelRunRow:
    """One model run: a study as a trainer ran it. ``completed_trials`` is counted until the run tells its number."""

    study: str
    model_run_id: str
    source: str
    state: State
    spec: dict[str, Any] | None
    requested_trials: int | None
    completed_trials: int
    best_metric: float | None
    best_trial_id: str | None
    mlflow_experiment_id: str | None
    error_message: str | None
    metadata: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class TrialRow:
    """One trial. ``metrics`` are its final ones, None where a value was no number. The flag is in every row."""

    study: str
    trial_id: str
    model_run_id: str
    source: str
    mode: str | None
    arm: str | None
    pair: int | None
    seed: int | None
    state: State
    spectral_norm: bool
    parameters: dict[str, Any]
    metrics: dict[str, float | None]
    mlflow_run_id: str | None
    artifact_uri: str | None
    duration_ms: int | None
    rank: int | None
    warnings: tuple[str, ...]
    candidate_id: str | None
    error_type: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class MetricRow:
    """One value of a metric at a step (an epoch). ``value`` is None where it was NaN or infinite."""

    study: str
    trial_id: str
    metric: str
    step: int
    value: float | None
    reported_at: datetime


@dataclass(frozen=True)
class ArtifactRow:
    """A file that a run or a trial made. ``checksum`` is the sha256 of its content, in hexadecimal."""

    study: str
    artifact_id: str
    model_run_id: str
    trial_id: str | None
    kind: str
    uri: str
    checksum: str
    bytes: int
    media_type: str
    status: str
    created_at: datetime


@dataclass(frozen=True)
class StudyRow:
    """What there is of a study: model runs, trials by state, and the number of its last change."""

    study: str
    model_runs: int
    trials: dict[State, int]
    changed: int


@dataclass(frozen=True)
class DeadLetter:
    """An event that could not be applied, and why.

    ``body`` is the event in our own form, or as it was sent where it is no event; None where that can't be kept.
    """

    letter_id: int
    reason: Reason
    details: tuple[str, ...]
    event_id: str | None
    name: str | None
    study: str | None
    model_run_id: str | None
    trial_id: str | None
    body: dict[str, Any] | None
    received_at: datetime


@dataclass(frozen=True)
class Receipt:
    """What became of one event.

    ``accepted``: it is kept and its rows show it. ``duplicate``: it was before; nothing changed. ``dead``: it is kept
    as a dead letter, ``details`` say why.
    """

    event_id: str | None
    name: str | None
    status: Literal["accepted", "duplicate", "dead"]
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Something has other rows than before. ``number`` grows; all changes of one transaction share it.

    ``key`` is the id of the model run, the trial (for ``trial`` and ``metrics``) or the artifact.
    """

    number: int
    study: str
    kind: Literal["model_run", "trial", "metrics", "artifact"]
    key: str
