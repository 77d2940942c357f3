"""Synthetic studies of the shapes that the event store and the lake have: equal numbers make equal rows.

``rows(trials=50)`` for what charts draw; ``epochs(...)`` for curves. The planted effect: spectral normalisation loses
a little accuracy and keeps more of it under attack; the other arms are worth nothing.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from typing import Any

import numpy as np

from panic_assets.lake import Lake
from panic_assets.studies.events.store import EventStore
from panic_assets.studies.to_lake import (
    write_comparison,
    write_lipschitz,
    write_metrics,
    write_robustness,
    write_trials,
)

ARMS = ("none", "spectral_norm", "weight_decay", "gradient_clipping", "dropout")
EPSILONS = (0.05, 0.1, 0.2, 0.4, 0.8)
SENTENCE = (
    "With spectral normalisation test accuracy changes by -1.42 percentage points (95% interval -1.98 to -0.86, "
    "10 pairs, d_z -1.81, p 0.002), at 1.07 times the time of a step: the claim that it is higher is opposite to "
    "what was found."
)
_START = datetime.datetime(2026, 11, 20, 9, 0, tzinfo=datetime.UTC)
_EFFECT = {"none": 0.0, "spectral_norm": -0.014, "weight_decay": 0.002, "gradient_clipping": 0.0, "dropout": 0.004}
_BOUND = {"none": 60.0, "spectral_norm": 1.0, "weight_decay": 31.0, "gradient_clipping": 55.0, "dropout": 70.0}


def trial_id(number: int) -> str:
    """The identity of the ``number``-th trial."""
    return hashlib.blake2b(f"trial {number}".encode(), digest_size=16).hexdigest()


def trials(count: int, study: str = "demo", arms: tuple[str, ...] = ARMS, **values: Any) -> list[dict[str, Any]]:
    """Completed trials of a comparison, arm after arm within each pair."""
    return [{**_trial(number, study, arms), **values} for number in range(count)]


def _trial(number: int, study: str, arms: tuple[str, ...]) -> dict[str, Any]:
    arm, pair = arms[number % len(arms)], number // len(arms)
    own, shared = np.random.default_rng(number), np.random.default_rng(10_000 + pair)
    accuracy = 0.86 + 0.02 * shared.standard_normal() + _EFFECT.get(arm, 0.0) + 0.006 * own.standard_normal()
    bound = _BOUND.get(arm, 40.0) * math.exp(0.0 if arm == "spectral_norm" else 0.25 * own.standard_normal())
    metrics = {
        "train_loss": 0.21 + 0.02 * own.standard_normal() + (0.05 if arm == "spectral_norm" else 0.0),
        "validation_loss": 0.42 - 0.6 * (accuracy - 0.86) + 0.005 * own.standard_normal(),
        "test_loss": 0.44 - 0.6 * (accuracy - 0.86) + 0.005 * own.standard_normal(),
        "train_accuracy": min(accuracy + 0.09, 1.0),
        "validation_accuracy": accuracy + 0.008,
        "test_accuracy": accuracy,
        "generalisation_gap": 0.2 + 0.02 * own.standard_normal() - (0.06 if arm == "spectral_norm" else 0.0),
        "seconds": 2.1 + 0.1 * own.standard_normal(),
        "step_seconds": 0.00061 * (1.07 if arm == "spectral_norm" else 1.0) * (1 + 0.01 * own.standard_normal()),
        "peak_memory_mb": 212.0,
        "epochs": 30,
        "lipschitz_upper": bound,
        "lipschitz_lower": bound * (0.72 if arm == "spectral_norm" else 0.31),
        "robust_area_pgd_l2": 0.5 + (0.2 if arm == "spectral_norm" else 0.0) + 0.01 * own.standard_normal(),
        "certified_radius_median": 0.4 / bound,
        "ece": 0.05 + 0.004 * own.standard_normal(),
    }
    started = _START + datetime.timedelta(seconds=3 * number)
    return {
        "study": study,
        "trial_id": trial_id(number),
        "model_run_id": f"{study}-run",
        "source": "panic study",
        "mode": "comparison",
        "arm": arm,
        "pair": pair,
        "seed": pair,
        "state": "completed",
        "spectral_norm": arm == "spectral_norm",
        "parameters": json.dumps(
            {
                "kind": "mlp",
                "layers": 2,
                "width": 64,
                "learning_rate": 1e-3,
                "spectral_norm": arm == "spectral_norm",
                "coefficient": 1.0,
                "weight_decay": 0.01 if arm == "weight_decay" else 0.0,
                "gradient_clip": 1.0 if arm == "gradient_clipping" else None,
                "dropout": 0.2 if arm == "dropout" else 0.0,
            }
        ),
        "metrics": json.dumps(metrics),
        "mlflow_run_id": trial_id(number),
        "artifact_uri": f"file:///training/{study}/trials/{trial_id(number)}.safetensors",
        "duration_ms": 2100 + number % 97,
        "rank": None,
        "warnings": [],
        "candidate_id": None,
        "error_type": None,
        "error_message": None,
        "started_at": started,
        "finished_at": started + datetime.timedelta(seconds=2.1),
    }


def epochs(number: int, count: int = 30) -> dict[str, list[float]]:
    """Curves of the ``number``-th trial: metric to a value for each epoch, from 0."""
    own = np.random.default_rng(50_000 + number)
    steps = np.arange(count)
    decay = np.exp(-steps / (4 + 2 * own.random()))
    noise = 0.012 * own.standard_normal((4, count))
    constrained = ARMS[number % len(ARMS)] == "spectral_norm"
    return {
        "train_loss": (0.2 + 1.4 * decay + noise[0] * decay).tolist(),
        "validation_loss": (0.42 + 1.2 * decay + noise[1] + 0.002 * steps * (not constrained)).tolist(),
        "validation_accuracy": (0.86 - 0.7 * decay + noise[2] * 0.4).tolist(),
        "sigma/0": ((1.0 if constrained else 4.0) - (0.05 if constrained else 2.8) * decay).tolist(),
        "sigma/2": ((1.0 if constrained else 3.1) - (0.02 if constrained else 2.0) * decay).tolist(),
    }


def trial_metrics(count: int, study: str = "demo", epoch_count: int = 30) -> list[dict[str, Any]]:
    """Rows of the table ``trial_metrics``."""
    return [
        {
            "study": study,
            "trial_id": trial_id(number),
            "metric": metric,
            "step": step,
            "value": value,
            "reported_at": _START + datetime.timedelta(seconds=3 * number + step / 15),
        }
        for number in range(count)
        for metric, values in epochs(number, epoch_count).items()
        for step, value in enumerate(values)
    ]


def model_runs(count: int, study: str = "demo") -> list[dict[str, Any]]:
    """Rows of the table ``model_runs``: one."""
    spec = {
        "description": "What a bound on each layer's norm does to a model of the loop's next step.",
        "comparison": {"reference": "none", "pairs": count // len(ARMS)},
        "claim": {"metric": "test_accuracy", "arm": "spectral_norm", "direction": "higher", "confidence": 0.95},
    }
    return [
        {
            "study": study,
            "model_run_id": f"{study}-run",
            "source": "panic study",
            "state": "completed",
            "spec": json.dumps(spec),
            "requested_trials": count,
            "completed_trials": count,
            "best_metric": 0.91,
            "best_trial_id": trial_id(4),
            "mlflow_experiment_id": "1",
            "error_message": None,
            "metadata": json.dumps({"train_rows": 4210, "test_rows": 1403, "networks": 4}),
            "started_at": _START,
            "finished_at": _START + datetime.timedelta(seconds=3 * count),
        }
    ]


def lipschitz(count: int, study: str = "demo") -> list[dict[str, Any]]:
    """Rows of the table ``lipschitz``: three layers and the whole model of each trial."""
    found: list[tuple[int, int, str, str, float]] = []
    for number in range(count):
        constrained = ARMS[number % len(ARMS)] == "spectral_norm"
        own = np.random.default_rng(90_000 + number)
        for layer in range(3):
            sigma = 1.0 if constrained else (4.0, 3.1, 2.4)[layer] * math.exp(0.1 * own.standard_normal())
            found += [
                (number, layer, str(2 * layer), quantity, sigma) for quantity in ("reshaped_sigma", "operator_norm")
            ]
    return [
        {
            "study": study,
            "trial_id": trial_id(number),
            "layer": layer,
            "layer_name": name,
            "quantity": quantity,
            "value": value,
        }
        for number, layer, name, quantity, value in found
    ]


def robustness(count: int, study: str = "demo") -> list[dict[str, Any]]:
    """Rows of the table ``robustness``: accuracy under three attacks, and what is certified."""
    found: list[tuple[int, str, str, float, float]] = []
    for number in range(count):
        arm = ARMS[number % len(ARMS)]
        clean = json.loads(_trial(number, study, ARMS)["metrics"])["test_accuracy"]
        half = 0.55 if arm == "spectral_norm" else 0.25 + 0.02 * ARMS.index(arm)
        found.append((number, "none", "l2", 0.0, clean))
        for attack, norm, ease in (
            ("pgd", "l2", 1.0),
            ("fgsm", "l2", 1.15),
            ("pgd", "linf", 0.8),
            ("noise", "l2", 3.0),
        ):
            found += [(number, attack, norm, e, clean / (1 + (e / (half * ease)) ** 3)) for e in EPSILONS]
        reach = 0.4 if arm == "spectral_norm" else 0.01
        found += [(number, "certified", "l2", e, clean * max(0.0, 1 - e / reach)) for e in (0.0, *EPSILONS)]
    return [
        {
            "study": study,
            "trial_id": trial_id(number),
            "attack": attack,
            "norm": norm,
            "epsilon": epsilon,
            "metric": "accuracy",
            "value": value,
            "rows": 512,
        }
        for number, attack, norm, epsilon, value in found
    ]


def comparison(made: list[dict[str, Any]], study: str = "demo", sentence: str = SENTENCE) -> list[dict[str, Any]]:
    """Rows of the table ``study_comparison`` for these trials: every metric of every arm against ``none``."""
    by_arm: dict[str, dict[int, dict[str, float]]] = {}
    for row in made:
        by_arm.setdefault(row["arm"], {})[row["pair"]] = json.loads(row["metrics"])
    base = by_arm["none"]
    found = []
    for arm, own in by_arm.items():
        pairs = sorted(set(own) & set(base))
        for metric in next(iter(base.values())):
            if arm == "none" or metric == "epochs":
                continue
            mine, theirs = (np.array([side[pair][metric] for pair in pairs]) for side in (own, base))
            change = mine - theirs
            spread = float(change.std(ddof=1)) if len(pairs) > 1 else 0.0
            reach = 2.2 * spread / math.sqrt(len(pairs))
            is_claim = arm == "spectral_norm" and metric == "test_accuracy"
            found.append(
                {
                    "study": study,
                    "mode": "comparison",
                    "arm": arm,
                    "reference": "none",
                    "metric": metric,
                    "pairs": len(pairs),
                    "arm_mean": float(mine.mean()),
                    "reference_mean": float(theirs.mean()),
                    "difference": float(change.mean()),
                    "low": float(change.mean() - reach),
                    "high": float(change.mean() + reach),
                    "confidence": 0.95,
                    "ratio": float(mine.mean() / theirs.mean())
                    if metric in ("step_seconds", "peak_memory_mb")
                    else None,
                    "effect_size": float(change.mean() / spread) if spread else None,
                    "p_value": 0.004,
                    "permutation_p": 0.002,
                    "adjusted_p": 0.012,
                    "wins": int((change > 0).sum()),
                    "is_claim": is_claim,
                    "sentence": sentence if is_claim else None,
                }
            )
    return found


def rows(count: int, study: str = "demo") -> dict[str, list[dict[str, Any]]]:
    """Rows of every table that a comparison is drawn from, by the lake's name of the table."""
    made = trials(count, study)
    return {
        "model_runs": model_runs(count, study),
        "trials": made,
        "lipschitz": lipschitz(count, study),
        "robustness": robustness(count, study),
        "study_comparison": comparison(made, study),
    }


