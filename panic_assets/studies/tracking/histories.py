"""All that MLflow ever logged of a measurement, for many runs at once.

Here belongs the quick way to ask for it, which MLflow's own pages use but its client does not offer, and the slow way
where there is no quick one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

#: Most runs of one question; servers answer no more.
MOST_RUNS = 100
_MOST_VALUES = 25_000
_ENDPOINT = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"


@dataclass(frozen=True)
class Measured:
    """One measurement as MLflow keeps it. ``at`` is in milliseconds since 1970; ``value`` is NaN for no number."""

    name: str
    value: float
    step: int
    at: int


def histories(client: Any, run_ids: Sequence[str], name: str) -> dict[str, list[Measured]]:
    """A measurement's values by run, at each step in the order of logging. ``client`` is MLflow's.

    At most `MOST_RUNS` runs; runs without it are left out. Raises what MLflow raises.
    """
    found = _at_once(client, run_ids, name)
    if found is None or len(found) >= _MOST_VALUES:  # cut off there
        found = [
            (run_id, Measured(name, one.value, one.step, one.timestamp))
            for run_id in run_ids
            for one in client.get_metric_history(run_id, name)
        ]
    by_run: dict[str, list[Measured]] = defaultdict(list)
    for run_id, one in sorted(found, key=lambda pair: (pair[1].step, pair[1].at)):
        by_run[run_id].append(one)
    return dict(by_run)


def _at_once(client: Any, run_ids: Sequence[str], name: str) -> list[tuple[str, Measured]] | None:
    """Values with their runs; None if this store has no such way."""
    store: Any = getattr(getattr(client, "_tracking_client", None), "store", None)
    if hasattr(store, "get_metric_history_bulk"):
        rows = [row.to_dict() for row in store.get_metric_history_bulk(list(run_ids), name, _MOST_VALUES)]
    elif hasattr(store, "get_host_creds"):
        from mlflow.utils.rest_utils import http_request

        answer = http_request(
            store.get_host_creds(),
            _ENDPOINT,
            "GET",
            params={"run_id": list(run_ids), "metric_key": name, "max_results": _MOST_VALUES},
        )
        if answer.status_code != HTTPStatus.OK:
            return None
        rows = answer.json()["metrics"]
    else:
        return None
    return [
        (row["run_id"], Measured(name, float(row["value"]), int(row["step"]), int(row["timestamp"]))) for row in rows
    ]
