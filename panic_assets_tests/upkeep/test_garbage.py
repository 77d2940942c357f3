from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from panic_assets.lake import Lake, connect
from panic_assets.upkeep.deleting import delete_experiment
from panic_assets.upkeep.garbage import collect, find_garbage
from panic_assets_tests.lake.make import rows
from panic_assets_tests.upkeep.kept import broken, copied, files, laboratory, tables
from panic_assets_tests.upkeep.others import Children, started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    laboratory(data, "one", "two")
    collect(data, 0)
    return data


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    copied(whole, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with started("forking", tmp_path_factory.mktemp("forking")) as process:
        yield Children(process)


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def spoil(data: Path) -> None:
    """Every kind of garbage."""
    lake, dead = Lake(data / "lake"), dead_process()
    with lake.writer("runs", "two") as writer:
        writer.replace(lake.read("runs", "two"), {})
        writer.commit()
    partition = lake.folder("runs", "two")
    (partition / f"part-00000009-abc.parquet.tmp-{dead}").write_bytes(b"half")
    (partition / "part-00000009-abcdef.parquet").write_bytes(b"never committed")
    (lake.root / "events" / "experiment=never").mkdir(parents=True)
    (lake.root / "events" / "experiment=never" / "_lock").touch()
    for place in (
        *("figures/gone/drift.png", "reports/gone.html", "exports/gone/images/0.webp", "cache/vectors/gone.arrow"),
        *("figures/one/drift.png", "reports/one-and-gone.html", "exports/paper/final cut.mp4", "cache/devices.json"),
        *(f"reports/.one.tmp-{dead}-0a.html", f"reports/.two.tmp-{os.getpid()}-0a.html"),
        *(f".catalog.duckdb.tmp-{dead}-0a1b", f"experiments/.one.yaml.{dead}"),
    ):
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        (data / place).write_bytes(b"1234")
    (data / "exports" / "hollow" / "deep").mkdir(parents=True)


def test_each_kind_is_found_and_removed_and_nothing_else(data: Path) -> None:
    kept = files(data)
    sound = tables(Lake(data / "lake"))
    spoil(data)
    spoilt = files(data)
    found = find_garbage(data, 0)
    assert {kind: len(found.of(kind)) for kind in ("old parts", "stray files", "leftovers", "empty folders")} == {
        "old parts": 1,
        "stray files": 5,
        "leftovers": 4,
        "empty folders": 2,
    }
    assert files(data) == spoilt, "nothing goes before it is asked for"
    removed = collect(data, 0)
    assert removed.bytes == found.bytes
    added = files(data).keys() - kept.keys()
    stays = {"figures/one/drift.png", "reports/one-and-gone.html", "exports/paper/final cut.mp4", "cache/devices.json"}
    assert {name for name in added if not name.startswith("lake/")} == stays | {
        f"reports/.two.tmp-{os.getpid()}-0a.html"
    }
    assert tables(Lake(data / "lake")) == sound
    assert broken(Lake(data / "lake")) == []
    assert not (data / "exports" / "hollow").exists()
    assert not (data / "lake" / "events" / "experiment=never").exists()
    assert find_garbage(data, 0).items == ()
    assert collect(data, 0).items == (), "a second time there is nothing to do"


def test_what_readers_may_hold_waits(data: Path) -> None:
    delete_experiment(data, "one")
    found = find_garbage(data)
    assert found.of("old parts") == []
    assert found.waiting > 1000
    collect(data)
    assert list((data / "lake").glob("*/experiment=one/*.parquet"))
    assert find_garbage(data, 0).bytes >= found.waiting
    collect(data, 0)
    assert not list((data / "lake").glob("*/experiment=one"))
    assert broken(Lake(data / "lake")) == []


def test_what_is_being_written_is_left(data: Path) -> None:
    lake = Lake(data / "lake")
    with lake.writer("runs", "three") as writer:
        writer.append(rows("runs", [1], "three"))
        writer._flush(next(iter(writer._buffers)))  # as a full buffer does
        part = next(lake.folder("runs", "three").glob("*.parquet"))
        assert find_garbage(data, 0).items == ()
        collect(data, 0)
        assert part.exists()
        writer.commit()
    assert lake.read("runs", "three").num_rows == 1


def test_pictures_that_no_invocation_names_go_when_it_pays(data: Path) -> None:
    lake, noise = Lake(data / "lake"), random.Random(1)
    before = tables(lake, "two")["images"]
    made = rows("images", range(100, 130), "two")
    for image in made:
        image["image"] = noise.randbytes(60_000)
        image["byte_size"] = 60_000
    for part in (made[:3], made[3:]):
        assert find_garbage(data, 0).of("pictures") == [], "few are not worth writing all again"
        with lake.writer("images", "two") as writer:
            writer.append(part)
            writer.commit()
    assert find_garbage(data).of("pictures") == [], "an importer may be about to name them"
    (item,) = find_garbage(data, 0).of("pictures")
    assert (item.files, item.bytes) == (30, 1_800_000)
    with lake.writer("invocations", "two"):
        left = collect(data, 0).left
        assert "is being written" in left[0]
    collect(data, 0)
    assert tables(lake, "two")["images"] == before
    assert broken(lake) == []


def test_parts_whose_manifest_was_lost_are_kept_and_told(data: Path) -> None:
    folder = data / "lake" / "embeddings" / "experiment=one"
    (folder / "_manifest.json").unlink()
    before = files(folder)
    found = collect(data, 0)
    assert files(folder) == before
    assert any("parts without a manifest are kept" in text for text in found.left)


def test_killed_at_any_step_another_call_does_the_rest(whole: Path, tmp_path: Path, children: Children) -> None:
    sound = tables(Lake(whole / "lake"))
    steps, code = 2, -signal.SIGKILL
    while code == -signal.SIGKILL:
        data = tmp_path / f"data{steps}"
        lake = copied(whole, data)
        spoil(data)
        code = children.run("gc", data, die_before=steps)
        assert tables(lake) == sound
        collect(data, 0)
        assert find_garbage(data, 0).items == ()
        assert tables(lake) == sound
        steps += 9
    assert code == 0
    assert broken(lake) == []


def test_the_catalog_names_no_file_that_goes(data: Path) -> None:
    lake = Lake(data / "lake")
    with lake.writer("runs", "two") as writer:
        writer.replace(lake.read("runs", "two"), {})
        writer.commit()
    collect(data, 0)
    with duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as catalog, connect(lake.root) as fresh:
        query = "SELECT * EXCLUDE (run_id) FROM runs ORDER BY ALL"
        assert catalog.execute(query).fetchall() == fresh.execute(query).fetchall()
