"""DuckDB over the lake: a typed view for each table, in memory (`connect`) or in a file (`build_catalog`).

Here belong the views and nothing that computes. A view names the part files of the moment it was made, so it shows one
commit of each partition, whole, until `refresh`. The files it names outlive their commit by the grace period of
`Lake.remove_old`; whoever compacts or removes rebuilds the catalog file first. Paths in it are absolute, because DuckDB
would take relative ones from the client's working directory: build it anew after the data directory was moved.

Views beside the tables' own names:

* ``runs``: each run with its outcome, if it has one; ``runs_only`` is the bare table.
* ``image_index``: the pictures without their bytes.
* ``embeddings_<model>``: one embedding model with ``vector FLOAT[d]``; ``embeddings`` has all, as ``FLOAT[]``.
* ``trajectories``: embeddings with the run's network, prompt and seed, and the embedded output's model and text.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from panic_assets import paths
from panic_assets.lake.errors import LakeError
from panic_assets.lake.locks import locked
from panic_assets.lake.manifest import Manifest, Part
from panic_assets.lake.schemas import TABLES, TableSpec, table_spec
from panic_assets.lake.store import Lake

#: Seconds to wait for another process that is building the same catalog.
_BUILD_TIMEOUT = 300.0
_SETTINGS = ("panic_lake_root", "panic_lake_tables", "panic_lake_views")

_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.large_binary(): "BLOB",
    pa.binary(16): "BLOB",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}

#: Views made of others: name -> (tables that it wants, body, meaning).
_JOINED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "runs": (
        ("runs", "outcomes"),
        """SELECT r.*, o.stop_reason, o.length, o.transient_length, o.cycle_length, o.error
           FROM runs_only r LEFT JOIN outcomes o USING (experiment, run_number)""",
        "Every planned run, with its outcome if it has one.",
    ),
    "image_index": (("images",), "SELECT * EXCLUDE (image) FROM images", "The pictures without their bytes."),
    "trajectories": (
        ("embeddings", "invocations", "runs"),
        """SELECT e.experiment, e.run_number, e.sequence_number, e.embedding_model, e.space, e.modality,
                  r.network, r.prompt_number, r.prompt, r.seed, r.replicate, i.model, i.type,
                  CASE WHEN e.sequence_number = -1 THEN r.prompt ELSE i.text END AS text, i.image_hash, e.vector
           FROM embeddings e
           LEFT JOIN runs_only r USING (experiment, run_number)
           LEFT JOIN invocations i USING (experiment, run_number, sequence_number)""",
        "Embeddings with what was embedded, and the run that it belongs to.",
    ),
}


def connect(root: Path | str | None = None, tables: Iterable[str] | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection in memory, with views over the lake as it is now; never blocks a writer, nor waits for one.

    ``root`` is the lake's folder, by default the data directory's. ``tables`` makes only these (and the joined views
    that they suffice for), which is faster where there are very many partitions. Tables without data are there, empty.

    Raises:
        LakeError: an unknown table.
        CorruptPart: a damaged manifest.
    """
    lake = _lake(root)
    connection = duckdb.connect()
    names = list(TABLES) if tables is None else [table_spec(name).name for name in tables]
    _set(connection, str(lake.root), ",".join(names), "")
    refresh(connection)
    return connection


def tables_read_by(query: str) -> list[str]:
    """The tables that `connect` need show for a query to find its views; not for views of one embedding model."""
    words = set(re.findall(r"\w+", query))
    views: dict[str, tuple[str, ...]] = {"runs_only" if name == "runs" else name: (name,) for name in TABLES}
    views |= {name: wanted for name, (wanted, _, _) in _JOINED.items()}
    read = {table for view in words & views.keys() for table in views[view]}
    return [name for name in TABLES if name in read]


