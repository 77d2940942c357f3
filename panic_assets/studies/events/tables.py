"""The tables of the event store, with the rules that the database itself keeps.

Here belong columns, keys and indexes. A change here needs a migration beside it; a test compares the two.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.columns import UtcTime, Words
from panic_assets.live.store.migrating import Schema
from panic_assets.live.store.tables import metadata as live_metadata

SCHEMA = Schema("event store", "panic_assets.studies.events:migrations", "study_events_version")
metadata = sa.MetaData(naming_convention=live_metadata.naming_convention)

#: Ids are compared by their bytes, everywhere.
_ID = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(128), primary_key=True)


def _study() -> sa.Column[str]:
    return sa.Column("study", sa.String(63), primary_key=True)


def _text(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Words, nullable=nullable)


def _json(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=nullable)


def _time(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UtcTime, nullable=nullable)


def _big(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


#: One row: the number of the last transaction that took events. Raising it also lets one writer in at a time.
counter = sa.Table("study_counter", metadata, sa.Column("id", sa.Integer, primary_key=True), _big("number"))

model_runs = sa.Table(
    "model_runs",
    metadata,
    _study(),
    _key("model_run_id"),
    _text("source"),
    _text("state"),
    _json("spec", nullable=True),
    sa.Column("requested_trials", sa.Integer),
    sa.Column("completed_trials", sa.Integer, nullable=False),
    sa.Column("best_metric", sa.Double),
    _text("best_trial_id", nullable=True),
    _text("mlflow_experiment_id", nullable=True),
    _text("error_message", nullable=True),
    _json("metadata", nullable=True),
    _time("started_at", nullable=True),
    _time("finished_at", nullable=True),
    _flag("is_told"),  # by an event of its own, not by its trials alone
    _big("first"),
    _big("changed"),
    sa.Index(None, "changed"),
)

trials = sa.Table(
    "trials",
    metadata,
    _study(),
    _key("trial_id"),
    sa.Column("model_run_id", sa.String(128), nullable=False),
    _text("source"),
    _text("mode", nullable=True),
    _text("arm", nullable=True),
    sa.Column("pair", sa.Integer),
    _big("seed", nullable=True),
    _text("state"),
    _flag("spectral_norm"),
    _json("parameters"),
    _json("metrics"),
    _text("mlflow_run_id", nullable=True),
    _text("artifact_uri", nullable=True),
    _big("duration_ms", nullable=True),
    sa.Column("rank", sa.Integer),
    _json("warnings"),
    _text("candidate_id", nullable=True),
    _text("error_type", nullable=True),
    _text("error_message", nullable=True),
    _time("started_at", nullable=True),
    _time("finished_at", nullable=True),
    _flag("has_nan"),  # some metric was no number
    _big("first"),
    _big("changed"),
    sa.Index(None, "study", "model_run_id", "state"),
    sa.Index(None, "trial_id"),
    sa.Index(None, "mlflow_run_id"),
    sa.Index(None, "changed"),
)

trial_metrics = sa.Table(
    "trial_metrics",
    metadata,
    _study(),
    _key("trial_id"),
    sa.Column("metric", sa.String(200), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    _time("reported_at"),
    sa.Column("event_id", _ID, nullable=False),  # of two values for a step that of the later event counts
    _big("changed"),
    sa.Index(None, "changed", "study", "trial_id"),
    sqlite_with_rowid=False,
)

artifacts = sa.Table(
    "artifacts",
    metadata,
    _study(),
    _key("artifact_id"),
    sa.Column("model_run_id", sa.String(128), nullable=False),
    sa.Column("trial_id", sa.String(128)),
    _text("kind"),
    _text("uri"),
    sa.Column("checksum", sa.String(64), nullable=False),
    _big("bytes"),
    _text("media_type"),
    _text("status"),
    _time("created_at"),
    _time("told_at"),
    sa.Column("event_id", sa.String(128), nullable=False),
    _big("changed"),
    sa.Index(None, "study", "trial_id"),
    sa.Index(None, "changed"),
)

#: Every event that was applied. ``subject`` and ``payload`` are kept of those that a row is made of again.
events = sa.Table(
    "events",
    metadata,
    _key("event_id"),
    sa.Column("study", sa.String(63), nullable=False),
    _text("name"),
    sa.Column("subject", sa.String(140)),
    sa.Column("digest", sa.String(32), nullable=False),
    _text("source"),
    _text("correlation_id", nullable=True),
    _big("seq", nullable=True),
    _time("occurred_at"),
    _time("received_at"),
    _json("payload", nullable=True),
    sa.Index(None, "study", "subject"),
    sa.Index(None, "digest"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("letter_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    _text("reason"),
    _json("details"),
    sa.Column("event_id", sa.String(128)),
    _text("name", nullable=True),
    sa.Column("study", sa.String(63)),
    sa.Column("model_run_id", sa.String(128)),
    sa.Column("trial_id", sa.String(128)),
    sa.Column("digest", sa.String(32), nullable=False),
    _json("body", nullable=True),
    _time("received_at"),
    sa.Index(None, "event_id"),
    sa.Index(None, "digest"),
    sa.Index(None, "study", "trial_id"),
    sa.Index(None, "study", "model_run_id"),
    sqlite_autoincrement=True,
)
