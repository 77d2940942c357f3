"""SQL questions to the lake: a connection that can read it and write nothing, and the rules of what may be asked.

Here belongs what keeps a question from writing; how answers are printed is in ``rows_words``. Two walls, since neither
is enough: DuckDB may open files of the lake alone and its settings are locked, but files of the lake it could
overwrite by COPY; so only statements that are queries are let through.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from panic_assets.errors import PanicError
from panic_assets.lake import connect

_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_EXPLAIN = re.compile(r"\s*explain\s*(analyze\s+|\([^)]*\)\s*)?", re.IGNORECASE)
#: PIVOT is taken apart into several statements, as are its copies into files.
_PIVOT = re.compile(r"\s*(pivot|pivot_wider|unpivot|from|select|with)\b", re.IGNORECASE)
_CHUNK = 1000  # rows


class SqlError(PanicError):
    """A question that can't be answered, in DuckDB's words, or that is none."""


@dataclass(frozen=True)
class Answer:
    """Names of columns, and rows as they come."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def read_only(root: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A connection with the views of the lake, that opens files of the lake alone and keeps its settings.

    Raises:
        CorruptPart: a damaged manifest.
    """
    from panic_assets.paths import lake_dir

    place = (root or lake_dir()).absolute()
    connection = connect(place)
    allowed = str(place).replace("'", "''")
    aside = str(Path(tempfile.gettempdir()) / "panic-sql").replace("'", "''")
    for setting in (
        f"temp_directory = '{aside}'",
        f"allowed_directories = ['{allowed}']",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def statements(connection: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """The queries of a text, one after the other.

    Raises:
        SqlError: it is no SQL, holds no query, or something that is more than a query.
    """
    try:
        found = connection.extract_statements(text)
    except duckdb.Error as error:
        raise SqlError(_words(error)) from None
    for statement in found:
        if not _is_query(connection, statement):
            kind = str(statement.type).rpartition(".")[2]
            raise SqlError(
                f"only queries are answered here, and this is a {kind} statement: "
                "SELECT, FROM, WITH, PIVOT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN read, all else may write. "
                "For files there are --csv, --json and --parquet"
            )
    if not found:
        raise SqlError("there is no query; write one, such as FROM runs LIMIT 5")
    return [statement.query for statement in found]


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> Answer:
    """The answer to one query that `statements` let through.

    Raises:
        SqlError: what DuckDB says; rows that come later may raise it, too.
    """
    try:
        answered = connection.execute(query)
    except duckdb.Error as error:
        raise SqlError(_words(error)) from None
    columns = tuple(column[0] for column in answered.description or ())
    return Answer(columns, _rows(answered))


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write the answer to a query into a Parquet file, whole or not at all; give the number of rows.

    Raises:
        SqlError: what DuckDB says, or the file can't be written.
    """
    import pyarrow.parquet as pq

    aside = path.with_name(f".{path.name}.part")
    try:
        reader = connection.sql(query).to_arrow_reader()
        count = 0
        with pq.ParquetWriter(aside, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
                count += batch.num_rows
        aside.replace(path)
    except duckdb.Error as error:
        raise SqlError(_words(error)) from None
    except OSError as error:
        raise SqlError(f"{path} can't be written: {error}") from None
    finally:
        aside.unlink(missing_ok=True)
    return count


def _is_query(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> bool:
    if statement.type == duckdb.StatementType.EXPLAIN:
        explained = _EXPLAIN.sub("", statement.query, count=1)
        inner = connection.extract_statements(explained)
        return len(inner) == 1 and inner[0].type == duckdb.StatementType.SELECT
    if statement.type == duckdb.StatementType.MULTI:
        return _PIVOT.match(statement.query) is not None
    return statement.type in _QUERIES


def _rows(answered: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := answered.fetchmany(_CHUNK):
            yield from rows
    except duckdb.Error as error:
        raise SqlError(_words(error)) from None


def _words(error: duckdb.Error) -> str:
    """What DuckDB says, with its suggestion and the place in the query, without its stack."""
    return str(error).partition("\n\nStack Trace")[0].strip()
