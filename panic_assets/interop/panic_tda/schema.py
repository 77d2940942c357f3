"""Which layout a database has: era, variant, and what its tables and columns are called.

Everything is read off tables and columns, never off the name of the file or the number of a migration; that number only
names the variant. Reading rows belongs to ``source``.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from types import MappingProxyType

from panic_assets.errors import PanicError
from panic_assets.interop.panic_tda.records import Era

_LAST_MIGRATION = 20260519233115
TABLES: dict[Era, dict[str, str]] = {
    "python": {
        "experiments": "experimentconfig",
        "runs": "run",
        "invocations": "invocation",
        "embeddings": "embedding",
        "diagrams": "persistencediagram",
        "clusterings": "clusteringresult",
        "assignments": "embeddingcluster",
        "clusters": "cluster",
    },
    "elixir": {
        "experiments": "experiments",
        "runs": "runs",
        "invocations": "invocations",
        "embeddings": "embeddings",
        "diagrams": "persistence_diagrams",
        "clusterings": "clustering_results",
        "assignments": "embedding_clusters",
        "exponents": "lyapunov_results",
    },
}
_WORKED = {"id", "started_at", "completed_at"}
# What a table must have to be read at all; other tables may be absent, and other columns too.
_REQUIRED = {
    "experiments": {"id", "prompts", "embedding_models", "max_length"},
    "runs": {"id", "network", "max_length", "initial_prompt", "experiment_id"},
    "invocations": {*_WORKED, "model", "type", "run_id", "sequence_number", "input_invocation_id", "output_text"},
    "embeddings": {*_WORKED, "invocation_id", "embedding_model", "vector"},
    "diagrams": {*_WORKED, "diagram_data", "run_id", "embedding_model"},
    "clusterings": {"id", "embedding_model", "algorithm", "parameters"},
    "assignments": {"id", "embedding_id", "clustering_result_id"},
    "clusters": {"id", "cluster_id", "medoid_embedding_id"},
    "exponents": {*_WORKED, "experiment_id", "network", "prompt", "embedding_model", "lyapunov_data"},
}
_CORE = ("experiments", "runs", "invocations")


class SourceError(PanicError):
    """A file that can't be read as a PANIC-TDA database."""


@dataclass(frozen=True)
class Table:
    """One table: its name, its columns, those that are the first of an index, and those that default to now."""

    name: str
    columns: frozenset[str]
    indexed: frozenset[str]
    default_now: frozenset[str]


@dataclass(frozen=True)
class Layout:
    """A recognised layout; ``tables`` by what they hold, such as runs, as far as there are any."""

    era: Era
    variant: str
    tables: MappingProxyType[str, Table] = field(default_factory=lambda: MappingProxyType({}))


def recognise(connection: sqlite3.Connection, where: str) -> Layout:
    """The layout of a database; ``where`` names it in errors.

    Raises:
        SourceError: it is no PANIC-TDA database, with what was found instead.
        sqlite3.DatabaseError: its schema can't be read.
    """
    listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    names = [str(name) for (name,) in listed if not str(name).startswith("sqlite_")]
    for era, called in TABLES.items():
        if all(called[holds] in names for holds in _CORE):
            tables = {holds: _table(connection, name) for holds, name in called.items() if name in names}
            _complete(tables, where)
            variant = (
                _python_variant(connection, names, tables) if era == "python" else _elixir_variant(connection, names)
            )
            return Layout(era, variant, MappingProxyType(tables))
    wanted = " or ".join(", ".join(called[holds] for holds in _CORE) for called in TABLES.values())
    found = ", ".join(names) if names else "none at all"
    raise SourceError(
        f"{where} is no PANIC-TDA database: it needs the tables {wanted}; found: {found}. Name another file."
    )


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
    indexed = set()
    for index in connection.execute(f'PRAGMA index_list("{name}")').fetchall():
        parts = connection.execute(f'PRAGMA index_info("{index[1]}")').fetchall()
        # An index on an expression has no column; one with a condition does not hold all rows.
        if parts and parts[0][2] is not None and not index[4]:
            indexed.add(str(parts[0][2]))
    now = {str(column[1]) for column in columns if "now" in str(column[4] or "")}
    return Table(name, frozenset(str(column[1]) for column in columns), frozenset(indexed), frozenset(now))


def _complete(tables: dict[str, Table], where: str) -> None:
    for holds, table in tables.items():
        missing = sorted(_REQUIRED[holds] - table.columns)
        if holds == "experiments" and not table.columns & {"network", "networks"}:
            missing.append("networks")
        if missing:
            raise SourceError(
                f"{where} is no PANIC-TDA database: its table {table.name} lacks {', '.join(missing)}. "
                "Name another file."
            )


def _python_variant(connection: sqlite3.Connection, names: list[str], tables: dict[str, Table]) -> str:
    if "alembic_version" in names:
        stamped = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        return " ".join(["migrated", *(str(version) for (version,) in stamped)])
    clusterings = tables["clusterings"].columns if "clusterings" in tables else frozenset()
    if "experiment_id" in clusterings:
        return "created, clusterings by experiment"
    if "clusters" in tables:
        return "created, with table cluster"
    return "created, with clusters as JSON" if "clusters" in clusterings else "created"


def _elixir_variant(connection: sqlite3.Connection, names: list[str]) -> str:
    if "schema_migrations" not in names:
        return "unversioned"
    last = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()[0]
    return f"final {last}" if last == _LAST_MIGRATION else f"migration {last}"
