"""Event stores and streams of events for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from panic_assets.studies.events.store import EventStore
from panic_assets_tests.live.stores import KINDS, HandClock, address

__all__ = ["KINDS", "event", "opened", "rows", "stream"]
_BEGIN = datetime(2026, 5, 1, 20, 0, tzinfo=UTC)


@contextmanager
def opened(folder: Any, kind: str = "sqlite") -> Iterator[EventStore]:
    """A migrated event store with a clock that is set by hand."""
    with address(kind, folder) as url:
        store = EventStore(url, now=HandClock())
        store.migrate()
        try:
            yield store
        finally:
            store.close()


def event(name: str, number: int, study: str = "demo", **payload: Any) -> dict[str, Any]:
    """An event in our own form, the ``number``-th of its stream: a second after the one before."""
    return {
        "schema_version": 1,
        "event_id": f"{study}.{number}",
        "name": name,
        "occurred_at": (_BEGIN + timedelta(seconds=number)).isoformat(),
        "source": "bench",
        "study": study,
        "seq": number,
        "payload": payload,
    }


def stream(trials: int = 2, steps: int = 3, study: str = "demo") -> list[dict[str, Any]]:
    """A run of some trials in the order in which it happens; every second trial has the flag, the last one fails."""
    told: list[dict[str, Any]] = []

    def tell(name: str, **payload: Any) -> None:
        told.append(event(name, len(told), study, **payload))

    tell("ml.run.start", model_run_id="run", requested_trials=trials, search_space_version=1, spec={"task": "digits"})
    for index in range(trials):
        trial, key = f"trial-{index}", {"model_run_id": "run", "trial_id": f"trial-{index}"}
        flag = index % 2 == 1
        tell("ml.trial.start", **key, spectral_norm=flag, parameters={"width": 8}, arm="none", pair=index, seed=index)
        for step in range(steps):
            tell("ml.run.metric", **key, step=step, metrics={"train_loss": 1.0 / (step + 1), "sigma.0": 1.5})
        if index == trials - 1:
            tell("ml.run.metric", **key, metric_name="train_loss", metric_value="NaN", step=steps)
            tell("ml.trial.failed", **key, error_message="the loss is no number", error_type="nan_loss")
        else:
            tell("ml.trial.complete", **key, spectral_norm=flag, metrics={"test_accuracy": 0.5}, duration_ms=12)
            uri, checksum = f"{trial}.safetensors", "ab" * 32
            tell("ml.artifact.created", **key, kind="checkpoint", uri=uri, checksum=checksum, bytes=10)
    tell("ml.run.stop", model_run_id="run", state="completed", completed_trials=trials - 1, best_metric=0.5)
    return told


def rows(store: EventStore) -> dict[str, list[Any]]:
    """All rows, each kind in the order of its keys."""
    found = {
        "model_runs": store.model_runs(),
        "trials": store.trials(),
        "metrics": store.metrics(),
        "artifacts": store.artifacts(),
    }
    return {name: sorted((asdict(row) for row in kept), key=repr) for name, kept in found.items()}
