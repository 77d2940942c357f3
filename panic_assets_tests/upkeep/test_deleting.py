from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from panic_assets.clustering.stage import cluster_lake
from panic_assets.lake import Lake, PartitionLocked, connect
from panic_assets.lake.removal import deletions
from panic_assets.upkeep.deleting import NothingToDelete, delete_experiment, plan_deletion
from panic_assets.upkeep.garbage import collect
from panic_assets.upkeep.snapshot import experiments_of
from panic_assets_tests.upkeep.kept import broken, copied, files, grow, laboratory, tables
from panic_assets_tests.upkeep.others import Children, started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    laboratory(data, "one", "two")
    for place in ("figures/one/drift.png", "figures/two/drift.png", "reports/one.html", "exports/one/images/1.webp"):
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        (data / place).write_bytes(b"1234")
    return data


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    copied(whole, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with started("forking", tmp_path_factory.mktemp("forking")) as process:
        yield Children(process)


def test_the_plan_names_what_goes_and_changes_nothing(data: Path) -> None:
    before = files(data)
    plan = plan_deletion(data, "one")
    lake = Lake(data / "lake")
    assert {share.table: share.rows for share in plan.tables} == {
        name: table.num_rows for name, table in tables(lake, "one").items()
    } | {"events": 0}
    assert {str(left.path.relative_to(data)): left.files for left in plan.leftovers} == {
        "figures/one": 1,
        "reports/one.html": 1,
        "exports/one": 1,
    }
    assert plan.points == lake.read("cluster_assignments", where={"experiment": "one"}).num_rows > 0
    assert plan.file == data / "experiments" / "one.yaml"
    assert files(data) == before
    with pytest.raises(NothingToDelete, match="holds nothing of an experiment 'onne'; did you mean one"):
        plan_deletion(data, "onne")


def test_readers_go_on_and_nobody_else_sees_it(data: Path) -> None:
    lake = Lake(data / "lake")
    kept = tables(lake, "two")
    with (
        connect(lake.root) as reader,
        duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as catalog,
    ):
        query = "SELECT experiment, count(*) FROM images GROUP BY ALL ORDER BY ALL"
        before = reader.execute(query).fetchall()
        done = delete_experiment(data, "one")
        assert reader.execute(query).fetchall() == catalog.execute(query).fetchall() == before
    assert (done.freed, done.moved) == (12, None)
    assert done.later > 1000
    assert experiments_of(lake) == ["two"]
    assert tables(lake, "one") == {}
    assert tables(lake, "two") == kept
    assert lake.read("cluster_assignments", where={"experiment": "one"}).num_rows == 0
    assert set(lake.read("clusters")["medoid_experiment"].to_pylist()) <= {"two"}
    assert broken(lake) == []
    with duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as catalog:
        assert [name for name, _ in catalog.execute(query).fetchall()] == ["two"]
    assert files(data, "experiments/*").keys() == {"experiments/one.yaml", "experiments/two.yaml"}
    assert [path.name for path in (data / "figures").iterdir()] == ["two"]
    assert deletions(lake.root) == {}


def test_now_frees_the_bytes_and_the_file_goes_to_quarantine(data: Path) -> None:
    content = (data / "experiments" / "one.yaml").read_bytes()
    done = delete_experiment(data, "one", now=True, with_file=True, keep_leftovers=True)
    assert done.later == 0
    assert done.freed > 1000
    assert not list((data / "lake").glob("*/experiment=one"))
    assert done.moved
    assert done.moved.read_bytes() == content
    assert done.moved.is_relative_to(data / "quarantine")
    assert [path.name for path in (data / "experiments").iterdir()] == ["two.yaml"]
    assert (data / "figures" / "one" / "drift.png").exists()


def test_a_writer_at_work_keeps_it_whole(data: Path) -> None:
    lake = Lake(data / "lake")
    before = files(data)
    with lake.writer("invocations", "one"), pytest.raises(PartitionLocked, match="is being written by process"):
        delete_experiment(data, "one")
    assert files(data) == before
    assert experiments_of(lake) == ["one", "two"]


def test_a_new_run_starts_clean(data: Path) -> None:
    lake = Lake(data / "lake")
    delete_experiment(data, "one")
    grow(data, "one", length=6)
    cluster_lake(lake)
    assert lake.generation("runs", "one") == 1
    assert broken(lake) == []
    collect(data, 0)
    assert broken(lake) == []
    assert lake.read("invocations", "one").num_rows == 12


@pytest.mark.parametrize(("work", "finish"), [("delete", "gc"), ("delete now", "delete")])
def test_killed_at_any_step_it_is_whole_or_gone(
    whole: Path, tmp_path: Path, children: Children, work: str, finish: str
) -> None:
    expected = tables(Lake(whole / "lake"), "one")
    steps, code = 1, -signal.SIGKILL
    while code == -signal.SIGKILL:
        data = tmp_path / f"data{steps}"
        lake = copied(whole, data)
        code = children.run(work, data, die_before=steps)
        held = tables(lake, "one")
        assert held in ({}, expected), "a half of it is never shown"
        if finish == "gc" and not held:
            collect(data, 0)
        elif code:
            delete_experiment(data, "one", now=True)
        assert (tables(lake, "one"), deletions(lake.root)) == ({}, {})
        assert lake.read("cluster_assignments", where={"experiment": "one"}).num_rows == 0
        assert len(tables(lake, "two")) == len(expected)
        steps += 40 if steps > 3 else 3
    assert code == 0


def test_readers_in_other_processes_see_no_error(data: Path) -> None:
    """While experiments are deleted and garbage is collected, with a grace period longer than a query."""
    with started("reading", data) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        delete_experiment(data, "one")
        for _ in range(3):
            grow(data, "three", diagrams=False)
            delete_experiment(data, "three")
            collect(data, older_than_seconds=60)
        process.stdin.close()
        seen = json.loads(process.stdout.readline())
    assert process.returncode == 0
    assert len(seen["old"]) == 1
    assert seen["lake"] == [str(Lake(data / "lake").read("images", "two").num_rows)]
    two = next(iter(seen["old"]))[1:-1].split("(")[-1]
    assert all(two.rstrip("])") in text for text in (*seen["fresh"], *seen["catalog"]))
