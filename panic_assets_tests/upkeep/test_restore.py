from __future__ import annotations

import io
import json
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from panic_assets.lake import Lake, PartitionLocked
from panic_assets.lake.schemas import TABLES
from panic_assets.upkeep.backup import back_up
from panic_assets.upkeep.backup_format import BackupError, checksum_of
from panic_assets.upkeep.backup_sources import open_source
from panic_assets.upkeep.deleting import delete_experiment
from panic_assets.upkeep.garbage import collect
from panic_assets.upkeep.restore import restore
from panic_assets_tests.upkeep.kept import broken, copied, files, grow, laboratory, tables
from panic_assets_tests.upkeep.others import FAILED, Children, started


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("whole") / "data"
    laboratory(data, "one", "two")
    return data


@pytest.fixture(scope="module")
def backup(whole: Path) -> Path:
    return back_up(whole, whole.with_name("copy")).target


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    with started("forking", tmp_path_factory.mktemp("forking")) as process:
        yield Children(process)


def current_part(lake: Lake, table: str, experiment: str) -> Path:
    """A file that counts; others may lie beside it for those who still read them."""
    manifest = lake.manifest(table, experiment)
    assert manifest is not None
    return lake.folder(table, experiment) / manifest.parts[0].file


def test_what_is_there_already_is_left(whole: Path, backup: Path, tmp_path: Path) -> None:
    lake = copied(whole, tmp_path / "data")
    before = files(lake.root)
    done = restore(backup, tmp_path / "data")
    assert (done.written, done.mended, done.documents, done.clusters) == (0, 0, (), "restored")
    assert files(lake.root) == before


def test_a_damaged_or_missing_part_is_mended(whole: Path, backup: Path, tmp_path: Path) -> None:
    lake = copied(whole, tmp_path / "data")
    first, second = (current_part(lake, table, "two") for table in ("runs", "embeddings"))
    first.write_bytes(first.read_bytes()[:-9] + b"123456789")
    second.unlink()
    done = restore(backup, tmp_path / "data")
    assert (done.written, done.mended) == (0, 2)
    assert tables(lake) == tables(Lake(whole / "lake"))
    assert broken(lake) == []


