"""A lake whose numbers are known, written by hand. No tests here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from panic_assets.lake import Lake

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RING = ("Rephrase", "Translate")


def make_lake(root: Path, runs: Sequence[tuple[tuple[str, ...], int, Sequence[str], dict[str, Any]]]) -> Lake:
    """Experiment ``hand`` of (ring, seed, texts in order, outcome) for each run; an outcome has at least a reason."""
    lake = Lake(root)
    seeds = [seed for _, seed, _, _ in runs]
    described = {
        "experiment": "hand",
        "experiment_id": "0" * 32,
        "config": json.dumps({"name": "hand", "seeds": seeds, "max_length": 9}),
        "max_length": 9,
        "cycle_policy": "stop",
        "image_format": "webp-lossless",
        "created_at": NOW,
    }
    prompt = {"experiment": "hand", "prompt_number": 0, "prompt": "a cat"}
    tables: dict[str, list[dict[str, Any]]] = {"runs": [], "outcomes": [], "invocations": []}
    tables |= {"experiments": [described], "prompts": [prompt]}
    for number, (ring, seed, texts, outcome) in enumerate(runs):
        own = {"experiment": "hand", "run_number": number}
        tables["runs"].append(
            own
            | {
                "run_id": number.to_bytes(16, "little"),
                "network": " -> ".join(ring),
                "models": list(ring),
                "prompt_number": 0,
                "prompt": "a cat",
                "seed": seed,
                "replicate": 0,
                "max_length": max(1, len(texts)),
            }
        )
        tables["outcomes"].append(
            own
            | {"length": len(texts), "flagged": 0, "shared": 0, "retries": 0, "model_seconds": 0.0}
            | {"completed_at": NOW}
            | outcome
        )
        for place, text in enumerate(texts):
            tables["invocations"].append(
                own
                | {
                    "sequence_number": place,
                    "invocation_id": (1000 * number + place).to_bytes(16, "little"),
                    "model": ring[place % len(ring)],
                    "type": "text",
                    "seed": 1,
                    "batch_size": 1,
                    "text": text,
                    "flags": [],
                    "model_seconds": 0.0,
                    "retries": 0,
                    "started_at": NOW,
                    "completed_at": NOW,
                }
            )
    for table, rows in tables.items():
        with lake.writer(table, "hand") as writer:
            writer.append(rows)
            writer.commit()
    return lake


def cycle(transient: int, length: int) -> dict[str, Any]:
    return {"stop_reason": "cycle", "transient_length": transient, "cycle_length": length}


LENGTH: dict[str, Any] = {"stop_reason": "length"}
FAILED: dict[str, Any] = {"stop_reason": "failed", "error": "no paper"}
QUALITY: dict[str, Any] = {"stop_reason": "quality"}
