"""One translator for every way in which an event may be written.

Three are taken: our own version 1 (``payload``), the flat form (all fields beside the name), and the envelope of
``metadata`` and ``measurements``, in which a run with a trial's id is a trial. Here belongs where each value lies;
which values are right is in ``schema``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from panic_assets.studies.events.errors import Malformed, Unprocessable
from panic_assets.studies.events.schema import DEFAULT_STUDY, PAYLOADS, SCHEMA_VERSION, Envelope, Event, Payload

Values = dict[str, Any]
#: What the flat form must have, where that is more than version 1 asks for.
_FLAT_REQUIRED: dict[str, tuple[str, ...]] = {
    "ml.run.start": ("requested_trials", "search_space_version"),
    "ml.run.metric": ("model_run_id", "metric_name", "metric_value"),
    "ml.trial.complete": ("model_run_id", "spectral_norm"),
    "ml.trial.failed": ("model_run_id",),
}
#: Other names of what stands around a payload.
_ALIASES = {"event": "name", "id": "event_id", "at": "occurred_at", "timestamp": "occurred_at"}
_HYPERPARAMETERS = ("hyperparams", "hyperparameters")
_AROUND = frozenset(Envelope.model_fields) | {"payload"}


def translate(body: Mapping[str, Any]) -> tuple[Event, tuple[str, ...]]:
    """The event that a body says, and remarks on what was kept elsewhere than it was sent.

    Args:
        body: plain JSON, as `wire.sound` gives it.

    Raises:
        Malformed: no name, a name or version that nobody knows, or a required field is not there.
        Unprocessable: a value is of the wrong type or out of its range; null counts as a value.
    """
    around, rest = _parted(body)
    name = _name(around)
    if "payload" in around:
        payload = around.pop("payload")
        if not isinstance(payload, dict):
            raise Unprocessable("event_construction_failed", ["payload: a map is expected"])
        required: tuple[str, ...] = ()
        payload = {**payload, **_in_metadata(payload, rest)}
    elif "schema_version" in around:
        raise Malformed("validation_failed", ["missing required field: payload"])
    elif _is_seed(name, rest):
        name, payload, required = *_from_seed(name, rest, around), ()
    else:
        payload, required = rest, _FLAT_REQUIRED.get(name, ())
    fields, remarks = _sorted_in(PAYLOADS[name], payload)
    _require(PAYLOADS[name], fields, required)
    return _event({**around, "name": name}, PAYLOADS[name], fields), remarks


def _parted(body: Mapping[str, Any]) -> tuple[Values, Values]:
    """What stands around, by our names, and the rest. Our own name goes before another for the same."""
    around = {name: body[name] for name in body if name in _AROUND}
    for alias, name in _ALIASES.items():
        if alias in body:
            around.setdefault(name, body[alias])
    return around, {name: value for name, value in body.items() if name not in _AROUND and name not in _ALIASES}


def _name(around: Values) -> str:
    name = around.get("name")
    if isinstance(name, list) and name and all(isinstance(part, str) for part in name):
        name = ".".join(part for part in name if part != "thunderline")
    if not isinstance(name, str):
        raise Malformed("validation_failed", ["missing required field: event, the name of the event, a text"])
    if name not in PAYLOADS:
        raise Malformed("unknown_event_type", list(PAYLOADS), received=name[:200])
    version = around.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise Malformed(
            "unsupported_version", [f"schema_version: {SCHEMA_VERSION} is taken"], received=str(version)[:200]
        )
    return name


def _is_seed(name: str, rest: Values) -> bool:
    """Whether it is the envelope of metadata and measurements."""
    if "measurements" in rest:
        return True
    metadata = rest.get("metadata")
    inner = metadata if isinstance(metadata, dict) else {}
    if name in ("ml.run.start", "ml.run.stop") and ("trial_id" in rest or "trial_id" in inner):
        return True
    return "model_run_id" not in rest and "model_run_id" in inner


def _from_seed(name: str, rest: Values, around: Values) -> tuple[str, Values]:
    parts = {part: rest.get(part, {}) for part in ("metadata", "measurements")}
    wrong = [f"{part}: a map is expected" for part, value in parts.items() if not isinstance(value, dict)]
    if wrong:
        raise Unprocessable("event_construction_failed", wrong)
    values = {**parts["metadata"], **{key: value for key, value in rest.items() if key not in parts}}
    for alias in _HYPERPARAMETERS:
        if alias in values:
            values.setdefault("parameters", values.pop(alias))
    # Both lie in the metadata where an envelope has no place for them.
    for key in ("study", "correlation_id"):
        if key in values:
            around.setdefault(key, values.pop(key))
    of_trial = "trial_id" in values
    translator = _SEED.get((name, of_trial))
    if translator is None:
        return name, {**values, **({"metrics": parts["measurements"]} if parts["measurements"] else {})}
    return translator(values, parts["measurements"], around)


def _seed_trial_start(values: Values, measurements: Values, around: Values) -> tuple[str, Values]:
    # Trainers of this form know no runs: all their trials are of the one that is called like the study.
    values.setdefault("model_run_id", around.get("study", DEFAULT_STUDY))
    return "ml.trial.start", {**values, **measurements}


def _seed_metric(values: Values, measurements: Values, around: Values) -> tuple[str, Values]:
    if "epoch" in values:
        values.setdefault("step", values.pop("epoch"))
    return "ml.run.metric", {**values, "metrics": measurements}


def _seed_stop(values: Values, measurements: Values, around: Values) -> tuple[str, Values]:
    metrics = dict(measurements)
    duration = metrics.pop("duration_ms", None)
    if duration is not None:
        values.setdefault("duration_ms", round(duration) if isinstance(duration, float) else duration)
    if "success" not in values:
        raise Malformed("validation_failed", ["missing required field: metadata.success"])
    success = values.pop("success")
    if not isinstance(success, bool):
        raise Unprocessable("event_construction_failed", ["metadata.success: true or false is expected"])
    values["metrics"] = metrics
    if success:
        return "ml.trial.complete", values
    values.setdefault("error_message", values.pop("error", "the trainer told no success"))
    return "ml.trial.failed", values


def _seed_run_stop(values: Values, measurements: Values, around: Values) -> tuple[str, Values]:
    if "success" in values:
        success = values.pop("success")
        values.setdefault("state", "completed" if success is True else "failed" if success is False else success)
    return "ml.run.stop", {**values, **measurements}


#: By name, and whether a trial's id is there.
_SEED: dict[tuple[str, bool], Callable[[Values, Values, Values], tuple[str, Values]]] = {
    ("ml.run.start", True): _seed_trial_start,
    ("ml.run.metric", True): _seed_metric,
    ("ml.run.metric", False): _seed_metric,
    ("ml.run.stop", True): _seed_stop,
    ("ml.run.stop", False): _seed_run_stop,
}


def _in_metadata(payload: Values, more: Values) -> Values:
    """``metadata`` with more in it; empty if there is nothing to add, or no map to add to."""
    metadata = payload.get("metadata")
    if not more or not isinstance(metadata, dict | None):
        return {}
    return {"metadata": {**more, **(metadata or {})}}


def _sorted_in(kind: type[Payload], payload: Values) -> tuple[Values, tuple[str, ...]]:
    """The fields that the payload knows; what it does not know is in its metadata, with a remark."""
    known = {name: value for name, value in payload.items() if name in kind.model_fields}
    other = {name: value for name, value in payload.items() if name not in kind.model_fields}
    remarks = tuple(f"{name[:200]} is no field of this event; it is kept in metadata" for name in list(other)[:20])
    return {**known, **_in_metadata(known, other)}, remarks


def _require(kind: type[Payload], fields: Values, more: tuple[str, ...]) -> None:
    missing = dict.fromkeys([*kind.missing(fields), *(name for name in more if name not in fields)])
    if missing:
        raise Malformed("validation_failed", [f"missing required field: {name}" for name in missing])


def _event(around: Values, kind: type[Payload], fields: Values) -> Event:
    problems: list[str] = []
    payload = None
    try:
        payload = kind.model_validate(fields)
    except ValidationError as error:
        problems += _told(error)
    try:
        # Validated beside its payload, so that everything that is wrong is told at once.
        event = Event.model_validate({**around, "payload": payload or Payload()})
    except ValidationError as error:
        raise Unprocessable("event_construction_failed", [*_told(error), *problems]) from None
    if problems:
        raise Unprocessable("event_construction_failed", problems)
    return event


def _told(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in problem['loc'])[:200]}: {problem['msg'][:500]}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]