def event(name: str, study: str, **payload: Any) -> dict[str, Any]:
    """One event as trainers send it."""
    return {"schema_version": 1, "name": name, "study": study, "source": "panic study", "payload": payload}


def start_of(row: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The beginning of a trial."""
    same = ("trial_id", "model_run_id", "arm", "pair", "seed", "mode", "spectral_norm", "mlflow_run_id")
    told = {name: row[name] for name in same} | {"parameters": json.loads(row["parameters"])}
    return event("ml.trial.start", row["study"], **(told | more))


def epoch_of(row: dict[str, Any], number: int, step: int, count: int = 30) -> dict[str, Any]:
    """One epoch of a trial."""
    metrics = {metric: values[step] for metric, values in epochs(number, count).items()}
    return event("ml.run.metric", row["study"], trial_id=row["trial_id"], metrics=metrics, step=step)


def end_of(row: dict[str, Any]) -> dict[str, Any]:
    """The good end of a trial."""
    told = {"metrics": json.loads(row["metrics"]), "duration_ms": row["duration_ms"]}
    return event("ml.trial.complete", row["study"], trial_id=row["trial_id"], artifact_uri=row["artifact_uri"], **told)


def tell(store: EventStore, count: int, epoch_count: int = 30, study: str = "demo", running: int = 0) -> None:
    """Tell an event store of a study whose last ``running`` trials are half done."""
    run = model_runs(count, study)[0]
    bodies = [
        event(
            "ml.run.start",
            study,
            model_run_id=run["model_run_id"],
            requested_trials=count,
            spec=json.loads(run["spec"]),
            metadata=json.loads(run["metadata"]),
            mlflow_experiment_id="1",
        )
    ]
    for number, row in enumerate(trials(count, study)):
        is_running = number >= count - running
        bodies.append(start_of(row))
        bodies += [epoch_of(row, number, step, epoch_count) for step in range(epoch_count // (2 if is_running else 1))]
        bodies += [] if is_running else [end_of(row), _checkpoint(row)]
    for start in range(0, len(bodies), 2000):
        wrong = [receipt for receipt in store.ingest(bodies[start : start + 2000]) if receipt.status != "accepted"]
        assert not wrong, wrong[:3]


def fill(lake: Lake, store: EventStore, count: int, study: str = "demo") -> None:
    """Write a study into a lake, from what the store was told and what measures and comparisons would say."""
    write_trials(store, lake, study)
    write_metrics(store, lake, study)
    write_lipschitz(lake, study, lipschitz(count, study))
    write_robustness(lake, study, robustness(count, study))
    write_comparison(lake, study, comparison(trials(count, study), study))


def _checkpoint(row: dict[str, Any]) -> dict[str, Any]:
    told = {"kind": "checkpoint", "uri": row["artifact_uri"], "checksum": row["trial_id"] * 2, "bytes": 51_234}
    ids = {name: row[name] for name in ("trial_id", "model_run_id")}
    return event("ml.artifact.created", row["study"], **ids, **told, media_type="application/vnd.safetensors")
