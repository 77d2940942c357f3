"""The tables of the live store, with the rules that the database itself keeps.

Here belong columns, keys and constraints. A change here needs a migration beside it; a test compares the two.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.columns import Dollars, UtcTime, Words

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(22), primary_key=True)


def _refers(name: str, to: str, gone: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(22), sa.ForeignKey(to, ondelete=gone), nullable=nullable)


def _time(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, UtcTime, nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Words, nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)


users = sa.Table(
    "users",
    metadata,
    _id(),
    sa.Column("email", Words, nullable=False, unique=True),
    _text("password_hash"),
    _flag("is_admin"),
    _time("created_at"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("token_hash", Words, primary_key=True),
    _refers("user_id", "users.id", "CASCADE"),
    _text("agent"),
    _time("created_at"),
    _time("expires_at"),
    sa.Index(None, "user_id"),
    sa.Index(None, "expires_at"),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    _id(),
    _refers("user_id", "users.id", "CASCADE"),
    _text("name"),
    sa.Column("token_hash", Words, nullable=False, unique=True),
    _json("scopes"),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("last_used_at", nullable=True),
    _time("revoked_at", nullable=True),
    sa.Index(None, "user_id"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("key", Words, primary_key=True),
    sa.Column("window_seconds", sa.Integer, primary_key=True, autoincrement=False),
    _count("number"),
    _time("until"),
    sa.Index(None, "until"),
)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    # SQLite counts by itself only in a column that is INTEGER to the letter.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    _time("at"),
    _text("actor"),
    _text("action"),
    _text("target"),
    _json("details"),
    sqlite_autoincrement=True,
)

platform_secrets = sa.Table(
    "platform_secrets",
    metadata,
    sa.Column("name", Words, primary_key=True),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    _time("updated_at"),
)

networks = sa.Table(
    "networks",
    metadata,
    _id(),
    _text("name"),
    _text("description"),
    _json("models"),
    sa.Column("lockout_seconds", sa.Double, nullable=False),
    _json("pacing"),
    _json("limits"),
    _json("on_error"),
    _flag("is_public"),
    _refers("owner_id", "users.id", "SET NULL", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    sa.Index(None, "owner_id"),
)

runs = sa.Table(
    "runs",
    metadata,
    _id(),
    _refers("network_id", "networks.id", "CASCADE"),
    _count("number"),
    _text("prompt"),
    _text("started_by"),
    _json("models"),
    sa.Column("state", sa.String(7), nullable=False),
    sa.Column("end_reason", sa.String(16)),
    _text("error", nullable=True),
    _time("lockout_until"),
    _count("completed"),
    _count("failed"),
    sa.Column("cost", Dollars, nullable=False),
    _time("started_at"),
    _time("ended_at", nullable=True),
    sa.UniqueConstraint("network_id", "number"),
    sa.CheckConstraint(
        "(state = 'running' AND end_reason IS NULL AND ended_at IS NULL)"
        " OR (state = 'ended' AND end_reason IS NOT NULL AND ended_at IS NOT NULL)",
        name="state",
    ),
    sa.Index(
        "one_running_run_per_network",
        "network_id",
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    ),
)

invocations = sa.Table(
    "invocations",
    metadata,
    _id(),
    _refers("run_id", "runs.id", "CASCADE"),
    _refers("network_id", "networks.id", "CASCADE"),
    _count("sequence_number"),
    _text("model"),
    sa.Column("state", sa.String(9), nullable=False),
    sa.Column("input_medium", sa.String(5), nullable=False),
    _text("input_text", nullable=True),
    _text("input_key", nullable=True),
    sa.Column("output_medium", sa.String(5), nullable=False),
    _text("output_text", nullable=True),
    _text("output_key", nullable=True),
    _count("attempts"),
    _text("upstream_id", nullable=True),
    sa.Column("latency_seconds", sa.Double),
    sa.Column("seed", sa.BigInteger),
    sa.Column("cost", Dollars),
    sa.Column("error_kind", sa.String(16)),
    _text("error", nullable=True),
    _time("created_at"),
    _time("started_at", nullable=True),
    _time("completed_at", nullable=True),
    sa.UniqueConstraint("run_id", "sequence_number"),
    sa.CheckConstraint("state IN ('ready', 'invoking', 'completed', 'failed')", name="state"),
    sa.CheckConstraint("(input_text IS NULL) <> (input_key IS NULL)", name="one_input"),
    sa.CheckConstraint("state <> 'completed' OR (output_text IS NULL) <> (output_key IS NULL)", name="one_output"),
    sa.CheckConstraint("(state IN ('completed', 'failed')) = (completed_at IS NOT NULL)", name="completed_at"),
    sa.Index(None, "network_id"),
    sa.Index(
        "open_invocations",
        "state",
        sqlite_where=sa.text("state = 'invoking'"),
        postgresql_where=sa.text("state = 'invoking'"),
    ),
)

media = sa.Table(
    "media",
    metadata,
    sa.Column("key", Words, primary_key=True),
    sa.Column("medium", sa.String(5), nullable=False),
    _text("media_type"),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("byte_size", sa.BigInteger, nullable=False),
    sa.Column("original_sha256", sa.String(64), nullable=False),
    sa.Column("original_bytes", sa.BigInteger, nullable=False),
    _text("original_type"),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("seconds", sa.Double),
)

installations = sa.Table(
    "installations",
    metadata,
    _id(),
    _text("name"),
    _refers("network_id", "networks.id", "RESTRICT"),
    _json("watchers"),
    _flag("is_public"),
    _refers("owner_id", "users.id", "SET NULL", nullable=True),
    _time("created_at"),
    _time("updated_at"),
    sa.Index(None, "network_id"),
    sa.Index(None, "owner_id"),
)

#: Spelled out, not bound: only so do the indexes above serve them.
is_running = runs.c.state == sa.literal_column("'running'")
is_invoking = invocations.c.state == sa.literal_column("'invoking'")
