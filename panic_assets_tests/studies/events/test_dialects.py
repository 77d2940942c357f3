"""One translator for three ways of writing an event, and what each wrong way is told."""

from __future__ import annotations

import pytest

from panic_assets.studies.events.dialects import translate
from panic_assets.studies.events.errors import EventError
from panic_assets.studies.events.schema import PAYLOADS

OWN = {"schema_version": 1, "name": "ml.run.metric", "payload": {"trial_id": "t", "step": 2, "metrics": {"loss": 1}}}
FLAT = {
    "event": "ml.run.metric",
    "model_run_id": "r",
    "trial_id": "t",
    "metric_name": "loss",
    "metric_value": 1,
    "step": 2,
}
SEED = {"event": "ml.run.metric", "trial_id": "t", "metadata": {"epoch": 2}, "measurements": {"loss": 1}}


@pytest.mark.parametrize("body", [OWN, FLAT, SEED], ids=["own", "flat", "envelope"])
def test_a_metric_is_the_same_in_every_dialect(body):
    event, remarks = translate(body)
    assert (event.name, event.payload.trial_id, event.payload.step) == ("ml.run.metric", "t", 2)
    assert event.payload.values() == {"loss": 1.0}
    assert remarks == ()


def test_the_envelope_of_a_training_job_is_that_of_a_trial():
    start, _ = translate(
        {
            "event": "ml.run.start",
            "trial_id": "trial-7",
            "metadata": {"spectral_norm": True, "hyperparams": {"learning_rate": 0.001}},
        }
    )
    assert (start.name, start.study, start.payload.model_run_id) == ("ml.trial.start", "external", "external")
    assert (start.payload.spectral_norm, start.payload.parameters) == (True, {"learning_rate": 0.001})
    stop, remarks = translate(
        {
            "event": "ml.run.stop",
            "timestamp": "2026-05-01T20:00:00Z",
            "trial_id": "trial-7",
            "metadata": {"success": True, "epochs": 10, "mlflow_run_id": "mlflow_abc123"},
            "measurements": {"duration_ms": 1234.4, "final_val_accuracy": 0.89},
        }
    )
    assert (stop.name, stop.payload.duration_ms, stop.payload.metrics) == (
        "ml.trial.complete",
        1234,
        {"final_val_accuracy": 0.89},
    )
    assert stop.payload.metadata == {"epochs": 10}
    assert remarks == ("epochs is no field of this event; it is kept in metadata",)
    failed, _ = translate(
        {"event": "ml.run.stop", "trial_id": "t", "metadata": {"success": False, "error": "no memory"}}
    )
    assert (failed.name, failed.payload.error_message) == ("ml.trial.failed", "no memory")


def test_the_envelope_without_a_trial_is_that_of_a_run():
    name = ["thunderline", "ml", "run", "stop"]
    metadata = {"model_run_id": "r", "success": True, "study": "mine"}
    event, _ = translate({"name": name, "metadata": metadata, "measurements": {"completed_trials": 3}})
    assert (event.name, event.study, event.payload.state, event.payload.completed_trials) == (
        "ml.run.stop",
        "mine",
        "completed",
        3,
    )


def test_the_envelope_of_a_bus_around_a_payload_is_read():
    body = {"id": "e", "at": "2026-05-01T20:00:00Z", "name": "ml.trial.complete", "priority": "high", "source": "bolt"}
    payload = {"model_run_id": "r", "trial_id": "t", "spectral_norm": False, "metrics": {}, "pulse_id": "p"}
    event, _ = translate({**body, "payload": payload})
    assert (event.event_id, event.source, event.occurred_at.year) == ("e", "bolt", 2026)
    assert event.payload.metadata == {"pulse_id": "p", "priority": "high"}


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_every_missing_field_is_told_at_once(name):
    required = [field for field, info in PAYLOADS[name].model_fields.items() if info.is_required()]
    with pytest.raises(EventError) as told:
        translate({"name": name, "payload": {}})
    assert (told.value.status, told.value.error) == (400, "validation_failed")
    assert {f"missing required field: {field}" for field in required} <= set(told.value.details)


