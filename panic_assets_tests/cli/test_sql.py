"""``panic sql``: what it answers and in which form, and that nothing can be written through it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.reports.asking import SqlError, ask, read_only, statements
from panic_assets_tests.cli.parts import Shell, document, typed


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_table(data: Path) -> None:
    shown = typed("sql", "SELECT run_number, stop_reason FROM runs WHERE experiment = 'smoke' ORDER BY ALL")
    assert [line.split() for line in shown.splitlines()] == [
        ["run_number", "stop_reason"],
        ["0", "length"],
        ["1", "length"],
    ]


def test_many_columns_are_shown_one_a_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = typed("sql", "FROM runs WHERE experiment = 'smoke' AND run_number = 0").splitlines()
    assert shown[0] == "row 1"
    assert max(map(len, shown)) <= 80
    assert any(line.split()[:1] == ["run_id"] and len(line.split()[1]) == 32 for line in shown)


def test_several_queries_one_after_the_other(data: Path) -> None:
    assert typed("sql", "SELECT 1 AS a; SELECT 2 AS b").split() == ["a", "1", "b", "2"]
    with pytest.raises(SqlError, match="these are 2 queries; give one"):
        typed("sql", "--csv", "SELECT 1; SELECT 2")


def test_the_forms_hold_the_same_rows(data: Path, tmp_path: Path) -> None:
    query = "SELECT run_number, run_id, prompt, max_length / 3 AS third FROM runs WHERE experiment = 'smoke' ORDER BY 1"
    told = document("sql", query)
    rows = list(csv.DictReader(io.StringIO(typed("sql", "--csv", query))))
    assert rows == [{name: str(value) for name, value in row.items()} for row in told]
    assert typed("sql", "--parquet", str(tmp_path / "x.parquet"), query) == ""
    table = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert [row | {"run_id": row["run_id"].hex()} for row in table] == told
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert CliRunner().invoke(cli.app, ["sql", "--csv", "--json", query]).exit_code == 2


def test_values_of_all_kinds_are_json(data: Path) -> None:
    query = (
        "SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, DATE '2026-01-02' AS d, 'nan'::DOUBLE AS n, "
        "NULL AS nothing, 1.5::DECIMAL(4, 2) AS m, [1, 2] AS l, {'a': 1} AS s, '\\xAB'::BLOB AS b, sum(1)::HUGEINT AS h"
    )
    (row,) = document("sql", query)
    assert row["t"].startswith("2026-01-02T")
    assert row | {"t": ""} == {
        "t": "", "d": "2026-01-02", "n": None, "nothing": None, "m": 1.5, "l": [1, 2], "s": {"a": 1}, "b": "ab", "h": 1,
    }  # fmt: skip


def test_a_long_answer_is_cut_and_says_so(data: Path) -> None:
    result = CliRunner().invoke(cli.app, ["sql", "SELECT range AS n FROM range(1000)"])
    assert len(result.stdout.splitlines()) == 201
    assert "first 200 rows; --csv, --json and --parquet give all" in result.stderr
    assert len(document("sql", "SELECT range AS n FROM range(1000)")) == 1000


def test_the_query_comes_from_a_pipe_or_a_file(data: Path, tmp_path: Path) -> None:
    piped = CliRunner().invoke(cli.app, ["sql", "--csv"], input="SELECT 40 + 2 AS n")
    assert piped.stdout == "n\n42\n"
    (tmp_path / "query.sql").write_text("-- a question\nSELECT 7 AS n;\n")
    assert typed("sql", "--csv", "-f", str(tmp_path / "query.sql")) == "n\n7\n"
    assert CliRunner().invoke(cli.app, ["sql", "-f", "x", "SELECT 1"]).exit_code == 2


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("FROM rnus", 'Did you mean "runs"'),
        ("SELECT runs_number FROM runs", "run_number"),
        ("SELCT 1", "syntax error"),
        ("  -- nothing", "there is no query"),
        ("SELECT error('no') FROM range(1)", "no"),
    ],
)
def test_errors_are_those_of_duckdb_with_its_suggestion(query: str, told: str, data: Path) -> None:
    with pytest.raises(SqlError) as caught:
        typed("sql", query)
    assert told in str(caught.value)
    assert "Stack" not in str(caught.value)


WRITES = [
    "COPY runs TO '{lake}/a.parquet'",
    "COPY (PIVOT runs ON network) TO '{lake}/a.parquet'",
    "EXPLAIN ANALYZE COPY runs TO '{lake}/a.parquet'",
    "EXPLAIN (ANALYZE) COPY runs TO '{lake}/a.parquet'",
    "ATTACH '{lake}/a.duckdb' AS a",
    "ATTACH '{other}/a.duckdb' AS a",
    "EXPORT DATABASE '{other}/a'",
    "IMPORT DATABASE '{other}'",
    "CREATE TABLE a AS SELECT 1",
    "DROP VIEW runs",
    "INSERT INTO runs VALUES (1)",
    "WITH a AS (INSERT INTO runs VALUES (1) RETURNING 1) FROM a",
    "SET allowed_directories = ['/']",
    "SET lock_configuration = false",
    "PRAGMA enable_profiling",
    "CALL enable_logging(storage := 'file', storage_path := '{lake}/logs')",
    "SELECT * FROM enable_logging(storage := 'file', storage_path := '{lake}/logs')",
    "PREPARE a AS COPY runs TO '{lake}/a.parquet'",
    "SELECT * FROM query('COPY runs TO ''{lake}/a.parquet''')",
    "INSTALL httpfs",
    "SELECT * FROM read_text('{other}/secret.txt')",
    "SELECT * FROM glob('{other}/*')",
    "SELECT 1; COPY runs TO '{lake}/a.parquet'",
]


def test_nothing_can_be_written_and_nothing_read_outside_the_lake(data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    before, outside = files_of(data), files_of(tmp_path)
    for form in WRITES:
        with pytest.raises(SqlError):
            typed("sql", form.format(lake=data / "lake", other=tmp_path))
    assert files_of(data) == before
    assert files_of(tmp_path) == outside


def test_the_connection_itself_is_walled_in(data: Path, tmp_path: Path) -> None:
    """Should a statement ever slip through, it can't reach anything outside the lake, nor open the wall."""
    connection = read_only()
    for statement in (f"COPY runs TO '{tmp_path}/a.parquet'", f"ATTACH '{tmp_path}/a.duckdb'", "SET threads = 1"):
        with pytest.raises(SqlError):
            list(ask(connection, statement).rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    ["PIVOT runs ON seed USING count(*)", "DESCRIBE runs", "SHOW TABLES", "SUMMARIZE prompts", "EXPLAIN FROM runs"],
)
def test_all_kinds_of_questions_are_answered(query: str, data: Path) -> None:
    connection = read_only()
    assert list(ask(connection, statements(connection, query)[0]).rows)
    assert typed("sql", query)


