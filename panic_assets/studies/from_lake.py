"""What the lake holds of a study, as typed rows: for comparisons, reports and pages.

Here belong reading and the shapes of what only the lake has. Runs, trials, metrics and artifacts come as the rows of
the event store, so that whoever shows one can show the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from panic_assets.lake import Lake, table_spec
from panic_assets.studies.comparison import Comparison
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, TrialRow

#: Columns that hold JSON, by table.
JSON_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "model_runs": ("spec", "metadata"),
    "trials": ("parameters", "metrics"),
}
#: All tables of a study, in the order in which they are made.
STUDY_TABLE_NAMES = (
    "model_runs",
    "trials",
    "trial_metrics",
    "artifacts",
    "lipschitz",
    "robustness",
    "study_comparison",
)
#: ``LipschitzRow.layer`` of the whole model.
WHOLE_MODEL = -1
_Row = TypeVar("_Row")


@dataclass(frozen=True)
class LipschitzRow:
    """One bound or norm of a trained model: of a layer, or of all of it (``layer`` -1, ``layer_name`` empty)."""

    trial_id: str
    layer: int
    layer_name: str
    quantity: str
    value: float


@dataclass(frozen=True)
class RobustnessRow:
    """One measure under one disturbance; ``value`` is None where it can't be told, ``rows`` are test inputs."""

    trial_id: str
    attack: str
    norm: str
    epsilon: float
    metric: str
    value: float | None
    rows: int


@dataclass(frozen=True)
class ComparisonRow(Comparison):
    """One arm against the reference in one measure; ``sentence`` is set on the claim alone."""

    is_claim: bool
    sentence: str | None


def studies_in(lake: Lake) -> list[str]:
    """Studies that the lake holds anything of, sorted."""
    return sorted({study for table in STUDY_TABLE_NAMES for study in lake.studies(table)})


def study_model_runs(lake: Lake, study: str) -> list[ModelRunRow]:
    """Model runs of a study, by identity; none if it is not in the lake.

    Raises:
        LakeError: a table can't be read, as in all functions here.
    """
    return _rows(lake, "model_runs", study, ModelRunRow)


def study_trials(lake: Lake, study: str, state: str | None = None) -> list[TrialRow]:
    """Trials of a study, by identity; of one state alone where it is named."""
    return _rows(lake, "trials", study, TrialRow, {"state": state} if state else {})


def study_metrics(lake: Lake, study: str, trial_ids: Sequence[str] | None = None) -> list[MetricRow]:
    """What was measured of trials while they trained, by trial, metric and step; of all trials, or of some."""
    return _rows(lake, "trial_metrics", study, MetricRow, _of(trial_ids))


def study_artifacts(lake: Lake, study: str) -> list[ArtifactRow]:
    """Files that a study made."""
    return _rows(lake, "artifacts", study, ArtifactRow)


def study_lipschitz(lake: Lake, study: str, trial_ids: Sequence[str] | None = None) -> list[LipschitzRow]:
    """Norms and bounds of trained models, by trial and layer; of all trials, or of some."""
    return _rows(lake, "lipschitz", study, LipschitzRow, _of(trial_ids))


def study_robustness(lake: Lake, study: str, trial_ids: Sequence[str] | None = None) -> list[RobustnessRow]:
    """What trained models know under disturbance, by trial, attack, norm and epsilon; of all trials, or of some."""
    return _rows(lake, "robustness", study, RobustnessRow, _of(trial_ids))


def study_comparison(lake: Lake, study: str, mode: str | None = None) -> list[ComparisonRow]:
    """How arms compare, by mode, arm and metric."""
    return _rows(lake, "study_comparison", study, ComparisonRow, {"mode": mode} if mode else {})


def study_sentence(lake: Lake, study: str) -> str | None:
    """What the study's claim came to, to be quoted; None before it was compared, or without a claim."""
    return next((row.sentence for row in study_comparison(lake, study) if row.is_claim and row.sentence), None)


def _of(trial_ids: Sequence[str] | None) -> dict[str, Any]:
    return {} if trial_ids is None else {"trial_id": list(trial_ids)}


def _rows(lake: Lake, table: str, study: str, kind: type[_Row], where: Mapping[str, Any] | None = None) -> list[_Row]:
    found = lake.read(table, study, where=where).to_pylist()
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    parsed = JSON_COLUMNS.get(table, ())
    lists = {column.name for column in table_spec(table).columns if column.name == "warnings"}
    made = []
    for row in found:
        for name in parsed:
            row[name] = json.loads(row[name]) if row[name] is not None else None
        for name in lists:
            row[name] = tuple(row[name])
        made.append(kind(**{name: row[name] for name in names}))
    return made
