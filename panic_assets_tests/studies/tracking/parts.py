"""Trials as training and as the platform tell them, by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from panic_assets.studies.events.rows import ArtifactRow, MetricRow, TrialRow
from panic_assets.studies.records import Hyperparameters, State, Trial

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARMS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "spectral_norm": {"spectral_norm": True},
    "weight_decay": {"weight_decay": 0.01},
    "gradient_clipping": {"gradient_clip": 1.0},
    "dropout": {"dropout": 0.2},
}
EPOCHS = 3


def trial(study: str, arm: str = "none", pair: int = 0) -> Trial:
    hyper = replace(Hyperparameters(width=8, epochs=EPOCHS), **ARMS[arm])
    return Trial(study, "comparison", arm, pair, 100 + pair, "next_step", "d" * 32, hyper)


def epoch_values(step: int) -> dict[str, float]:
    return {"train_loss": 1.0 / (step + 3), "validation_accuracy": 0.1 * step, "sigma/0.weight": 1.0 + 1e-9 * step}


@dataclass
class Rows:
    """What the platform holds of a study."""

    trials: list[TrialRow]
    metrics: list[MetricRow]
    artifacts: list[ArtifactRow]

    def of(self, **values: Any) -> Rows:
        """The same, but the first trial has other values."""
        return replace(self, trials=[replace(self.trials[0], **values), *self.trials[1:]])


def rows(study: str, files: Path, arms: tuple[str, ...] = ("none", "spectral_norm"), **values: Any) -> Rows:
    """A study of one trial for each arm, each with its metrics and its checkpoint in ``files``."""
    all_rows = Rows([], [], [])
    for arm in arms:
        one = trial(study, arm)
        all_rows.trials.append(trial_row(one, **values))
        all_rows.metrics += metric_rows(one)
        all_rows.artifacts.append(artifact_row(one, files))
    return all_rows


def trial_row(one: Trial, state: State = "completed", **values: Any) -> TrialRow:
    given = {
        "study": one.study,
        "trial_id": one.trial_id,
        "model_run_id": f"run-of-{one.study}",
        "source": "tests",
        "mode": one.mode,
        "arm": one.arm,
        "pair": one.pair,
        "seed": one.seed,
        "state": state,
        "spectral_norm": one.hyperparameters.spectral_norm,
        "parameters": asdict(one.hyperparameters),
        "metrics": {"test_loss": 0.25, "train_loss": 0.125, "broken": None},
        "mlflow_run_id": None,
        "artifact_uri": None,
        "duration_ms": 1000,
        "rank": None,
        "warnings": (),
        "candidate_id": None,
        "error_type": None,
        "error_message": None,
        "started_at": BEGAN,
        "finished_at": BEGAN + timedelta(minutes=1),
    }
    return TrialRow(**{**given, **values})


def metric_rows(one: Trial) -> list[MetricRow]:
    return [
        MetricRow(one.study, one.trial_id, name, step, value, BEGAN + timedelta(seconds=step))
        for step in range(EPOCHS)
        for name, value in epoch_values(step).items()
    ]


def artifact_row(one: Trial, files: Path) -> ArtifactRow:
    path = files / f"{one.trial_id}.safetensors"
    path.write_bytes(one.trial_id.encode() * 4)
    return ArtifactRow(
        one.study,
        f"artifact-{one.trial_id}",
        f"run-of-{one.study}",
        one.trial_id,
        "checkpoint",
        path.as_uri(),
        hashlib.sha256(path.read_bytes()).hexdigest(),
        path.stat().st_size,
        "application/octet-stream",
        "created",
        BEGAN,
    )
