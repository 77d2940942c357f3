"""What Alembic runs: the migrations, on the connection it was given."""

from __future__ import annotations

from alembic import context

from panic_assets.studies.events.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=SCHEMA.version_table,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
