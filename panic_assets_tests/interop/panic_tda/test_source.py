"""Databases of every layout give back what was put in; broken rows are told of; the file stays as it is."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.interop.panic_tda.records import Record, Rejected
from panic_assets.interop.panic_tda.schema import SourceError
from panic_assets.interop.panic_tda.source import Source
from panic_assets_tests.interop.panic_tda.content import of_run
from panic_assets_tests.interop.panic_tda.databases import (
    CORRUPTIONS,
    ELIXIR_VARIANTS,
    PYTHON_VARIANTS,
    Built,
    elixir_database,
    python_database,
)

BUILDERS: dict[str, Callable[..., Built]] = {"python": python_database, "elixir": elixir_database}
LAYOUTS = [("python", v) for v in PYTHON_VARIANTS] + [("elixir", v) for v in ELIXIR_VARIANTS]
LARGE = {"invocation", "embedding", "persistencediagram", "embeddingcluster"}
LARGE |= {"invocations", "embeddings", "persistence_diagrams", "embedding_clusters"}


def everything(source: Source) -> list[Record | Rejected]:
    """All that an importer would see, with the children of rejected parents."""
    found: list[Any] = []
    for experiment in source.experiments():
        found.append(experiment)
        found += source.exponents(experiment.source_id)
        for run in source.runs(experiment.source_id):
            found.append(run)
            for read in (source.invocations, source.embeddings, source.diagrams, source.assignments):
                found += read(run.source_id)
    return [*found, *source.clusterings(), *source.orphans()]


def plain(record: Any) -> dict[str, Any]:
    """A record whose arrays can be compared."""
    shown = dict(vars(record))
    if shown.get("vector") is not None:
        shown["vector"] = (str(record.vector.dtype), record.vector.tobytes())
    if "diagrams" in shown:
        shown["diagrams"] = [(str(d.dtype), d.tolist()) for d in record.diagrams]
    return shown


@pytest.mark.parametrize(("era", "variant"), LAYOUTS)
def test_every_layout_gives_back_what_was_put_in(tmp_path: Path, era: str, variant: str) -> None:
    built = BUILDERS[era](tmp_path / "any name", variant)
    content = built.content
    with Source(built.path) as source:
        assert source.era == era
        assert list(source.experiments()) == content.experiments
        assert list(source.clusterings()) == content.clusterings
        runs = [run for e in content.experiments for run in source.runs(e.source_id)]
        assert sorted(runs, key=lambda r: r.source_id) == content.runs  # type: ignore[union-attr]
        assignments = []
        for run in content.runs:
            invocations, embeddings = of_run(content, run.source_id)
            assert list(source.invocations(run.source_id)) == invocations
            assert list(map(plain, source.embeddings(run.source_id))) == list(map(plain, embeddings))
            diagrams = [d for d in content.diagrams if d.run_id == run.source_id]
            assert list(map(plain, source.diagrams(run.source_id))) == list(map(plain, diagrams))
            mine = list(source.assignments(run.source_id))
            assignments += mine
            counts = (len(invocations), len(embeddings), len(diagrams), len(mine))
            assert source.fingerprint(run.source_id) == counts
        assert sorted(map(str, assignments)) == sorted(map(str, content.assignments))
        exponents = [x for e in content.experiments for x in source.exponents(e.source_id)]
        assert sorted(map(str, exponents)) == sorted(map(str, content.exponents))
        assert list(source.orphans()) == []
        tables = {k: n for k, n in source.counts().items() if k != "cluster"}
        assert sum(tables.values()) == len(everything(source))


def test_old_diagrams_keep_their_generators(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db", generators=True, experiments=1)
    with Source(built.path) as source:
        run = built.content.diagrams[0].run_id
        found = [plain(d) for d in source.diagrams(run)]
    assert found == [plain(d) for d in built.content.diagrams if d.run_id == run]
    assert all(d["more"] for d in found)


def test_local_times_are_read_in_the_zone_that_is_named(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db", timezone="Australia/Sydney", experiments=1)
    with Source(built.path, "Australia/Sydney") as source:
        assert list(source.experiments()) == built.content.experiments
        assert list(source.clusterings()) == built.content.clusterings
    with Source(built.path) as source:
        shifted = next(source.experiments())
        assert not isinstance(shifted, Rejected)
        ours, theirs = shifted.times.started_at, built.content.experiments[0].times.started_at
        assert ours is not None
        assert theirs is not None
        assert (ours - theirs).total_seconds() == 10 * 3600
    with pytest.raises(SourceError, match="'Sydney' is unknown"):
        Source(built.path, "Sydney")


def test_times_that_sqlite_filled_in_are_utc(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db", "migrated", experiments=1)
    first = built.content.invocations[0]
    with sqlite3.connect(built.path) as connection:
        connection.execute("UPDATE invocation SET started_at = '2025-08-01 09:00:00' WHERE id = ?", (first.source_id,))
    connection.close()
    with Source(built.path, "Australia/Sydney") as source:
        found = next(source.invocations(first.run_id))
    assert not isinstance(found, Rejected)
    assert found.times.started_at is not None
    assert found.times.started_at.isoformat() == "2025-08-01T09:00:00+00:00"
    assert found.times.started_at.tzinfo is UTC


def test_elixir_times_without_z(tmp_path: Path) -> None:
    built = elixir_database(tmp_path / "db", zulu=False)
    with Source(built.path, "Australia/Sydney") as source:
        assert list(source.experiments()) == built.content.experiments


@pytest.mark.parametrize(("era", "name"), [(era, n) for n, c in CORRUPTIONS.items() for era in c.eras])
def test_each_corruption_is_told_of(tmp_path: Path, era: str, name: str) -> None:
    built = BUILDERS[era](tmp_path / "db", corruptions=[name], length=5)
    damage = built.damages[0]
    with Source(built.path) as source:
        found = everything(source)
        rows = sum(source.counts().values())
    rejected = [r for r in found if isinstance(r, Rejected)]
    if damage.found_by == "importer":
        assert rejected == []
    else:
        told = [r for r in rejected if r.source_id == damage.source_id]
        assert [(r.table, r.kind) for r in told] == [(damage.table, damage.kind)]
        assert len(told[0].reason) < 600
        assert "id" in told[0].row
    assert len(found) == rows, "rows were lost, or told of twice"


@pytest.mark.parametrize("era", BUILDERS)
def test_all_corruptions_at_once_lose_nothing(tmp_path: Path, era: str) -> None:
    names = [name for name, c in CORRUPTIONS.items() if era in c.eras]
    built = BUILDERS[era](tmp_path / "db", corruptions=names, runs=6)
    with Source(built.path) as source:
        found = everything(source)
        assert len(found) == sum(source.counts().values())
    kinds = {r.source_id: r.kind for r in found if isinstance(r, Rejected)}
    for damage in built.damages:
        if damage.found_by != "importer":
            assert kinds.get(damage.source_id) in (damage.kind, "orphan"), damage


def test_identifiers_that_became_floats(tmp_path: Path) -> None:
    """Columns declared as UUID turn digits into numbers, so that the row of a cluster names nobody any more."""
    built = python_database(tmp_path / "db", "with_cluster_table", experiments=1)
    broken, medoid = built.content.assignments[0], built.content.assignments[1].medoid_embedding_id
    digits = "06881234567812345678123456781234"
    with sqlite3.connect(built.path) as connection:
        connection.execute("UPDATE embeddingcluster SET embedding_id = ? WHERE id = ?", (digits, broken.source_id))
        connection.execute("UPDATE cluster SET medoid_embedding_id = ? WHERE medoid_embedding_id = ?", (digits, medoid))
        connection.execute("UPDATE embedding SET id = ? WHERE id = ?", (digits, broken.embedding_id))
    connection.close()
    with Source(built.path) as source:
        found = everything(source)
        assert len(found) == sum(source.counts().values()) - source.counts()["cluster"]
    rejected = {r.source_id: r for r in found if isinstance(r, Rejected)}
    kinds = {key: r.kind for key, r in rejected.items()}
    # The embedding has another identifier now; nobody finds it by the old one.
    of_it = [a for a in built.content.assignments if a.embedding_id == broken.embedding_id]
    lost = [a for a in built.content.assignments if a.medoid_embedding_id == medoid and a not in of_it]
    assert kinds == {a.source_id: "bad_id" for a in lost} | {a.source_id: "orphan" for a in of_it}


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("era", BUILDERS)
def test_reading_leaves_no_trace(tmp_path: Path, era: str) -> None:
    built = BUILDERS[era](tmp_path / "db")
    before = digest(tmp_path)
    with Source(built.path) as source:
        assert everything(source)
        assert digest(tmp_path) == before
    assert digest(tmp_path) == before


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA wal_autocheckpoint=0")
def write():
    connection.execute("UPDATE run SET initial_prompt = initial_prompt || '!'")
write()
print("written", flush=True)
for line in sys.stdin:
    write()
    print("written", flush=True)
    if line.strip() == "die":
        import os
        os._exit(0)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "written\n"
    return child


def tell(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(word + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "written\n"


def prompts(source: Source, built: Built) -> set[str]:
    runs = source.runs(built.content.experiments[0].source_id)
    return {run.initial_prompt for run in runs if not isinstance(run, Rejected)}


def test_a_database_that_another_process_writes(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db")
    expected = {p + "!" for p in built.content.experiments[0].prompts}
    child = writer(built.path)
    try:
        with Source(built.path) as source:
            assert prompts(source, built) == expected, "what is in the log alone is read too"
            tell(child, "again")
            assert prompts(source, built) == expected, "all is read as it was at the start"
        with Source(built.path) as source:
            assert prompts(source, built) == {p + "!" for p in expected}
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait(10)
    assert [p.name for p in tmp_path.iterdir()] == ["db"]


def test_a_log_that_its_writer_left_behind(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db")
    child = writer(built.path)
    tell(child, "die")
    child.wait(10)
    (tmp_path / "db-shm").unlink()
    before = digest(tmp_path)
    assert list(before) == ["db", "db-wal"]
    with Source(built.path) as source:
        assert prompts(source, built) == {p + "!!" for p in built.content.experiments[0].prompts}
    assert digest(tmp_path) == before


def test_a_writer_that_comes_later_is_noticed(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db")
    with Source(built.path) as source:
        assert prompts(source, built)
        with sqlite3.connect(built.path) as connection:
            connection.execute("UPDATE run SET initial_prompt = 'x'")
        connection.close()
        os.utime(built.path, ns=(1, 1))
        with pytest.raises(SourceError, match="was written to while it was read"):
            prompts(source, built)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        Source(tmp_path / "absent")
    (tmp_path / "text").write_text("no database, but a long enough text\n" * 40)
    with pytest.raises(SourceError, match="is not a SQLite file"):
        Source(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as connection:
        connection.execute("CREATE TABLE experiments (experiment_id)")
        connection.execute("CREATE TABLE metrics (x)")
    connection.close()
    with pytest.raises(SourceError, match=r"needs the tables .*; found: experiments, metrics"):
        Source(tmp_path / "other")
    (tmp_path / "damaged").write_bytes((tmp_path / "other").read_bytes()[:100] + b"\xff" * 9000)
    with pytest.raises(SourceError, match="recover"):
        Source(tmp_path / "damaged")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged", "other", "text"]


@pytest.mark.parametrize("holds", ["invocation", "embedding"])
def test_broken_pages_cost_their_rows_alone(tmp_path: Path, holds: str) -> None:
    built = python_database(tmp_path / "db", dimension=300)
    with sqlite3.connect(built.path) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (holds,)).fetchone()[0]
    connection.close()
    data = bytearray(built.path.read_bytes())
    start = (root - 1) * size
    # An inner page lists its children; the first of them is a leaf of the table.
    assert data[start] == 5
    cell = int.from_bytes(data[start + 12 : start + 14], "big")
    leaf = int.from_bytes(data[start + cell : start + cell + 4], "big")
    data[(leaf - 1) * size : leaf * size] = b"\xff" * size
    built.path.write_bytes(data)
    with Source(built.path) as source:
        found = everything(source)
        rows = sum(source.counts().values())
    rejected = [r for r in found if isinstance(r, Rejected)]
    assert {r.kind for r in rejected} == {"unreadable"}
    assert holds in {r.table for r in rejected}
    assert all("can't be" in r.reason or "is not there" in r.reason for r in rejected)
    sound = [r for r in found if not isinstance(r, Rejected)]
    assert set(map(str, built.content.experiments)) <= set(map(str, sound))
    kind = {"invocation": "SourceInvocation", "embedding": "SourceEmbedding"}[holds]
    kept = sum(type(r).__name__ == kind for r in sound)
    all_of_them = len(built.content.invocations if holds == "invocation" else built.content.embeddings)
    assert 0 < kept < all_of_them
    assert kept + sum(r.table == holds for r in rejected) == all_of_them
    assert len(found) == rows


@pytest.mark.parametrize(("era", "variant"), LAYOUTS)
def test_no_query_of_a_run_scans_a_large_table(tmp_path: Path, era: str, variant: str) -> None:
    built = BUILDERS[era](tmp_path / "db", variant, experiments=1)
    run = built.content.runs[0]
    statements: list[str] = []
    with Source(built.path) as source:
        source.fingerprint(run.source_id)
        source._connection.set_trace_callback(statements.append)
        list(source.runs(run.experiment_id))
        for read in (source.invocations, source.embeddings, source.diagrams, source.assignments):
            list(read(run.source_id))
        source._last = None
        source.fingerprint(run.source_id)
        source._connection.set_trace_callback(None)
        queries = [s for s in dict.fromkeys(statements) if s.startswith("SELECT")]
        assert len(queries) > 5
        for query in queries:
            for *_, step in source._connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall():
                assert not (step.startswith("SCAN") and set(step.split()) & LARGE), (query, step)


def test_orphans_are_found_in_one_pass(tmp_path: Path) -> None:
    """Parents are looked up by key, never scanned, in each layout whose columns compare as numbers too."""
    for era, variant in (("python", "created"), ("python", "with_cluster_table"), ("elixir", "final")):
        built = BUILDERS[era](tmp_path / f"{era} {variant}", variant, experiments=1)
        statements: list[str] = []
        with Source(built.path) as source:
            source._connection.set_trace_callback(statements.append)
            assert list(source.orphans()) == []
            source._connection.set_trace_callback(None)
            for query in statements:
                steps = [row[-1] for row in source._connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()]
                assert sum(step.startswith("SCAN") for step in steps) == 1, (query, steps)


def test_vectors_are_what_was_stored(tmp_path: Path) -> None:
    built = python_database(tmp_path / "db", dimension=768, experiments=1, rings=1)
    expected = {e.source_id: e.vector for e in built.content.embeddings}
    with Source(built.path) as source:
        for found in source.embeddings(built.content.runs[0].source_id):
            assert not isinstance(found, Rejected)
            assert found.vector is not None
            assert found.vector.dtype == np.float32
            np.testing.assert_array_equal(found.vector, expected[found.source_id])
