from __future__ import annotations

import time

import duckdb
import pytest

from panic_assets.lake import TABLES, Lake, LakeError, build_catalog, connect, refresh
from panic_assets.lake.catalog import tables_read_by
from panic_assets_tests.lake.make import row, rows
from panic_assets_tests.lake.processes import GRACE, WRITTEN_TABLES, start

JOINED = {"runs_only", "image_index", "trajectories"}


def _views(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {
        name for (name,) in connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    }


def _types(connection: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in connection.execute(f'DESCRIBE "{view}"').fetchall()}


def _fill(lake: Lake, table: str, made: list) -> None:
    with lake.writer(table, "first" if TABLES[table].partitioned else None) as writer:
        writer.append(made)
        writer.commit()


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


def test_an_empty_lake_has_every_view_typed(lake):
    with connect(lake.root) as connection:
        assert _views(connection) == set(TABLES) | JOINED
        for view in _views(connection):
            assert connection.execute(f'SELECT count(*) FROM "{view}"').fetchall() == [(0,)]
        empty = {view: _types(connection, view) for view in _views(connection)}
    for table in TABLES:
        _fill(lake, table, [row(table, 1)])
    with connect(lake.root) as connection:
        assert {view: _types(connection, view) for view in empty} == empty, "types don't depend on there being rows"
        assert "image" not in empty["image_index"]
        assert empty["invocations"]["started_at"] == "TIMESTAMP WITH TIME ZONE"
        assert empty["persistence_diagrams"]["births"] == "DOUBLE[]"


def test_the_data_directory_is_the_default(data):
    _fill(Lake.open(), "runs", [row("runs", 1)])
    with connect() as connection:
        assert connection.execute("SELECT network FROM runs").fetchall() == [("network 1",)]
    assert build_catalog() == data / "catalog.duckdb"


def test_runs_come_with_their_outcomes(lake):
    _fill(lake, "runs", rows("runs", [1, 2]))
    _fill(lake, "outcomes", [row("outcomes", 2, stop_reason="cycle", transient_length=3, cycle_length=2, error=None)])
    with connect(lake.root) as connection:
        query = "SELECT run_number, stop_reason, length, transient_length, cycle_length, error FROM runs ORDER BY 1"
        assert connection.execute(query).fetchall() == [(1, *[None] * 5), (2, "cycle", 2, 3, 2, None)]
        assert "stop_reason" not in _types(connection, "runs_only")


def test_embeddings_have_a_view_for_each_model(lake):
    made = [
        row("embeddings", 0, embedding_model="all-MiniLM/L6", vector=[1.0, 2.0]),
        row("embeddings", 1, embedding_model="all_minilm_l6", vector=[1.0, 2.0, 3.0]),
        row("embeddings", 2, embedding_model="O'Neill; DROP", vector=[5.0]),
    ]
    _fill(lake, "embeddings", made)
    with lake.writer("embeddings", "second") as writer:
        writer.append([row("embeddings", 4, "second", embedding_model="O'Neill; DROP", vector=[5.0, 6.0])])
        writer.commit()
    with connect(lake.root) as connection:
        found = {
            view: _types(connection, view)["vector"] for view in _views(connection) if view.startswith("embeddings_")
        }
        assert found == {
            "embeddings_all_minilm_l6": "FLOAT[2]",
            "embeddings_all_minilm_l6_2": "FLOAT[3]",
            "embeddings_o_neill_drop_1": "FLOAT[1]",
            "embeddings_o_neill_drop_2": "FLOAT[2]",
        }
        assert _types(connection, "embeddings")["vector"] == "FLOAT[]"
        assert connection.execute("SELECT sum(len(vector)) FROM embeddings").fetchall() == [(8,)]
        query = "SELECT array_distance(vector, [1, 5]::FLOAT[2]) FROM embeddings_all_minilm_l6"
        assert connection.execute(query).fetchall() == [(3.0,)]


def test_trajectories_say_what_was_embedded(lake):
    _fill(lake, "runs", [row("runs", 1, prompt="a red ball", seed=7)])
    _fill(lake, "invocations", [row("invocations", 1, sequence_number=0, text="a ball", model="captioner")])
    _fill(lake, "embeddings", [row("embeddings", 1, sequence_number=n) for n in (-1, 0)])
    with connect(lake.root) as connection:
        query = "SELECT sequence_number, network, seed, model, text, len(vector) FROM trajectories ORDER BY 1"
        assert connection.execute(query).fetchall() == [
            (-1, "network 1", 7, None, "a red ball", 6),
            (0, "network 1", 7, "captioner", "a ball", 6),
        ]


def test_only_the_wanted_tables(lake):
    with connect(lake.root, tables=["images"]) as connection:
        assert _views(connection) == {"images", "image_index"}
    with pytest.raises(LakeError, match="no table 'image'; did you mean images"):
        connect(lake.root, tables=["image"])


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT 1", []),
        ("FROM runs_only", ["runs"]),
        ("FROM runs r JOIN prompts p USING (prompt_number)", ["prompts", "runs", "outcomes"]),
        ("SELECT count(*) FROM trajectories", ["runs", "invocations", "embeddings"]),
    ],
)
def test_a_query_runs_on_the_tables_that_it_reads(lake, query, wanted):
    assert set(tables_read_by(query)) == set(wanted)
    with connect(lake.root, tables_read_by(query)) as connection:
        connection.execute(query)