def test_the_prompt(shell: Shell, data: Path) -> None:
    """On a terminal of its own: the views, answers over several lines, an error that ends nothing, and Ctrl-D."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "panic_assets.cli", "sql"],
        cwd=shell.place,
        env=shell.environment(COLUMNS="80", TERM="dumb"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = ""
    try:
        for typed_in in (b"SELECT 41\n", b" + 1 AS answer;\n", b"FROM nowhere;\n", b"\x04"):
            shown += _until_prompt(leader)
            os.write(leader, typed_in)
        assert process.wait(60) == 0
    finally:
        process.kill()
        os.close(leader)
    assert "Every planned run, with its outcome if it has one." in shown
    assert "answer" in shown
    assert "42" in shown
    assert "error: Catalog Error: Table with name nowhere does not exist" in shown
    assert "SELECT 41" in (data / "cache" / "sql_history").read_text()


def _until_prompt(leader: int) -> str:
    seen, until = "", time.monotonic() + 60
    while not seen.endswith("> "):
        assert time.monotonic() < until, seen
        if select.select([leader], [], [], 1)[0]:
            seen += os.read(leader, 65536).decode()
    return seen


def test_the_views_as_json(shell: Shell, data: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "panic_assets.cli", "sql", "--json"],
        cwd=shell.place,
        env=shell.environment(),
        stdin=follower,
        capture_output=True,
        check=True,
    )
    os.close(leader)
    os.close(follower)
    assert json.loads(done.stdout)["outcomes"] == "How each run ended."
