"""What Alembic runs: the migrations, on the connection it was given."""

from __future__ import annotations

from alembic import context

from panic_assets.live.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can't change most columns in place; it can undo a half-made table, which Alembic does not expect of it.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
