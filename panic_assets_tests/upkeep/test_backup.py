from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from panic_assets.lake import Lake
from panic_assets.upkeep.backup import back_up
from panic_assets.upkeep.backup_format import BackupError
from panic_assets.upkeep.backup_sources import open_source, verify
from panic_assets.upkeep.restore import restore
from panic_assets_tests.upkeep.kept import UNFINISHED, broken, copied, files, grow, laboratory, tables
from panic_assets_tests.upkeep.others import FAILED, Children, started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    laboratory(data, "one", "two")
    (data / "models.yaml").write_text("models: {}\n")
    (data / "cache" / "checks").mkdir(parents=True)
    (data / "cache" / "checks" / "picture.png").write_bytes(b"cached")
    return data


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with started("forking", tmp_path_factory.mktemp("forking")) as process:
        yield Children(process)


@pytest.mark.parametrize("name", ["copy", "copy.tar", "copy.tar.zst"])
def test_what_comes_back_is_what_went_in(whole: Path, tmp_path: Path, name: str) -> None:
    done = back_up(whole, tmp_path / name)
    assert (done.experiments, done.damaged, done.kept, done.notes) == (("one", "two"), {}, (), ())
    back = tmp_path / "back"
    assert restore(tmp_path / name, back).clusters == "restored"
    assert tables(Lake(back / "lake")) == tables(Lake(whole / "lake"))
    parts = files(whole / "lake", "**/*.parquet")
    current = {part.file for table, key in Lake(back / "lake").places() for part in _parts(back, table, key)}
    assert files(back / "lake", "**/*.parquet") == {n: c for n, c in parts.items() if Path(n).name in current}
    assert files(back / "experiments") == files(whole / "experiments")
    assert (back / "models.yaml").read_text() == "models: {}\n"
    assert not (back / "cache").exists()
    assert broken(Lake(back / "lake")) == []


def _parts(data: Path, table: str, key: str | None) -> tuple:
    manifest = Lake(data / "lake").manifest(table, key)
    return manifest.parts if manifest else ()


