"""The migrations make the tables that the code has, and rows have the columns that they are said to have."""

from __future__ import annotations

from dataclasses import fields

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from panic_assets.live.store import LiveStoreError
from panic_assets.studies.events.rows import ArtifactRow, MetricRow, ModelRunRow, TrialRow
from panic_assets.studies.events.store import EventStore, open_store
from panic_assets.studies.events.tables import (
    SCHEMA,
    artifacts,
    dead_letters,
    events,
    metadata,
    model_runs,
    trial_metrics,
    trials,
)
from panic_assets_tests.studies.events.parts import KINDS, opened


@pytest.mark.parametrize("kind", KINDS)
def test_the_migrations_make_the_tables_of_the_code(kind, tmp_path):
    with opened(tmp_path, kind) as store, sa.create_engine(store.url).connect() as connection:
        options = {"version_table": SCHEMA.version_table, "compare_type": kind != "sqlite"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        store.migrate()


@pytest.mark.parametrize(
    ("record", "table"),
    [(ModelRunRow, model_runs), (TrialRow, trials), (MetricRow, trial_metrics), (ArtifactRow, artifacts)],
)
def test_a_row_has_the_columns_of_its_table(record, table):
    assert {field.name for field in fields(record)} <= set(table.c.keys())


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    store = EventStore(f"sqlite:///{tmp_path}/events.db")
    store.migrate()
    with sa.create_engine(store.url).begin() as connection:
        connection.execute(sa.text(f"UPDATE {SCHEMA.version_table} SET version_num = '9999'"))
    with pytest.raises(LiveStoreError, match=r"the event store .* was made by a newer version"):
        store.migrate()
    store.close()


def test_the_store_of_this_data_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("PANIC_EVENTS_URL", raising=False)
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))
    store = open_store()
    assert store.path == tmp_path / "training" / "events.db"
    assert store.path.stat().st_mode & 0o077 == 0
    store.close()
    monkeypatch.setenv("PANIC_EVENTS_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    store = open_store()
    assert store.path == tmp_path / "elsewhere.db"
    assert {table.name for table in (events, dead_letters)} <= set(
        sa.inspect(sa.create_engine(store.url)).get_table_names()
    )
    store.close()
