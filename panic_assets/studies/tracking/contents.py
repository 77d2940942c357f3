"""What a run in MLflow holds of a trial: its parameters, its tags, its status, the names of its measurements.

Here belongs the one translation from trials to MLflow, for what is logged live and for what is reconciled alike.
Nothing here talks to MLflow.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from panic_assets.studies.records import State, Trial

if TYPE_CHECKING:
    from panic_assets.studies.events.rows import TrialRow

TRIAL, MODEL_RUN, METHOD = "trial_id", "model_run_id", "constraint_method"
STUDY, ARM, PAIR, MODE, SEED, URL = (
    "panic.study", "panic.arm", "panic.pair", "panic.mode", "panic.seed", "panic.url",
)  # fmt: skip
#: Of the run that the trials of a model run are nested in: the id of that model run.
PARENT_OF = "panic.parent_of"
PARENT = "mlflow.parentRunId"
#: Measurements of a whole trial bear this before their names: those of its epochs may have the same ones.
FINAL = "final/"
STATUS: Mapping[State, str] = {
    "pending": "SCHEDULED",
    "running": "RUNNING",
    "completed": "FINISHED",
    "failed": "FAILED",
    "timed_out": "FAILED",
    "cancelled": "KILLED",
}
_FORBIDDEN = re.compile(r"[^\w./: -]", re.ASCII)
_LONGEST = 6000  # characters of a parameter; MLflow keeps no more
_LARGEST = 1.7976931348623157e308  # what MLflow's SQL stores keep in place of infinity


@dataclass(frozen=True)
class Contents:
    """What a run in MLflow is to hold of a trial, but for its measurements and its artifacts."""

    params: dict[str, str]
    tags: dict[str, str]


def of_trial(trial: Trial, model_run_id: str) -> Contents:
    """The contents for a trial that is about to be trained."""
    return _contents(
        asdict(trial.hyperparameters),
        trial.hyperparameters.spectral_norm,
        {
            TRIAL: trial.trial_id,
            MODEL_RUN: model_run_id,
            STUDY: trial.study,
            ARM: trial.arm,
            PAIR: trial.pair,
            MODE: trial.mode,
            SEED: trial.seed,
        },
    )


def of_row(row: TrialRow) -> Contents:
    """The contents for a trial that the platform has."""
    return _contents(
        row.parameters,
        row.spectral_norm,
        {
            TRIAL: row.trial_id,
            MODEL_RUN: row.model_run_id,
            STUDY: row.study,
            ARM: row.arm,
            PAIR: row.pair,
            MODE: row.mode,
            SEED: row.seed,
        },
    )


def of_model_run(study: str, model_run_id: str) -> Contents:
    """The contents of the run in which those of a model run's trials are nested."""
    return Contents({}, {PARENT_OF: model_run_id, MODEL_RUN: model_run_id, STUDY: study})


def run_name(arm: str | None, pair: int | None, trial_id: str) -> str:
    """What MLflow calls the run of a trial."""
    return f"trial-{trial_id[:8]}" if arm is None or pair is None else f"{arm} {pair} {trial_id[:8]}"


def constraint_method(parameters: Mapping[str, Any], spectral_norm: bool) -> str:
    """What constrains a training: none, one method, or several joined by ``+``."""
    methods = {
        "spectral_norm": spectral_norm,
        "weight_decay": bool(parameters.get("weight_decay")),
        "gradient_clipping": bool(parameters.get("gradient_clip")),
        "dropout": bool(parameters.get("dropout")),
    }
    return "+".join(name for name, used in methods.items() if used) or "none"


def number(value: float | None) -> float | None:
    """A measurement as both sides can tell it: None for NaN and the infinities, of which the platform keeps none."""
    if value is None or not math.isfinite(value) or abs(value) >= _LARGEST:
        return None
    return float(value)


def safe(name: str) -> str:
    """A name as MLflow allows it: letters, digits and ``_ - . / : `` and blanks; all else becomes ``_``."""
    return _FORBIDDEN.sub("_", name)


def milliseconds(moment: datetime) -> int:
    """A time as MLflow tells it: milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def _contents(parameters: Mapping[str, Any], spectral_norm: bool, facts: Mapping[str, Any]) -> Contents:
    # The flag of every trial, whatever its arm: a control without it can't be found by it.
    params = {**parameters, "spectral_norm": spectral_norm}
    tags = {key: str(value) for key, value in facts.items() if value is not None}
    tags[METHOD] = constraint_method(parameters, spectral_norm)
    return Contents({safe(key): _text(value) for key, value in params.items()}, tags)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text[:_LONGEST]