WRONG = {
    "no name": ({"trial_id": "t"}, 400, "validation_failed", "missing required field: event"),
    "a name that is no text": ({"event": 5}, 400, "validation_failed", "missing required field: event"),
    "a name that nobody knows": ({"event": "ml.run.exploded"}, 400, "unknown_event_type", "ml.run.start"),
    "another version": ({**OWN, "schema_version": 2}, 400, "unsupported_version", "schema_version: 1"),
    "a version that is no number": ({**OWN, "schema_version": True}, 400, "unsupported_version", "schema_version: 1"),
    "a version without payload": ({"schema_version": 1, "name": "ml.run.start"}, 400, "validation_failed", "payload"),
    "a payload that is no map": ({**OWN, "payload": [1]}, 422, "event_construction_failed", "payload: a map"),
    "null where required": (FLAT | {"trial_id": None}, 422, "event_construction_failed", "trial_id"),
    "a text for a number": (FLAT | {"metric_value": "1"}, 422, "event_construction_failed", "metric_value"),
    "true for a number": (FLAT | {"metric_value": True}, 422, "event_construction_failed", "metric_value"),
    "a number for an id": (FLAT | {"trial_id": 7}, 422, "event_construction_failed", "trial_id"),
    "an id of dots": (FLAT | {"trial_id": ".."}, 422, "event_construction_failed", "trial_id"),
    "an id with spaces": (FLAT | {"event_id": "a b"}, 422, "event_construction_failed", "event_id"),
    "an id that is too long": (FLAT | {"event_id": "a" * 129}, 422, "event_construction_failed", "event_id"),
    "half a step": (FLAT | {"step": 1.5}, 422, "event_construction_failed", "step"),
    "a study that is none": (FLAT | {"study": "../etc"}, 422, "event_construction_failed", "study"),
    "a time without a zone": (FLAT | {"timestamp": "2026-05-01T20:00:00"}, 422, "event_construction_failed", "zone"),
    "a time before all": (FLAT | {"at": "0001-01-01T00:00:00+14:00"}, 422, "event_construction_failed", "occurred_at"),
    "a time that is a number": (FLAT | {"at": 1e300}, 422, "event_construction_failed", "ISO 8601"),
    "a seed's metadata that is none": ({**SEED, "metadata": 5}, 422, "event_construction_failed", "metadata: a map"),
    "a stop without success": ({"event": "ml.run.stop", "trial_id": "t"}, 400, "validation_failed", "metadata.success"),
    "a stop of unclear success": (
        {"event": "ml.run.stop", "trial_id": "t", "metadata": {"success": "yes"}},
        422,
        "event_construction_failed",
        "metadata.success",
    ),
    "a flag that is a text": (
        {"event": "ml.trial.start", "model_run_id": "r", "trial_id": "t", "spectral_norm": "true"},
        422,
        "event_construction_failed",
        "spectral_norm",
    ),
    "a state that is none": (
        {"event": "ml.run.stop", "model_run_id": "r", "state": "succeeded", "completed_trials": 1},
        422,
        "event_construction_failed",
        "state",
    ),
    "fewer than no trials": (
        {"event": "ml.run.stop", "model_run_id": "r", "state": "failed", "completed_trials": -1},
        422,
        "event_construction_failed",
        "completed_trials",
    ),
    "no checksum": (
        {
            "name": "ml.artifact.created",
            "payload": {"model_run_id": "r", "kind": "k", "uri": "u", "checksum": "x", "bytes": 1},
        },
        422,
        "event_construction_failed",
        "checksum",
    ),
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_each_wrong_event_is_told_what_is_wrong(wrong):
    body, status, error, words = WRONG[wrong]
    with pytest.raises(EventError) as told:
        translate(body)
    assert (told.value.status, told.value.error) == (status, error)
    assert any(words in line for line in told.value.details), told.value.details


def test_thousands_of_problems_are_told_in_few_lines():
    metrics = {f"m{number}": "x" for number in range(400)}
    with pytest.raises(EventError) as told:
        translate({"name": "ml.run.metric", "payload": {"trial_id": "t", "metrics": metrics}})
    assert len(told.value.details) == 21
    assert told.value.details[-1] == "and 380 more"
