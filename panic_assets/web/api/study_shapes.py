"""Studies as they go out of the API.

Here belong shapes and how rows become them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from panic_assets.reports.study.contents import Study
from panic_assets.reports.study.curves import thinned
from panic_assets.studies.events.rows import MetricRow, TrialRow
from panic_assets.web.api.study_room import Listed


class StudyOut(BaseModel):
    """A study in a list. ``sentence`` is empty before it was compared."""

    study: str
    description: str
    trials: dict[str, int] = Field(description="trials by state")
    model_runs: int
    is_running: bool
    last: datetime | None
    sentence: str

    @classmethod
    def of(cls, listed: Listed) -> StudyOut:
        """All of it."""
        return cls(**{field: getattr(listed, field) for field in cls.model_fields})


class ComparisonOut(BaseModel):
    """One arm against the reference in one measure, in the measure's own unit."""

    mode: str
    arm: str
    reference: str
    metric: str
    pairs: int
    arm_mean: float | None
    reference_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    ratio: float | None
    effect_size: float | None
    p_value: float | None
    permutation_p: float | None
    adjusted_p: float | None
    wins: int
    is_claim: bool
    sentence: str | None


class ComparedOut(BaseModel):
    """A study and what its comparison came to."""

    study: str
    description: str
    reference: str
    arms: list[str]
    claim: dict[str, Any]
    sentence: str
    verdict: str
    comparison: list[ComparisonOut]

    @classmethod
    def of(cls, study: Study) -> ComparedOut:
        """All but the trials."""
        return cls(
            study=study.name,
            description=study.description,
            reference=study.reference,
            arms=list(study.arms),
            claim=dict(study.claim),
            sentence=study.sentence,
            verdict=study.verdict,
            comparison=[ComparisonOut.model_validate(dict(row), extra="ignore") for row in study.comparison],
        )


class TrialOut(BaseModel):
    """A trial. ``spectral_norm`` is told of every one."""

    study: str
    trial_id: str
    model_run_id: str
    source: str
    mode: str | None
    arm: str | None
    pair: int | None
    seed: int | None
    state: str
    spectral_norm: bool
    parameters: dict[str, Any]
    metrics: dict[str, float | None]
    mlflow_run_id: str | None
    artifact_uri: str | None
    duration_ms: int | None
    rank: int | None
    warnings: list[str]
    candidate_id: str | None
    error_type: str | None
    error_message: str | None
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, row: TrialRow) -> TrialOut:
        """All of it."""
        return cls.model_validate({field: getattr(row, field) for field in cls.model_fields})


class CurvesOut(BaseModel):
    """Curves of a trial by metric: pairs of step and value, null where the value was no number."""

    study: str
    trial_id: str
    curves: dict[str, list[tuple[int, float | None]]]


def curves_of(rows: Sequence[MetricRow], most: int) -> dict[str, dict[str, list[tuple[int, float | None]]]]:
    """Points by trial and metric, in order of their steps, at most so many of a curve."""
    found: dict[str, dict[str, list[tuple[int, float | None]]]] = {}
    for row in rows:
        found.setdefault(row.trial_id, {}).setdefault(row.metric, []).append((row.step, row.value))
    return {
        trial_id: {metric: thinned(points, most) for metric, points in curves.items()}
        for trial_id, curves in found.items()
    }
