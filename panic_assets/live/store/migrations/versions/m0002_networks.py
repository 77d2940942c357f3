"""Networks, their runs and invocations, media, installations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "networks",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("lockout_seconds", sa.Double, nullable=False),
        sa.Column("pacing", sa.JSON, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("on_error", sa.JSON, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("owner_id", sa.String(22)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_networks")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_networks_owner_id"), ondelete="SET NULL"),
    )
    op.create_index(op.f("ix_networks_owner_id"), "networks", ["owner_id"])
    _runs()
    _invocations()
    op.create_table(
        "media",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("medium", sa.String(5), nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("byte_size", sa.BigInteger, nullable=False),
        sa.Column("original_sha256", sa.String(64), nullable=False),
        sa.Column("original_bytes", sa.BigInteger, nullable=False),
        sa.Column("original_type", sa.Text, nullable=False),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("seconds", sa.Double),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_media")),
    )
    op.create_table(
        "installations",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("network_id", sa.String(22), nullable=False),
        sa.Column("watchers", sa.JSON, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("owner_id", sa.String(22)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installations")),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name=op.f("fk_installations_network_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_installations_owner_id"), ondelete="SET NULL"
        ),
    )
    op.create_index(op.f("ix_installations_network_id"), "installations", ["network_id"])
    op.create_index(op.f("ix_installations_owner_id"), "installations", ["owner_id"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("network_id", sa.String(22), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("state", sa.String(7), nullable=False),
        sa.Column("end_reason", sa.String(16)),
        sa.Column("error", sa.Text),
        sa.Column("lockout_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_runs_network_id"), ondelete="CASCADE"),
        sa.UniqueConstraint("network_id", "number", name=op.f("uq_runs_network_id_number")),
        sa.CheckConstraint(
            "(state = 'running' AND end_reason IS NULL AND ended_at IS NULL)"
            " OR (state = 'ended' AND end_reason IS NOT NULL AND ended_at IS NOT NULL)",
            name=op.f("ck_runs_state"),
        ),
    )
    op.create_index(
        "one_running_run_per_network",
        "runs",
        ["network_id"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )


def _invocations() -> None:
    op.create_table(
        "invocations",
        sa.Column("id", sa.String(22), nullable=False),
        sa.Column("run_id", sa.String(22), nullable=False),
        sa.Column("network_id", sa.String(22), nullable=False),
        sa.Column("sequence_number", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("input_medium", sa.String(5), nullable=False),
        sa.Column("input_text", sa.Text),
        sa.Column("input_key", sa.Text),
        sa.Column("output_medium", sa.String(5), nullable=False),
        sa.Column("output_text", sa.Text),
        sa.Column("output_key", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("upstream_id", sa.Text),
        sa.Column("latency_seconds", sa.Double),
        sa.Column("seed", sa.BigInteger),
        sa.Column("cost", sa.BigInteger),
        sa.Column("error_kind", sa.String(16)),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invocations")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_invocations_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["network_id"], ["networks.id"], name=op.f("fk_invocations_network_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("run_id", "sequence_number", name=op.f("uq_invocations_run_id_sequence_number")),
        sa.CheckConstraint("state IN ('ready', 'invoking', 'completed', 'failed')", name=op.f("ck_invocations_state")),
        sa.CheckConstraint("(input_text IS NULL) <> (input_key IS NULL)", name=op.f("ck_invocations_one_input")),
        sa.CheckConstraint(
            "state <> 'completed' OR (output_text IS NULL) <> (output_key IS NULL)",
            name=op.f("ck_invocations_one_output"),
        ),
        sa.CheckConstraint(
            "(state IN ('completed', 'failed')) = (completed_at IS NOT NULL)",
            name=op.f("ck_invocations_completed_at"),
        ),
    )
    op.create_index(op.f("ix_invocations_network_id"), "invocations", ["network_id"])
    op.create_index(
        "open_invocations",
        "invocations",
        ["state"],
        sqlite_where=sa.text("state = 'invoking'"),
        postgresql_where=sa.text("state = 'invoking'"),
    )
