"""What an event does to the rows, within one transaction that has the database to itself.

Here belong the checks that need other rows, and the state machine by compare-and-set. What is written together at the
end is in ``gathering``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from panic_assets.studies.events.folding import state_of
from panic_assets.studies.events.gathering import OF_RUN, OF_TRIAL, Gathering, Key, Measured, at, moment
from panic_assets.studies.events.offers import Offer
from panic_assets.studies.events.rows import Reason
from panic_assets.studies.events.schema import ArtifactCreated, RunMetric
from panic_assets.studies.events.states import allowed_from
from panic_assets.studies.events.tables import artifacts, model_runs, trials
from panic_assets.studies.events.wire import canonical, digest_of
from panic_assets.studies.records import FINAL, State


@dataclass(frozen=True)
class Refusal:
    """Why an event can't be applied now, or ever."""

    reason: Reason
    details: tuple[str, ...]


class Applying(Gathering):
    """Applies events one after another."""

    def take(self, said: Offer) -> Refusal | None:
        """Apply an event that was not applied before; why not, if it can't be."""
        if isinstance(said.event.payload, RunMetric):
            refusal = self._measure(said, said.event.payload)
        elif isinstance(said.event.payload, ArtifactCreated):
            refusal = self._keep_artifact(said, said.event.payload)
        elif said.event.name.startswith("ml.trial."):
            refusal = self._move_trial(said)
        else:
            refusal = self._move_run(said)
        return refusal

    def _measure(self, said: Offer, payload: RunMetric) -> Refusal | None:
        key = (said.event.study, payload.trial_id)
        trial = self._trial(key)
        refusal = self._misplaced(key, trial, payload.model_run_id)
        if refusal is not None:
            return refusal
        values = payload.values()
        for metric, value in values.items():
            row: Measured = {
                "study": key[0],
                "trial_id": key[1],
                "metric": metric,
                "step": payload.step,
                "value": value,
                "reported_at": said.event.occurred_at,
                "event_id": said.event_id,
                "changed": self._number,
            }
            place = (*key, metric, payload.step)
            before = self._measured.get(place)
            if before is None or moment(before) < moment(row):
                self._measured[place] = row
        if None in values.values() and trial is not None and not trial.has_nan:
            self._nan.add(key)
        self._keep(said, None)
        return None

    def _keep_artifact(self, said: Offer, payload: ArtifactCreated) -> Refusal | None:
        study, own = said.event.study, artifacts.c
        if payload.trial_id is not None:
            key = (study, payload.trial_id)
            refusal = self._misplaced(key, self._trial(key), payload.model_run_id)
        else:
            refusal = self._without_run((study, payload.model_run_id))
        if refusal is not None:
            return refusal
        row = payload.model_dump(exclude={"metadata"}) | {
            "study": study,
            "artifact_id": payload.artifact_id or _artifact_id(payload),
            "created_at": said.event.occurred_at,
            "told_at": said.event.occurred_at,
            "event_id": said.event_id,
            "changed": self._number,
        }
        insert = self._insert(artifacts).values(row)
        new = insert.excluded
        is_later = sa.or_(new.told_at > own.told_at, sa.and_(new.told_at == own.told_at, new.event_id > own.event_id))
        changed = {
            column.name: sa.case((is_later, new[column.name]), else_=column)
            for column in artifacts.c
            if not column.primary_key
        }
        changed["created_at"] = sa.case((new.created_at < own.created_at, new.created_at), else_=own.created_at)
        changed["changed"] = new.changed
        self._connection.execute(insert.on_conflict_do_update(index_elements=["study", "artifact_id"], set_=changed))
        self._keep(said, None)
        return None

    def _move_trial(self, said: Offer) -> Refusal | None:
        payload: Any = said.event.payload
        key = (said.event.study, payload.trial_id)
        trial = self._trial(key)
        if trial is None:
            if payload.model_run_id is None or payload.spectral_norm is None:
                return self._misplaced(key, None, None)
            self._make_run((key[0], payload.model_run_id), said)
            self._make_trial(key, said)
        else:
            refusal = self._misplaced(key, trial, payload.model_run_id)
            if refusal is None and payload.spectral_norm not in (None, trial.spectral_norm):
                refusal = Refusal(
                    "conflict", (f"trial {key[1]} has spectral_norm {trial.spectral_norm}: it can't change",)
                )
            if refusal is not None:
                return refusal
        refusal = self._move(trials, key, said)
        if refusal is None:
            self._keep(said, OF_TRIAL + key[1])
            self._stale_trials.add(key)
            if said.event.name == "ml.trial.complete":
                self._stale_runs.add((key[0], self._known(key).model_run_id))
        return refusal

    def _move_run(self, said: Offer) -> Refusal | None:
        payload: Any = said.event.payload
        key = (said.event.study, payload.model_run_id)
        if said.event.name == "ml.run.start":
            self._make_run(key, said)
        refusal = self._without_run(key) or self._move(model_runs, key, said)
        if refusal is None:
            self._keep(said, OF_RUN + key[1])
            self._stale_runs.add(key)
        return refusal

    def _move(self, table: sa.Table, key: Key, said: Offer) -> Refusal | None:
        """Compare and set: of several who want to end the same, one does."""
        to = state_of(said.event.name, said.kept_payload)
        here = at(table, key)
        moved = self._connection.execute(
            table.update().where(here, table.c.state.in_(allowed_from(to))).values(state=to, changed=self._number)
        )
        if moved.rowcount or to not in FINAL:
            return None
        state: State = self._connection.execute(sa.select(table.c.state).where(here)).scalar_one()
        if state == to:
            return None
        return Refusal("conflict", (f"{key[1]} is {state} already, which nothing ends: it can't become {to}",))

    def _misplaced(self, key: Key, trial: sa.Row[Any] | None, model_run_id: str | None) -> Refusal | None:
        if trial is None:
            return Refusal("unknown_trial", (f"there is no trial {key[1]} in study {key[0]} yet; this waits for it",))
        if model_run_id not in (None, trial.model_run_id):
            return Refusal("wrong_run", (f"trial {key[1]} is of model run {trial.model_run_id}, not {model_run_id}",))
        return None

    def _without_run(self, key: Key) -> Refusal | None:
        if self._knows_run(key):
            return None
        return Refusal("unknown_run", (f"there is no model run {key[1]} in study {key[0]} yet; this waits for it",))


def _artifact_id(payload: ArtifactCreated) -> str:
    """The same for the same file of the same trial, however often it is told."""
    return digest_of(canonical({"run": payload.model_run_id, "trial": payload.trial_id, "uri": payload.uri}))
