"""A study of six trials in the lake, small and sound by every rule: two arms, three pairs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from panic_assets.lake import Lake
from panic_assets.studies.records import content_id

ARMS = ("none", "spectral_norm")
PAIRS = 3
_AT = datetime(2026, 1, 1, tzinfo=UTC)


def trial_id(arm: str, pair: int) -> str:
    return content_id([arm, pair])


def tables(study: str, first: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Rows by table; ``first`` is the number of the first pair."""
    trials = [_trial(study, arm, pair) for arm in ARMS for pair in range(first, first + PAIRS)]
    ids = [row["trial_id"] for row in trials]
    return {
        "model_runs": [
            {
                "study": study,
                "model_run_id": "run",
                "source": "test",
                "state": "completed",
                "completed_trials": len(trials),
            }
        ],
        "trials": trials,
        "trial_metrics": [
            {"study": study, "trial_id": one, "metric": metric, "step": step, "value": 0.5, "reported_at": _AT}
            for one in ids
            for metric in ("train_loss", "validation_loss")
            for step in range(2)
        ],
        "artifacts": [
            {
                "study": study,
                "artifact_id": f"artifact {one}",
                "model_run_id": "run",
                "trial_id": one,
                "kind": "checkpoint",
                "uri": f"file:///{one}.safetensors",
                "checksum": one * 2,
                "bytes": 10,
                "media_type": "application/octet-stream",
                "status": "created",
                "created_at": _AT,
            }
            for one in ids
        ],
        "lipschitz": [
            {"study": study, "trial_id": one, "layer": layer, "layer_name": name, "quantity": quantity, "value": value}
            for one in ids
            for layer, name, quantity, value in (
                (0, "0", "reshaped_sigma", 1.0005),
                (0, "0", "operator_norm", 1.2),
                (0, "0", "fft_bound", 1.3),
                (-1, "", "upper", 1.3),
                (-1, "", "lower", 0.7),
            )
        ],
        "robustness": [
            {
                "study": study,
                "trial_id": one,
                "attack": attack,
                "norm": norm,
                "epsilon": epsilon,
                "metric": "accuracy",
                "value": value,
                "rows": 100,
            }
            for one in ids
            for attack, norm, epsilon, value in (
                ("none", "", 0.0, 0.9),
                ("pgd", "l2", 0.1, 0.6),
                ("certified", "l2", 0.1, 0.4),
            )
        ],
        "study_comparison": [
            {
                "study": study,
                "mode": "comparison",
                "arm": "spectral_norm",
                "reference": "none",
                "metric": "test_accuracy",
                "pairs": PAIRS,
                "arm_mean": 0.9,
                "reference_mean": 0.8,
                "difference": 0.1,
                "low": 0.05,
                "high": 0.15,
                "confidence": 0.95,
                "wins": 3,
                "is_claim": True,
                "sentence": "It helps.",
            }
        ],
    }


def write(lake: Lake, study: str, first: int = 0) -> None:
    """Write the study's tables."""
    for table, rows in tables(study, first).items():
        with lake.writer(table, study) as writer:
            writer.replace(rows, {})
            writer.commit()


def _trial(study: str, arm: str, pair: int) -> dict[str, Any]:
    flag = arm == "spectral_norm"
    return {
        "study": study,
        "trial_id": trial_id(arm, pair),
        "model_run_id": "run",
        "source": "test",
        "mode": "comparison",
        "arm": arm,
        "pair": pair,
        "seed": pair,
        "state": "completed",
        "spectral_norm": flag,
        "parameters": json.dumps({"spectral_norm": flag, "coefficient": 1.0}),
        "metrics": json.dumps({"test_accuracy": 0.9}),
        "warnings": [],
    }