def test_a_second_backup_copies_what_is_new(whole: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    copied(whole, data)
    first = back_up(data, target)
    assert first.copied == first.files
    assert back_up(data, target).copied == 0
    before = {name: os.stat(target / name).st_ino for name in files(target) if name != "backup.json"}
    grow(data, "three", diagrams=False)
    second = back_up(data, target)
    new = files(target).keys() - before.keys() - {"backup.json"}
    assert second.copied == len(new)
    assert all("three" in name for name in new)
    assert {name: os.stat(target / name).st_ino for name in before} == before
    assert second.experiments == ("one", "three", "two")


def test_what_is_gone_stays_in_the_backup_until_it_is_pruned(whole: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    lake = copied(whole, data)
    back_up(data, target)
    lake.delete_experiment("one")
    assert back_up(data, target, ["two"]).kept == ("one",)
    done = restore(target, tmp_path / "back")
    assert (done.experiments, done.clusters) == (("one", "two"), "made anew")
    assert broken(Lake(tmp_path / "back" / "lake")) == []
    assert back_up(data, target, ["two"], prune=True).experiments == ("two",)
    assert not list(target.glob("lake/*/experiment=one"))


def test_links_share_the_bytes(whole: Path, tmp_path: Path) -> None:
    back_up(whole, tmp_path / "copy", link=True)
    part = next((tmp_path / "copy" / "lake" / "images").rglob("*.parquet"))
    assert part.samefile(whole / part.relative_to(tmp_path / "copy"))
    with pytest.raises(BackupError, match="a tar file can't hold links"):
        back_up(whole, tmp_path / "copy.tar", link=True)


def test_dagsters_records_on_request(whole: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "history").mkdir(parents=True)
    with closing(sqlite3.connect(state / "history" / "runs.db")) as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("INSERT INTO runs VALUES (7)")
        connection.commit()
        back_up(whole, tmp_path / "copy", dagster_state=state)
    restore(tmp_path / "copy", tmp_path / "back")
    with closing(sqlite3.connect(tmp_path / "back" / ".dagster" / "history" / "runs.db")) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [(7,)]


def test_a_folder_that_holds_something_else_is_left_alone(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(BackupError, match=r"holds thesis\.txt and is no backup; name a new or empty folder"):
        back_up(whole, tmp_path / "mine")
    assert files(tmp_path / "mine") == {"thesis.txt": b"years of work"}
    with pytest.raises(BackupError, match="did you mean one"):
        back_up(whole, tmp_path / "copy", ["onne"])
    with pytest.raises(BackupError, match=r"a folder, a \.tar or a \.tar\.zst"):
        back_up(whole, tmp_path / "copy.zip")
    assert not (tmp_path / "copy").exists()


def test_a_damaged_experiment_is_told_and_the_others_are_kept(whole: Path, tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    copied(whole, data)
    flip(next((data / "lake" / "runs" / "experiment=one").glob("*.parquet")))
    done = back_up(data, target)
    assert list(done.damaged) == ["one"]
    assert "expected" in done.damaged["one"]
    assert done.experiments == ("two",)
    restore(target, tmp_path / "back")
    assert tables(Lake(tmp_path / "back" / "lake"), "two") == tables(Lake(whole / "lake"), "two")


def flip(path: Path, at: int = -20) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_a_flipped_bit_is_found_and_named(whole: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    back_up(whole, target)
    with open_source(target) as source:
        assert verify(source).damaged == {}
        victim = next(n for n in sorted(source.backup.files) if n.startswith("lake/images/experiment=two"))
    if target.is_dir():
        flip(target / victim)
    else:
        with tarfile.open(target) as tar:
            flip(target, tar.getmember(victim).offset_data + 100)
    with open_source(target) as source:
        assert list(verify(source).damaged) == [victim]
    with pytest.raises(BackupError, match=f"{victim} is not what was backed up. Nothing was written"):
        restore(target, tmp_path / "back")
    assert tables(Lake(tmp_path / "back" / "lake")) == {}


def test_an_altered_document_is_not_believed(whole: Path, tmp_path: Path) -> None:
    back_up(whole, tmp_path / "copy")
    document = tmp_path / "copy" / "backup.json"
    document.write_text(document.read_text().replace('"one"', '"two"'))
    with pytest.raises(BackupError, match=r"backup\.json was altered"):
        restore(tmp_path / "copy", tmp_path / "back")


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_killed_at_any_step_the_backup_before_stands(
    whole: Path, tmp_path: Path, children: Children, name: str
) -> None:
    data, target = tmp_path / "data", tmp_path / name
    copied(whole, data)
    back_up(data, target)
    grow(data, "three", diagrams=False, file=False)
    steps, code, seen = 0, -signal.SIGKILL, []
    while code == -signal.SIGKILL:
        steps += 1 if steps < 4 else 9
        code = children.run("backup", data, target, die_before=steps)
        with open_source(target) as source:
            held = verify(source)
        assert held.damaged == {}
        assert held.backup.experiments in (["one", "two"], ["one", "three", "two"])
        seen.append(held.backup.experiments)
    assert code == 0
    assert (seen[0], seen[-1]) == (["one", "two"], ["one", "three", "two"])
    assert list(tmp_path.glob(".*")) == [], "what killed ones left is gone"
    restore(target, tmp_path / "back")
    assert tables(Lake(tmp_path / "back" / "lake"), "three") == tables(Lake(data / "lake"), "three")


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_a_full_disk_leaves_the_target_as_it_was(whole: Path, tmp_path: Path, children: Children, name: str) -> None:
    target = tmp_path / name
    assert children.run("backup", whole, target, file_bytes=3000) == FAILED
    error = whole.with_name("error").read_text()
    assert "could not be written: File too large. What was there is as before; free space there" in error
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_backup_beside_writers_is_sound(tmp_path: Path) -> None:
    data = tmp_path / "data"
    laboratory(data, "one")
    with started("running", data) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        fitted = 0
        for number in range(4):
            target = tmp_path / f"copy{number}"
            done = back_up(data, target)
            assert done.damaged == {}
            fitted += not done.notes
            back = tmp_path / f"back{number}"
            restore(target, back)
            lake = Lake(back / "lake")
            assert broken(lake, UNFINISHED) == []
            assert tables(lake, "one") == tables(Lake(data / "lake"), "one")
            for folder in (target, back):
                shutil.rmtree(folder)
        assert process.stdin
        process.stdin.close()
        assert int(process.stdout.readline()) > 1
    assert fitted, "clusters came along at least once"


def test_the_document_says_what_it_is(whole: Path, tmp_path: Path) -> None:
    back_up(whole, tmp_path / "copy")
    document = json.loads((tmp_path / "copy" / "backup.json").read_bytes())
    assert document["format_version"] == 1
    assert document["tool"].startswith("panic_assets ")
    assert document["created_at"].endswith("+00:00")
    assert all(set(entry) == {"bytes", "checksum"} for entry in document["files"].values())
