"""Events: what went wrong while an experiment was run, as rows of the lake.

Here belongs making rows of incidents. Dealing with them belongs to ``dispatch``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from panic_assets.lake import Lake
from panic_assets.loop.dispatch import Incident

_LOCK_SECONDS = 30.0


def event_of(incident: Incident, runs: Mapping[Any, Iterable[int]]) -> dict[str, Any]:
    """An incident as a row without ``experiment`` and ``number``; ``runs`` gives the runs that wait for a request."""
    return {
        "happened_at": incident.at,
        "kind": incident.kind,
        "model": incident.model,
        "device": incident.device,
        "message": incident.message,
        "run_numbers": sorted({run for key in incident.keys for run in runs.get(key, ())}),
    }


def numbered(lake: Lake, experiment: str, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their numbers, which go on from what is committed."""
    first = lake.read("events", experiment, columns=["number"]).num_rows
    return [{"experiment": experiment, "number": first + place} | event for place, event in enumerate(events)]


def append_events(lake: Lake, experiment: str, events: Sequence[dict[str, Any]]) -> None:
    """Write events, if there are any.

    Raises:
        LakeError: the table can't be written.
    """
    if not events:
        return
    with lake.writer("events", experiment, timeout=_LOCK_SECONDS) as writer:
        writer.append(numbered(lake, experiment, events))
        writer.commit()