def test_something_else_is_refused_and_replaced_when_told(whole: Path, backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    grow(data, "one", length=6)
    (data / "experiments" / "one.yaml").write_text("mine: changed\n")
    lake = Lake(data / "lake")
    before = files(data)
    with pytest.raises(BackupError, match=r"runs/one.*Nothing was written\. With --replace"):
        restore(backup, data, ["one"])
    assert files(data) == before
    done = restore(backup, data, ["one"], replace_others=True)
    assert "invocations/one" in done.replaced
    assert tables(lake, "one") == tables(Lake(whole / "lake"), "one")
    assert lake.read("runs", "two").num_rows == 0
    assert [p.read_text() for p in (data / "quarantine").rglob("*.yaml")] == ["mine: changed\n"]
    old = {name for name in before if name.endswith(".parquet")}
    assert old <= files(data).keys(), "what was replaced is not lost at once"
    collect(data, 0)
    assert not old & files(data).keys()
    assert broken(lake) == []


def test_what_was_deleted_comes_back_and_is_not_collected(whole: Path, backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    lake = copied(whole, data)
    delete_experiment(data, "one")
    done = restore(backup, data)
    assert done.experiments == ("one", "two")
    assert done.replaced == ()
    collect(data, 0)
    assert tables(lake, "one", "two") == tables(Lake(whole / "lake"), "one", "two")
    assert broken(lake) == []


def test_a_writer_at_work_is_not_disturbed(whole: Path, backup: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "data" / "lake")
    with lake.writer("images", "one"), pytest.raises(PartitionLocked, match="being written by process"):
        restore(backup, tmp_path / "data")
    assert tables(lake) == {}


@pytest.mark.parametrize("work", ["restore", "replace"])
def test_killed_at_any_step_another_call_does_the_rest(
    whole: Path, backup: Path, tmp_path: Path, children: Children, work: str
) -> None:
    expected = tables(Lake(whole / "lake"), "one", "two")
    steps, code = 3, -signal.SIGKILL
    while code == -signal.SIGKILL:
        data = tmp_path / f"data{steps}"
        lake = Lake(data / "lake")
        if work == "replace":
            copied(whole, data)
            with lake.writer("invocations", "one") as writer:
                writer.replace([], {"sequence_number": [10, 11]})
                writer.commit()
        code = children.run(work, data, backup, die_before=steps)
        for table, key in lake.places():
            assert lake.verify(table, key) == [], "what is there is whole"
        restore(backup, data, replace_others=work == "replace")
        assert tables(lake, "one", "two") == expected
        assert not (lake.root / "_restoring").exists()
        steps += 50
    assert code == 0
    assert broken(lake) == []


def test_a_limit_on_files_leaves_the_lake_as_it_was(
    whole: Path, backup: Path, tmp_path: Path, children: Children
) -> None:
    data = tmp_path / "data"
    assert children.run("restore", data, backup, file_bytes=3000) == FAILED
    assert "could not be written: File too large" in (tmp_path / "error").read_text()
    assert [path for path in data.rglob("*") if path.is_file()] == []
    assert restore(backup, data).written > 5


def test_a_full_disk_is_told_before_anything_is_written(whole: Path, backup: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        with pytest.raises(BackupError, match=r"free some space, then run again\. Nothing was written"):
            restore(backup, disk)
        with pytest.raises(BackupError, match=r"No space left on device\. What was there is as before"):
            back_up(whole, disk / "copy.tar")
        with pytest.raises(BackupError, match=r"No space left on device\. What was there is as before"):
            back_up(whole, disk / "copy")
        assert [path for path in disk.rglob("*") if path.is_file()] == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def hostile(kind: str) -> list[tarfile.TarInfo]:
    info = tarfile.TarInfo("lake/runs/experiment=one/part.parquet")
    if kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    elif kind == "hard link":
        info.type, info.linkname = tarfile.LNKTYPE, "backup.json"
    elif kind == "device":
        info.type = tarfile.CHRTYPE
    elif kind == "folder":
        info.type = tarfile.DIRTYPE
    elif kind == "above":
        info.name = "../../evil"
    elif kind == "absolute":
        info.name = "/evil"
    elif kind == "twice":
        info.name = "backup.json"
    return [info]


@pytest.mark.parametrize("kind", ["link", "hard link", "device", "folder", "above", "absolute", "twice", "unlisted"])
def test_hostile_members_are_refused(whole: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "copy.tar"
    back_up(whole, target)
    with tarfile.open(target, "a") as tar:
        for info in hostile(kind):
            tar.addfile(info)
    with pytest.raises(BackupError, match="don't trust this file"):
        restore(target, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def altered(backup: Path, folder: Path, change: object) -> Path:
    """A copy of the document with a change, and a checksum that fits it."""
    document = json.loads((backup / "backup.json").read_bytes())
    document.pop("checksum")
    change(document)  # type: ignore[operator]
    checksum = checksum_of(json.dumps(document, sort_keys=True).encode())
    folder.mkdir()
    (folder / "backup.json").write_text(json.dumps(document | {"checksum": checksum}))
    return folder


def _climb(document: dict) -> None:
    document["partitions"][0]["parts"][0]["file"] = "../../evil.parquet"


def _climb_by_document(document: dict) -> None:
    document["documents"]["experiments/../../evil.yaml"] = next(iter(document["documents"].values()))


def _climb_by_key(document: dict) -> None:
    next(entry for entry in document["partitions"] if entry["experiment"])["experiment"] = "../x"


@pytest.mark.parametrize("change", [_climb, _climb_by_document, _climb_by_key])
def test_names_that_lead_elsewhere_are_refused(backup: Path, tmp_path: Path, change: object) -> None:
    with pytest.raises(BackupError, match=r"don't trust it|no backup of panic_assets"):
        restore(altered(backup, tmp_path / "evil", change), tmp_path / "back")
    assert not (tmp_path / "back").exists()


def _newer_format(document: dict) -> None:
    document["format_version"] = 2


def _newer_schema(document: dict) -> None:
    document["partitions"][0]["schema_version"] = 99


def _unknown_table(document: dict) -> None:
    document["partitions"][0]["table"] = "dreams"


@pytest.mark.parametrize("change", [_newer_format, _newer_schema, _unknown_table])
def test_a_backup_of_a_newer_version_is_refused_in_a_sentence(backup: Path, tmp_path: Path, change: object) -> None:
    with pytest.raises(BackupError, match="upgrade panic_assets"):
        restore(altered(backup, tmp_path / "newer", change), tmp_path / "back")


def test_a_backup_of_an_older_schema_comes_back(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(whole, tmp_path / "copy")
    spec = TABLES["runs"]
    newer = replace(spec, columns=(*spec.columns, replace(TABLES["outcomes"].column("error"), name="remark")))
    monkeypatch.setitem(TABLES, "runs", replace(newer, schema_version=spec.schema_version + 1))
    restore(tmp_path / "copy", tmp_path / "back")
    rows = Lake(tmp_path / "back" / "lake").read("runs", "one")
    assert rows["remark"].to_pylist() == [None] * rows.num_rows
    assert rows.num_rows == Lake(whole / "lake").read("runs", "one").num_rows > 0


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tar").write_text("not a tar file" * 99)
    (tmp_path / "text.tar.zst").write_text("not compressed" * 99)
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    expected = {
        "empty": "holds no backup.json",
        "text.tar": "no tar file that can be read",
        "text.tar.zst": "could not be unpacked",
        "other.tar": "holds no backup.json",
        "nowhere": "there is no backup at",
    }
    for name, words in expected.items():
        with pytest.raises(BackupError, match=words), open_source(tmp_path / name):
            pass