def connect_to(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection in memory with all views over the parts that ``lake`` tells of, which may be some of those there.

    It can't be refreshed.
    """
    connection = duckdb.connect()
    for name, (body, _) in _views(lake, list(TABLES)):
        connection.execute(f"CREATE VIEW {_quoted(name)} AS {body}")
    return connection


def refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Show the lake as it is now in a connection that `connect` made; all views change at once.

    Raises:
        LakeError: the connection was not made by `connect`.
    """
    root, names, old = (connection.execute(f"SELECT getvariable('{name}')").fetchall()[0][0] for name in _SETTINGS)
    if root is None:
        raise LakeError("this connection was not made by panic_assets.lake.connect; open a new one")
    views = dict(_views(Lake(root), names.split(",") if names else []))
    connection.execute("BEGIN")
    for name in reversed(old.split(",") if old else []):
        connection.execute(f"DROP VIEW IF EXISTS {_quoted(name)}")
    for name, (body, _) in views.items():
        connection.execute(f"CREATE VIEW {_quoted(name)} AS {body}")
    connection.execute("COMMIT")
    _set(connection, root, names, ",".join(views))


def build_catalog(root: Path | str | None = None, path: Path | str | None = None) -> Path:
    """Write a DuckDB file with the views over the lake as it is now, and put it in place atomically; give its path.

    Clients that have the old file open keep it; who opens it anew gets the new one. Nobody opens it for writing.
    Every view and column carries its meaning as a comment.

    Raises:
        PartitionLocked: another process has been building it for minutes.
    """
    lake = _lake(root)
    target = Path(path).absolute() if path is not None else _catalog_path(root, lake)
    target.parent.mkdir(parents=True, exist_ok=True)
    # In turn, so that the last one in place was also the last to look at the lake.
    with locked(target.with_name(f".{target.name}.lock"), _BUILD_TIMEOUT):
        aside = target.with_name(f".{target.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with closing(duckdb.connect(str(aside))) as connection:
                connection.execute("BEGIN")
                for name, (body, meaning) in _views(lake, list(TABLES)):
                    connection.execute(f"CREATE VIEW {_quoted(name)} AS {body}")
                    connection.execute(f"COMMENT ON VIEW {_quoted(name)} IS {_literal(meaning)}")
                    _comment_columns(connection, name)
                connection.execute("COMMIT")
                connection.execute("CHECKPOINT")
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)
            aside.with_name(aside.name + ".wal").unlink(missing_ok=True)
    return target


def view_meanings(root: Path | str | None = None) -> dict[str, str]:
    """What each view of `connect` holds, in a sentence; in the order of the tables.

    Raises:
        CorruptPart: a damaged manifest.
    """
    return {name: meaning for name, (_, meaning) in _views(_lake(root), list(TABLES))}


def _lake(root: Path | str | None) -> Lake:
    return Lake.open() if root is None else Lake(root)


def _catalog_path(root: Path | str | None, lake: Lake) -> Path:
    """Beside the lake's folder, as in the data directory."""
    return paths.catalog_path() if root is None else lake.root.parent / paths.catalog_path().name


def _set(connection: duckdb.DuckDBPyConnection, *values: str) -> None:
    for name, value in zip(_SETTINGS, values, strict=True):
        connection.execute(f"SET VARIABLE {name} = {_literal(value)}")


def _views(lake: Lake, names: list[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """(name, (body, meaning)) of every view, each after those that it builds on."""
    for name in names:
        spec = TABLES[name]
        manifests = lake.manifests(name)
        own = "runs_only" if name == "runs" else name
        parts = [(folder, part) for folder, manifest in manifests for part in manifest.parts]
        yield own, (_body(spec, parts), spec.meaning)
        if spec.vector:
            for view, body in _by_model(spec, manifests):
                yield view, (body, f"{spec.meaning} One embedding model.")
    for name, (wanted, body, meaning) in _JOINED.items():
        if set(wanted) <= set(names):
            yield name, (body, meaning)


def _by_model(spec: TableSpec, manifests: list[tuple[Path, Manifest]]) -> Iterator[tuple[str, str]]:
    """A view for each embedding model, and for each dimension where a model has several."""
    groups: dict[tuple[str, int], list[tuple[Path, Part]]] = {}
    for folder, manifest in manifests:
        for part in manifest.parts:
            if part.dimension:
                groups.setdefault((part.labels[spec.labels[0]], part.dimension), []).append((folder, part))
    taken: set[str] = set()
    models = [model for model, _ in groups]
    for (model, dimension), parts in sorted(groups.items(), key=lambda item: item[0]):
        suffix = f"_{dimension}" if models.count(model) > 1 else ""
        plain = f"{spec.name}_{re.sub(r'[^a-z0-9]+', '_', model.lower()).strip('_')}{suffix}"
        name, number = plain, 2
        while name in taken:  # two models whose names differ in signs alone
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        yield name, _body(spec, parts, dimension)


def _body(spec: TableSpec, parts: list[tuple[Path, Part]], dimension: int | None = None) -> str:
    kinds = {column.name: _sql_type(column.type) for column in spec.columns}
    if dimension is not None:
        kinds[str(spec.vector)] = f"FLOAT[{dimension}]"
    typed = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in kinds.items())
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in kinds.items())
    if not parts:
        return f"SELECT {empty} WHERE false"
    files = ", ".join(_literal(_no_pattern(str(folder / part.file))) for folder, part in parts)
    if all(part.schema_version == spec.schema_version for _, part in parts):
        # All files have the same columns: DuckDB then looks at the first one only.
        return f"SELECT {typed} FROM read_parquet([{files}], hive_partitioning = false)"
    source = f"SELECT * FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
    return f"SELECT {typed} FROM ({source} UNION ALL BY NAME SELECT {empty} WHERE false)"


def _sql_type(kind: pa.DataType) -> str:
    return f"{_sql_type(kind.value_type)}[]" if pa.types.is_list(kind) else _TYPES[kind]


def _comment_columns(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    names = [row[0] for row in connection.execute(f"DESCRIBE {_quoted(view)}").fetchall()]
    own = next((spec for spec in TABLES.values() if spec.name == view or view.startswith(f"{spec.name}_")), None)
    preferred = [own] if own else []
    for name in names:
        for spec in (*preferred, *TABLES.values()):
            if name in spec.names:
                column = spec.column(name)
                text = f"{column.meaning} [{column.unit}]" if column.unit else column.meaning
                connection.execute(f"COMMENT ON COLUMN {_quoted(view)}.{_quoted(name)} IS {_literal(text)}")
                break


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _no_pattern(path: str) -> str:
    """The path with the signs that DuckDB would expand put in brackets, in which they mean themselves."""
    return re.sub(r"[\[*?]", lambda sign: f"[{sign.group()}]", path)
