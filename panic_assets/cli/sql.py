"""``panic sql``: questions to the lake from the shell, from a pipe, from a file, and at a prompt.

Here belong arguments, formats and the prompt. What may be asked, and how, is in ``reports.asking``.
"""

from __future__ import annotations

import csv
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, print_json
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    import duckdb

_ROWS = 200  # that a table shows
_PROMPT, _MORE = "panic> ", "  ...> "


def sql(
    query: Annotated[str | None, typer.Argument(help="SQL, such as 'FROM runs LIMIT 5'.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the query from this file.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, all rows.")] = False,
    as_json: AsJson = False,
    parquet: Annotated[Path | None, typer.Option(help="Write a Parquet file, all rows.")] = None,
) -> None:
    """Ask the lake in SQL (DuckDB); it can't write.

    Without a query it is read from a pipe; on a terminal, the views and what they hold are listed, and a prompt follows
    that Ctrl-D ends.

    Examples: panic sql "FROM runs LIMIT 5", panic sql --csv "SELECT text FROM invocations" > texts.csv
    """
    from panic_assets.reports.asking import read_only

    if sum([as_csv, as_json, parquet is not None]) > 1:
        raise typer.BadParameter("give one of --csv, --json and --parquet")
    if query is not None and file is not None:
        raise typer.BadParameter("give a query or --file, not both")
    text = query if query is not None else _read(file)
    with closing(read_only()) as connection:
        if text is None:
            _views(as_json)
            if not as_json:
                _converse(connection)
        else:
            _answer(connection, text, as_csv, as_json, parquet)


def _read(file: Path | None) -> str | None:
    """The query of a file or a pipe; None at a terminal."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PanicError(f"{file} can't be read: {error}") from None
    return None if sys.stdin.isatty() else sys.stdin.read()


def _answer(
    connection: duckdb.DuckDBPyConnection, text: str, as_csv: bool, as_json: bool, parquet: Path | None
) -> None:
    from panic_assets.reports.asking import SqlError, ask, statements, write_parquet

    queries = statements(connection, text)
    if len(queries) > 1 and (as_csv or as_json or parquet is not None):
        raise SqlError(f"these are {len(queries)} queries; give one, as its answer is one file")
    if parquet is not None:
        print(f"{parquet}: {write_parquet(connection, queries[0], parquet)} rows", file=sys.stderr)
        return
    if not as_csv and not as_json:
        for query in queries:
            _print_table(connection, query)
        return
    answer = ask(connection, queries[0])
    if as_json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([value.hex() if isinstance(value, bytes) else value for value in row] for row in answer.rows)


def _print_table(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    from panic_assets.reports.asking import ask
    from panic_assets.reports.console import console
    from panic_assets.reports.rows_words import print_rows

    answer = ask(connection, query)
    rows = list(islice(answer.rows, _ROWS))
    print_rows(answer.columns, rows, console())
    if next(answer.rows, None) is not None:
        print(f"These are the first {_ROWS} rows; --csv, --json and --parquet give all.", file=sys.stderr)


def _views(as_json: bool) -> None:
    """The views and what they hold."""
    from panic_assets.lake.catalog import view_meanings
    from panic_assets.reports.console import console
    from panic_assets.reports.inspection_words import print_facts

    meanings = view_meanings()
    if as_json:
        print_json(meanings)
    else:
        print_facts(console(), meanings)


def _converse(connection: duckdb.DuckDBPyConnection) -> None:
    """A prompt with a history. Each question sees the lake as it is then."""
    import readline

    from panic_assets.lake import refresh

    history = paths.cache_dir() / "sql_history"
    history.parent.mkdir(parents=True, exist_ok=True)
    if history.exists():
        readline.read_history_file(history)
    readline.set_history_length(1000)
    print("\nA query ends with a semicolon; DESCRIBE runs; tells the columns of a view. Ctrl-D ends.")
    lines: list[str] = []
    try:
        while True:
            try:
                lines.append(input(_MORE if lines else _PROMPT))
            except KeyboardInterrupt:
                lines = []
                print()
                continue
            text = "\n".join(lines).strip()
            if text and not text.endswith(";"):
                continue
            lines = []
            if text:
                try:
                    refresh(connection)
                    _answer(connection, text, False, False, None)
                except PanicError as error:
                    print(f"error: {error}", file=sys.stderr)
                except KeyboardInterrupt:
                    print("interrupted", file=sys.stderr)
    except EOFError:
        print()
    finally:
        readline.write_history_file(history)
