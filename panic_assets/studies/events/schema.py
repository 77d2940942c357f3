"""The events of training, version 1: what each is called and what it carries.

Here belong shapes and the limits of single values. Other ways to write the same are in ``dialects``, what an event does
to the rows is in ``applying``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

SCHEMA_VERSION = 1
DEFAULT_STUDY = "external"
#: What NaN and the infinities are written as: JSON has none of them.
NOT_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _measured(value: Any) -> Any:
    if isinstance(value, str) and value in NOT_NUMBERS:
        return None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _in_time(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("write a time as ISO 8601 with its zone, such as 2026-05-01T20:00:00Z")
    return value


EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
#: Of a model run, a trial, an artifact: it is part of addresses, so it does not begin with a dot.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$")]
StudyKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Line = Annotated[str, Field(max_length=2000)]
Page = Annotated[str, Field(max_length=20_000)]
#: A number, or None where it was NaN or infinite.
Measure = Annotated[float | None, BeforeValidator(_measured)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=2**31 - 1)]
BigCount = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=2**63 - 1)]
Step = Annotated[int, BeforeValidator(_whole), Field(ge=-(2**63), le=2**63 - 1)]
Moment = Annotated[AwareDatetime, BeforeValidator(_in_time), Field(strict=False, ge=_FIRST, le=_LAST)]
Metrics = Annotated[dict[Name, Measure], Field(max_length=500)]
Values = Annotated[dict[Name, Any], Field(max_length=1000)]


class Payload(BaseModel):
    """What an event carries. ``metadata`` is anything else; fields that nobody knows end there, too."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    metadata: Values | None = None

    @classmethod
    def missing(cls, fields: Mapping[str, Any]) -> list[str]:
        """The names of required fields that are not there. What is there as null counts as there."""
        return [name for name, field in cls.model_fields.items() if field.is_required() and name not in fields]


class RunStart(Payload):
    """A model run begins."""

    model_run_id: Key
    requested_trials: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    search_space_version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    max_params: BigCount | None = None
    spec: Values | None = None
    mlflow_experiment_id: Name | None = None
    state: Literal["pending", "running"] = "running"


class RunStop(Payload):
    """A model run is over."""

    model_run_id: Key
    state: Literal["completed", "failed", "cancelled", "timed_out"]
    completed_trials: Count
    best_metric: Measure = None
    best_trial_id: Key | None = None
    mlflow_experiment_id: Name | None = None
    error_message: Page | None = None


class RunMetric(Payload):
    """Metrics of a trial at a step: one by name and value, or several as a map."""

    trial_id: Key
    model_run_id: Key | None = None
    metric_name: Name | None = None
    metric_value: Measure = None
    metrics: Metrics | None = None
    step: Step = 0
    spectral_norm: bool | None = None

    @classmethod
    def missing(cls, fields: Mapping[str, Any]) -> list[str]:
        """As of any payload; and there must be a name with a value, or a map."""
        wanted = [] if "metrics" in fields and "metric_name" not in fields else ["metric_name", "metric_value"]
        return super().missing(fields) + [name for name in wanted if name not in fields]

    def values(self) -> dict[str, float | None]:
        """All metrics of the event, None where a value was no number."""
        return {**(self.metrics or {}), **({self.metric_name: self.metric_value} if self.metric_name else {})}


class _OfTrial(Payload):
    """What may be told of a trial at its start and at its end alike; at the end it goes before."""

    trial_id: Key
    mlflow_run_id: Name | None = None
    parameters: Values | None = None
    candidate_id: Name | None = None
    arm: Name | None = None
    pair: Count | None = None
    seed: Step | None = None
    mode: Literal["search", "comparison"] | None = None


class TrialStart(_OfTrial):
    """A trial begins, or is announced (state pending). Begun again after a break it is the same trial."""

    model_run_id: Key
    spectral_norm: bool
    state: Literal["pending", "running"] = "running"


class _TrialEnd(_OfTrial):
    model_run_id: Key | None = None
    spectral_norm: bool | None = None
    metrics: Metrics | None = None
    artifact_uri: Line | None = None
    duration_ms: BigCount | None = None
    rank: Count | None = None
    warnings: Annotated[list[Line], Field(max_length=100)] | None = None


class TrialComplete(_TrialEnd):
    """A trial came to its end. With ``model_run_id`` and ``spectral_norm`` it makes a trial known that was not."""

    metrics: Metrics


class TrialFailed(_TrialEnd):
    """A trial broke. ``error_type`` timeout makes it timed_out; others are such as OOM and nan_loss."""

    error_message: Page
    error_type: Name | None = None
    stacktrace: Page | None = None


class TrialCancelled(_TrialEnd):
    """A trial was ended on purpose, such as pruned."""

    reason: Line | None = None


class ArtifactCreated(Payload):
    """A file was made. Without ``artifact_id`` it has one made of the run, the trial and the URI."""

    model_run_id: Key
    artifact_id: Key | None = None
    trial_id: Key | None = None
    kind: Name
    uri: Annotated[str, Field(min_length=1, max_length=2000)]
    checksum: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: BigCount
    media_type: Name = "application/octet-stream"
    status: Literal["created", "promoted", "archived"] = "created"


#: Every name of an event, and what it carries.
PAYLOADS: dict[str, type[Payload]] = {
    "ml.run.start": RunStart,
    "ml.run.stop": RunStop,
    "ml.run.metric": RunMetric,
    "ml.trial.start": TrialStart,
    "ml.trial.complete": TrialComplete,
    "ml.trial.failed": TrialFailed,
    "ml.trial.cancelled": TrialCancelled,
    "ml.artifact.created": ArtifactCreated,
}


class Envelope(BaseModel):
    """What every event says beside its payload. The store stamps ``event_id`` and ``occurred_at`` that are None."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    event_id: EventId | None = None
    name: Name
    occurred_at: Moment | None = None
    source: Name = "unknown"
    correlation_id: Name | None = None
    seq: BigCount | None = None
    study: StudyKey = DEFAULT_STUDY


class Event(Envelope):
    """One event. ``payload`` is of the class that `PAYLOADS` has for ``name``."""

    payload: SerializeAsAny[Payload]
