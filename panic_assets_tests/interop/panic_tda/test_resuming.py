"""Imports that are killed, and sources that grow: the lake ends up as if it had been one import."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from panic_assets.interop.panic_tda import partition
from panic_assets_tests.interop.panic_tda.databases import Built, elixir_database, python_database
from panic_assets_tests.interop.panic_tda.imports import bring, broken_rules, everything, generations, lake_of

ROOT = Path(__file__).parents[3]


def small(path: Path, **values: object) -> Built:
    return python_database(path, **{"experiments": 1, "runs": 1, "length": 6, "rings": 1, **values})  # type: ignore[arg-type]


def child(*arguments: object) -> list[int]:
    command = [sys.executable, "-m", "panic_assets_tests.interop.panic_tda.child", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def test_an_import_that_is_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    built = small(tmp_path / "a.sqlite", corruptions=["null_output", "vector_with_nan"])
    (steps,) = child(built.path, tmp_path / "whole")
    wanted = everything(tmp_path / "whole")
    places = sorted(random.Random(7).sample(range(1, steps + 1), 6))
    # Each is killed once, and a second time later on, before it is let go to its end.
    orders = [f"{n}:{count}" for n in places for count in (n, 1 + steps // 3, 0)]
    statuses = child(built.path, tmp_path, *orders)
    assert statuses[0::3] == [signal.SIGKILL] * len(places)
    assert set(statuses[2::3]) == {0}
    for n in places:
        assert everything(tmp_path / str(n)) == wanted, f"killed before step {n} of {steps}"
        assert broken_rules(tmp_path / str(n)) == []


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit after every run."""
    monkeypatch.setattr(partition, "_COMMIT_ROWS", 1)


@pytest.mark.usefixtures("often")
def test_a_source_that_has_gained_rows(tmp_path: Path) -> None:
    """Runs that are new, one that has grown, and one whose embeddings came later."""
    whole = small(tmp_path / "whole.sqlite", runs=3)
    part = tmp_path / "part.sqlite"
    part.write_bytes(whole.path.read_bytes())
    gone = [run.source_id for run in whole.content.runs]
    with sqlite3.connect(part) as connection:
        for query in (
            "DELETE FROM invocation WHERE run_id = ?1",
            "DELETE FROM persistencediagram WHERE run_id = ?1",
            "DELETE FROM run WHERE id = ?1",
        ):
            connection.execute(query, (gone[-1],))
        connection.execute("DELETE FROM invocation WHERE run_id = ? AND sequence_number > 2", (gone[0],))
        connection.execute("DELETE FROM embedding WHERE invocation_id NOT IN (SELECT id FROM invocation)")
        of_run = "SELECT id FROM invocation WHERE run_id = ?"
        connection.execute(f"DELETE FROM embedding WHERE invocation_id IN ({of_run})", (gone[1],))
        connection.execute("DELETE FROM embeddingcluster WHERE embedding_id NOT IN (SELECT id FROM embedding)")
    bring(part, tmp_path / "grown")
    assert broken_rules(tmp_path / "grown") == []
    before = lake_of(tmp_path / "grown").read("imported_runs").to_pylist()
    bring(whole.path, tmp_path / "grown")
    assert broken_rules(tmp_path / "grown") == []
    bring(whole.path, tmp_path / "fresh")
    one, other = everything(tmp_path / "grown"), everything(tmp_path / "fresh")
    named = {"files", "imported_experiments", "experiments"}  # which name the file of the first import
    assert {t: rows for t, rows in one.items() if t not in named} == {
        t: rows for t, rows in other.items() if t not in named
    }
    assert len(before) == len(whole.content.runs) - 1


@pytest.mark.usefixtures("often")
def test_a_run_that_was_repaired_is_imported_whole(tmp_path: Path) -> None:
    built = small(tmp_path / "a.sqlite", corruptions=["null_output"])
    (damage,) = built.damages
    bring(built.path, tmp_path / "data")
    held = lake_of(tmp_path / "data").read("invocations").num_rows
    assert held < len(built.content.invocations)
    text = next(i.text for i in built.content.invocations if i.source_id == damage.source_id)
    with sqlite3.connect(built.path) as connection:
        connection.execute("UPDATE invocation SET output_text = ? WHERE id = ?", (text, damage.source_id))
    report = bring(built.path, tmp_path / "data")
    assert not report.kinds
    bring(built.path, tmp_path / "fresh")
    assert everything(tmp_path / "data") == everything(tmp_path / "fresh")


@pytest.mark.usefixtures("often")
def test_one_vector_that_is_not_of_unit_length_makes_the_space_raw(tmp_path: Path) -> None:
    built = small(tmp_path / "a.sqlite", runs=3)
    last = next(e for e in reversed(built.content.embeddings) if e.embedding_model == "Nomic")
    with sqlite3.connect(built.path) as connection:
        connection.execute(
            "UPDATE embedding SET vector = ? WHERE id = ?", (np.full(16, 2, np.float32).tobytes(), last.source_id)
        )
    bring(built.path, tmp_path / "raw")
    assert broken_rules(tmp_path / "raw") == []
    rows = lake_of(tmp_path / "raw").read("embeddings").to_pylist()
    spaces = {(row["embedding_model"], row["space"]) for row in rows}
    assert spaces == {
        ("imported/Nomic", "imported/Nomic@unknown/16/raw"),
        ("imported/NomicVision", "imported/NomicVision@unknown/16/normalised"),
    }
    assert len(rows) == len(built.content.embeddings)


def test_an_elixir_database_is_left_alone_the_second_time(tmp_path: Path) -> None:
    built = elixir_database(tmp_path / "a.sqlite", experiments=1, runs=1, corruptions=["dangling_input"])
    bring(built.path, tmp_path / "data")
    before = generations(tmp_path / "data")
    assert not bring(built.path, tmp_path / "data").written
    assert generations(tmp_path / "data") == before
