"""Rows that one transaction reads and makes while it takes events, and what it writes together at the end.

Here belong looking rows up, making new ones, and folding the events of a trial or a run into its columns. Which event
does what is in ``applying``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from panic_assets.studies.events.folding import Told, run_columns, trial_columns
from panic_assets.studies.events.offers import Offer
from panic_assets.studies.events.rows import Reason
from panic_assets.studies.events.tables import events, model_runs, trial_metrics, trials

#: Study, and the id of a trial or a model run.
Key = tuple[str, str]
Measured = dict[str, Any]
#: What the subject of a kept event begins with.
OF_TRIAL, OF_RUN = "trial/", "run/"


class Gathering:
    """The rows of one transaction.

    Args:
        connection: alone in writing until its transaction ends.
        insert: makes inserts that know what to do about rows that are there.
        number: of the transaction; what it changes gets it.
        now: when it began.
    """

    def __init__(
        self, connection: sa.Connection, insert: Callable[[sa.Table], Any], number: int, now: datetime
    ) -> None:
        self._connection, self._insert, self._number, self._now = connection, insert, number, now
        self._runs: dict[Key, bool] = {}
        self._trials: dict[Key, sa.Row[Any] | None] = {}
        self._kept: list[dict[str, Any]] = []
        self._measured: dict[tuple[str, str, str, int], Measured] = {}
        self._stale_trials: set[Key] = set()
        self._stale_runs: set[Key] = set()
        self._nan: set[Key] = set()
        #: What nobody knew before: study, why events waited for it, its id.
        self.made: list[tuple[str, Reason, str]] = []

    def finish(self) -> None:
        """Write what was gathered, and the rows that all events of a trial or run together make."""
        if self._kept:
            self._connection.execute(events.insert(), self._kept)
        if self._measured:
            self._connection.execute(_measuring(self._connection.dialect.name), list(self._measured.values()))
        for key in sorted(self._nan):
            self._set(trials, key, has_nan=True)
        for key in sorted(self._stale_trials | self._nan):
            self._fold_trial(key)
        for key in sorted(self._stale_runs):
            self._fold_run(key)

    def _knows_run(self, key: Key) -> bool:
        if not self._runs.get(key):
            found = sa.select(model_runs.c.study).where(at(model_runs, key))
            self._runs[key] = self._connection.execute(found).first() is not None
        return self._runs[key]

    def _trial(self, key: Key) -> sa.Row[Any] | None:
        if self._trials.get(key) is None:
            columns = [trials.c[name] for name in ("model_run_id", "spectral_norm", "has_nan")]
            wanted = sa.select(*columns).where(at(trials, key))
            self._trials[key] = self._connection.execute(wanted).one_or_none()
        return self._trials[key]

    def _known(self, key: Key) -> sa.Row[Any]:
        trial = self._trial(key)
        assert trial is not None
        return trial

    def _make_run(self, key: Key, said: Offer) -> None:
        source = said.event.source
        if not self._knows_run(key):
            row = {"study": key[0], "model_run_id": key[1], "source": source, "completed_trials": 0, "is_told": False}
            state = said.kept_payload["state"] if said.event.name == "ml.run.start" else "running"
            self._connection.execute(model_runs.insert().values(state=state, **row, **self._numbers()))
            self._runs[key] = True
            self.made.append((key[0], "unknown_run", key[1]))
            return
        if said.event.name != "ml.run.start":
            # Known by its trials alone it has the first of their sources, whichever came first.
            later = sa.and_(at(model_runs, key), model_runs.c.is_told.is_(False), model_runs.c.source > source)
            self._connection.execute(model_runs.update().where(later).values(source=source))
            self._move_run_on(key)

    def _move_run_on(self, key: Key) -> None:
        here = sa.and_(at(model_runs, key), model_runs.c.state == "pending")
        self._connection.execute(model_runs.update().where(here).values(state="running", changed=self._number))

    def _make_trial(self, key: Key, said: Offer) -> None:
        payload: Any = said.event.payload
        row = {
            "study": key[0],
            "trial_id": key[1],
            "model_run_id": payload.model_run_id,
            "spectral_norm": payload.spectral_norm,
            "source": said.event.source,
            "state": "pending",
            "parameters": {},
            "metrics": {},
            "warnings": [],
            "has_nan": False,
        }
        self._connection.execute(trials.insert().values(**row, **self._numbers()))
        self.made.append((key[0], "unknown_trial", key[1]))

    def _numbers(self) -> dict[str, int]:
        return {"first": self._number, "changed": self._number}

    def _keep(self, said: Offer, subject: str | None) -> None:
        event = said.event
        self._kept.append(
            {
                "event_id": said.event_id,
                "study": event.study,
                "name": event.name,
                "subject": subject,
                "digest": said.digest,
                "source": event.source,
                "correlation_id": event.correlation_id,
                "seq": event.seq,
                "occurred_at": said.event.occurred_at,
                "received_at": self._now,
                "payload": said.kept_payload if subject is not None else None,
            }
        )

    def _told(self, study: str, subject: str) -> list[Told]:
        own = events.c
        wanted = sa.select(own.name, own.source, own.occurred_at, own.seq, own.event_id, own.payload)
        found = self._connection.execute(wanted.where(own.study == study, own.subject == subject))
        return [Told(*row) for row in found]

    def _fold_trial(self, key: Key) -> None:
        wanted = sa.select(trials.c.has_nan).where(at(trials, key))
        has_nan = bool(self._connection.execute(wanted).scalar_one())
        self._set(trials, key, **trial_columns(self._told(key[0], OF_TRIAL + key[1]), has_nan))

    def _fold_run(self, key: Key) -> None:
        told = self._told(key[0], OF_RUN + key[1])
        values = run_columns(told) | {"is_told": True} if told else {}
        if "completed_trials" not in values:
            own = trials.c
            completed = sa.select(sa.func.count()).where(
                own.study == key[0], own.model_run_id == key[1], own.state == "completed"
            )
            values["completed_trials"] = self._connection.execute(completed).scalar_one()
        self._set(model_runs, key, **values)

    def _set(self, table: sa.Table, key: Key, **values: Any) -> None:
        self._connection.execute(table.update().where(at(table, key)).values(**values, changed=self._number))


def at(table: sa.Table, key: Key) -> Any:
    """The condition that a row of trials or of model runs is that one."""
    own = table.c.model_run_id if table is model_runs else table.c.trial_id
    return sa.and_(table.c.study == key[0], own == key[1])


def moment(row: Measured) -> tuple[datetime, str]:
    """Of two values of a metric at a step, that with the later one counts."""
    return row["reported_at"], row["event_id"]


@cache
def _measuring(dialect: str) -> Any:
    """The statement that keeps values of metrics: of two for a step that of the later event. Building it takes long."""
    insert = sqlite.insert(trial_metrics) if dialect == "sqlite" else postgresql.insert(trial_metrics)
    own, new = trial_metrics.c, insert.excluded
    is_later = sa.or_(
        new.reported_at > own.reported_at, sa.and_(new.reported_at == own.reported_at, new.event_id > own.event_id)
    )
    return insert.on_conflict_do_update(
        index_elements=["study", "trial_id", "metric", "step"],
        set_={name: new[name] for name in ("value", "reported_at", "event_id", "changed")},
        where=is_later,
    )