def test_refresh_shows_what_came_and_forgets_what_went(lake):
    _fill(lake, "embeddings", [row("embeddings", 0)])
    with connect(lake.root) as connection:
        connection.execute("CREATE VIEW mine AS SELECT 1 AS one")
        _fill(lake, "embeddings", [row("embeddings", 1)])
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(1,)]
        refresh(connection)
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(2,)]
        assert {"embeddings_small", "embeddings_large"} <= _views(connection)
        lake.delete("embeddings", "first")
        refresh(connection)
        assert _views(connection) == set(TABLES) | JOINED | {"mine"}
    with duckdb.connect() as other, pytest.raises(LakeError, match=r"not made by panic_assets\.lake\.connect"):
        refresh(other)


def test_frames_come_out(lake):
    _fill(lake, "runs", rows("runs", [1, 2]))
    with connect(lake.root) as connection:
        assert connection.sql("SELECT * FROM runs_only").pl().height == 2


def test_unusual_folder_names_are_taken_literally(tmp_path):
    lake = Lake(tmp_path / "it's [a] *test* experiment=x" / "lake")
    _fill(lake, "runs", rows("runs", [1]))
    with connect(lake.root) as connection:
        assert connection.execute("SELECT experiment FROM runs").fetchall() == [("first",)]
    with duckdb.connect(str(build_catalog(lake.root)), read_only=True) as connection:
        assert connection.execute("SELECT experiment FROM runs").fetchall() == [("first",)]


def test_the_catalog_file_is_replaced_under_open_readers(lake):
    _fill(lake, "runs", rows("runs", [1]))
    path = build_catalog(lake.root)
    with duckdb.connect(str(path), read_only=True) as old:
        assert old.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
        _fill(lake, "runs", rows("runs", [2, 3]))
        assert build_catalog(lake.root) == path
        assert old.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    with duckdb.connect(str(path), read_only=True) as new:
        assert new.execute("SELECT count(*) FROM runs").fetchall() == [(3,)]
        comments = dict(
            new.execute("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'runs'").fetchall()
        )
        assert comments["seed"] == TABLES["runs"].column("seed").meaning
        assert comments["max_length"].endswith("[invocations]")
        assert comments["stop_reason"] == TABLES["outcomes"].column("stop_reason").meaning
    assert sorted(path.name for path in path.parent.iterdir()) == [".catalog.duckdb.lock", "catalog.duckdb", "lake"]


def test_500_reads_beside_a_restless_writer(lake):
    """Every view, through fresh, refreshed and file connections, shows one whole commit at any time."""
    process = start("write", lake.root)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        reads, rounds, largest = 0, 0, 0
        first = [folder / part.file for folder, manifest in lake.manifests("runs") for part in manifest.parts]
        with connect(lake.root) as kept:
            while reads < 500 or rounds % 3 or any(path.exists() for path in first):
                seen = time.time()
                if rounds % 3 == 0:
                    connection = kept
                    refresh(kept)
                elif rounds % 3 == 1:
                    connection = connect(lake.root)
                else:
                    catalog = lake.root.parent / "catalog.duckdb"
                    seen = catalog.stat().st_mtime
                    connection = duckdb.connect(str(catalog), read_only=True)
                for view in sorted(_views(connection)):
                    try:
                        count = _check_whole(connection, view)
                    except duckdb.IOException:
                        # The grace is seconds here, from when the lake was looked at: a slow machine may be too late.
                        if time.time() - seen < GRACE / 2:
                            raise
                        break
                    largest = max(largest, count)
                    reads += 1
                for table in WRITTEN_TABLES:
                    numbers = lake.read(table, "first", columns=["run_number"])["run_number"].to_pylist()
                    assert numbers == list(range(len(numbers)))
                    reads += 1
                if connection is not kept:
                    connection.close()
                rounds += 1
        removed = int(process.communicate()[0])
    finally:
        process.kill()
        process.wait()
    assert reads >= 500
    assert largest > 7, "the writer went on meanwhile"
    assert removed > 0, "old parts were removed meanwhile"


def _check_whole(connection: duckdb.DuckDBPyConnection, view: str) -> int:
    """Rows of the view, after a check that they are those of numbers 0, 1, 2 and so on, each once."""
    if "run_number" not in _types(connection, view):
        (count,) = connection.execute(f'SELECT count(*) FROM "{view}"').fetchall()[0]
        assert count == 0, view
        return 0
    query = f'SELECT count(*), coalesce(max(run_number), -1), coalesce(sum(run_number), 0) FROM "{view}"'
    count, largest, total = connection.execute(query).fetchall()[0]
    assert (largest, total) == (count - 1, count * (count - 1) // 2), view
    return count
