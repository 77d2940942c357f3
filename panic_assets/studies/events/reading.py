"""Reading the rows of the event store: lists, single ones, and what has changed since.

Here belong questions alone. All answers are of one snapshot.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa

from panic_assets.live.store.database import Database
from panic_assets.studies.events.rows import ArtifactRow, Change, MetricRow, ModelRunRow, StudyRow, TrialRow
from panic_assets.studies.events.tables import SCHEMA, artifacts, counter, model_runs, trial_metrics, trials

_T = TypeVar("_T")


def columns_of(table: sa.Table, record: type[Any]) -> list[sa.Column[Any]]:
    """Those columns of a table that a record has."""
    return [table.c[field.name] for field in fields(record)]


class Reading(Database):
    """The part of the event store that tells its rows."""

    schema = SCHEMA

    def studies(self) -> list[StudyRow]:
        """All studies that an event named, by name."""
        runs = sa.select(model_runs.c.study, sa.func.count(), sa.func.max(model_runs.c.changed))
        states = sa.select(trials.c.study, trials.c.state, sa.func.count(), sa.func.max(trials.c.changed))
        with self._reads() as connection:
            found = connection.execute(runs.group_by(model_runs.c.study).order_by(model_runs.c.study)).all()
            by_state = connection.execute(states.group_by(trials.c.study, trials.c.state)).all()
        rows = []
        for study, number, changed in found:
            own = [row for row in by_state if row[0] == study]
            last = max([changed, *(row[3] for row in own)])
            rows.append(StudyRow(study, number, {row[1]: row[2] for row in own}, last))
        return rows

    def model_runs(self, study: str | None = None) -> list[ModelRunRow]:
        """Model runs, in the order in which they became known."""
        wanted = sa.select(*columns_of(model_runs, ModelRunRow)).order_by(model_runs.c.first, model_runs.c.model_run_id)
        return self._rows(ModelRunRow, wanted, {model_runs.c.study: study})

    def trials(
        self,
        study: str | None = None,
        model_run_id: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[TrialRow]:
        """Trials, in the order in which they became known; at most ``limit``, those after the trial ``after``."""
        wanted = sa.select(*columns_of(trials, TrialRow)).order_by(trials.c.first, trials.c.trial_id).limit(limit)
        if after is not None:
            last = sa.select(trials.c.first, trials.c.trial_id).where(trials.c.trial_id == after)
            if study is not None:
                last = last.where(trials.c.study == study)
            found = last.order_by(trials.c.first).limit(1).subquery()
            place = sa.tuple_(trials.c.first, trials.c.trial_id)
            wanted = wanted.where(place > sa.select(found.c.first, found.c.trial_id).scalar_subquery())
        return self._rows(TrialRow, wanted, {trials.c.study: study, trials.c.model_run_id: model_run_id})

    def trial(self, trial_id: str, study: str | None = None) -> TrialRow | None:
        """The trial, None if there is none; without ``study`` the one that became known last."""
        wanted = sa.select(*columns_of(trials, TrialRow)).order_by(trials.c.first.desc()).limit(1)
        found = self._rows(TrialRow, wanted, {trials.c.trial_id: trial_id, trials.c.study: study})
        return found[0] if found else None

    def metrics(self, trial_id: str | None = None, study: str | None = None, after: int = 0) -> list[MetricRow]:
        """Metrics by study, trial, metric and step; only those that changed after the change number ``after``."""
        own = trial_metrics.c
        wanted = sa.select(*columns_of(trial_metrics, MetricRow)).order_by(
            own.study, own.trial_id, own.metric, own.step
        )
        if after:
            wanted = wanted.where(own.changed > after)
        return self._rows(MetricRow, wanted, {own.trial_id: trial_id, own.study: study})

    def artifacts(
        self, study: str | None = None, model_run_id: str | None = None, trial_id: str | None = None
    ) -> list[ArtifactRow]:
        """Artifacts, the oldest first."""
        own = artifacts.c
        wanted = sa.select(*columns_of(artifacts, ArtifactRow)).order_by(own.created_at, own.artifact_id)
        return self._rows(
            ArtifactRow, wanted, {own.study: study, own.model_run_id: model_run_id, own.trial_id: trial_id}
        )

    def changes(self, after: int = 0) -> tuple[int, list[Change]]:
        """The number of the last change, and all things that changed after ``after``, each once, the earliest first.

        A watcher in any process asks again with the number it was given.
        """
        last = sa.select(counter.c.number)
        parts = [
            sa.select(table.c.changed, table.c.study, sa.literal(kind), table.c[key]).where(table.c.changed > after)
            for table, kind, key in (
                (model_runs, "model_run", "model_run_id"),
                (trials, "trial", "trial_id"),
                (artifacts, "artifact", "artifact_id"),
            )
        ]
        own = trial_metrics.c
        told = sa.select(sa.func.max(own.changed), own.study, sa.literal("metrics"), own.trial_id)
        parts.append(told.where(own.changed > after).group_by(own.study, own.trial_id))
        with self._reads() as connection:
            number = connection.scalar(last) or 0
            if number <= after:
                return number, []
            found = [Change(*row) for part in parts for row in connection.execute(part)]
        return number, sorted(found, key=lambda change: (change.number, change.kind, change.study, change.key))

    def _rows(self, record: type[_T], wanted: sa.Select[Any], equal: dict[Any, Any]) -> list[_T]:
        for column, value in equal.items():
            if value is not None:
                wanted = wanted.where(column == value)
        with self._reads() as connection:
            return [record(**_filled(row._mapping)) for row in connection.execute(wanted)]


def _filled(values: Any) -> dict[str, Any]:
    """Lists are tuples in records, which don't change."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
