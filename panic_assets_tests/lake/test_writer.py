from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from panic_assets.lake import Lake, LakeWriteError, PartitionLocked
from panic_assets_tests.lake.make import in_order, rows
from panic_assets_tests.lake.processes import BATCH, KILLED_TABLES, start

KILLS = 24


def test_nothing_committed_is_lost_to_kill_9(tmp_path):
    lake, moments = Lake(tmp_path), random.Random(5)
    process = start("nursery", tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    seen = dict.fromkeys(KILLED_TABLES, 0)
    for number in range(KILLS):
        # Half of them die within a moment, often before they wrote a thing; half after some commits.
        process.stdin.write(f"{moments.randint(1, 4) if number % 2 else 0} {moments.uniform(0.0, 0.1)}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "killed\n"
        logged = dict.fromkeys(KILLED_TABLES, 0)
        for line in (tmp_path / "log").read_text().splitlines():
            table, count = line.split()
            logged[table] = int(count)
        for table in KILLED_TABLES:
            found = lake.read(table, "first", columns=["run_number"])["run_number"].to_pylist()
            assert found == list(range(len(found))), "whole batches in order, nothing lost or twice"
            assert len(found) % BATCH == 0
            sure = max(seen[table], logged[table])
            assert sure <= len(found) <= sure + BATCH, "at most one commit was not logged any more"
            assert lake.properties(table, "first").get("rows", 0) == len(found)
            assert lake.verify(table, "first") == []
            seen[table] = len(found)
    process.stdin.close()
    assert process.wait() == 0
    assert seen["images"] >= 2 * BATCH
    assert seen["invocations"] >= BATCH
    for table in KILLED_TABLES:
        with lake.writer(table, "first"):
            pass
        manifest = lake.manifest(table, "first")
        known = {part.file for part in (*manifest.parts, *manifest.retired)} | {"_manifest.json", "_lock"}
        left = set(os.listdir(lake.folder(table, "first")))
        assert left <= known, "what dead writers left is removed"
        assert {part.file for part in manifest.parts} <= left


def test_two_processes_do_not_write_one_partition(tmp_path):
    lake = Lake(tmp_path)
    with lake.writer("runs", "first") as writer:
        writer.append(rows("runs", [1]))
        writer.commit()
    holder = start("hold", tmp_path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(PartitionLocked, match=rf"runs/experiment=first is being written by process {holder.pid};"):
            lake.writer("runs", "first").__enter__()
        with pytest.raises(PartitionLocked) as caught:
            lake.remove_old("runs", "first", timeout=0.05)
        assert caught.value.holder == holder.pid
        with pytest.raises(PartitionLocked):
            lake.delete("runs", "first")
        with lake.writer("runs", "second") as writer:
            writer.commit()
        assert lake.read("runs", "first").num_rows == 1, "readers take no lock"
        os.kill(holder.pid, signal.SIGKILL)
        with lake.writer("runs", "first", timeout=30) as writer:
            writer.append(rows("runs", [2]))
            assert writer.commit() == 2
    finally:
        holder.kill()
        holder.wait()
    assert lake.read("runs")["run_number"].to_pylist() == [1, 2]


def test_two_writers_in_one_process_exclude_each_other(tmp_path):
    lake = Lake(tmp_path)
    with lake.writer("runs", "first") as writer:
        with pytest.raises(PartitionLocked, match=f"process {os.getpid()}"):
            lake.writer("runs", "first").__enter__()
        writer.commit()
    with lake.writer("runs", "first"):
        pass


def test_a_lock_outlives_no_deleted_partition(tmp_path):
    """Who waited for the lock of a partition that was deleted meanwhile gets one that counts."""
    lake = Lake(tmp_path)
    with lake.writer("runs", "first") as writer:
        writer.commit()
    lake.delete("runs", "first")
    with lake.writer("runs", "first"), pytest.raises(PartitionLocked):
        lake.writer("runs", "first").__enter__()


@contextmanager
def _file_size_limit(folder: Path) -> Iterator[Callable[[], None]]:
    """No file may grow beyond 1 MB until the yielded function is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _tiny_disk(folder: Path) -> Iterator[Callable[[], None]]:
    """``folder`` is a disk of 1.5 MB until the yielded function makes it larger."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a tiny disk can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=50m", folder], check=True) and None
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


DISKS = {"file_size_limit": (_file_size_limit, "ulimit -f"), "full_disk": (_tiny_disk, "free some space")}


@pytest.mark.parametrize("disk", DISKS)
def test_a_full_disk_loses_nothing_and_a_retry_works(tmp_path, disk):
    make, remedy = DISKS[disk]
    folder = tmp_path / "disk"
    folder.mkdir()
    lake = Lake(folder)
    noise = random.Random(1)
    small, large = rows("images", range(10)), rows("images", range(10, 40))
    for image in small + large:
        image["image"] = noise.randbytes(40_000)
    with make(folder) as make_room:
        with lake.writer("images", "first") as writer:
            writer.append(small)
            writer.commit()
            writer.append(large)
            with pytest.raises(LakeWriteError, match=remedy) as caught:
                writer.commit()
            assert "Earlier commits are intact" in str(caught.value)
            assert str(lake.folder("images", "first")) in str(caught.value)
            assert lake.read("images").to_pylist() == small
            left = sorted(path.name[:5] for path in lake.folder("images", "first").iterdir())
            assert left == ["_lock", "_mani", "part-"], "nothing half written stays"
            make_room()
            assert writer.commit() == 2, "the rows waited in the writer"
        assert lake.read("images").to_pylist() == in_order("images", small + large)
        assert lake.verify("images", "first") == []


@pytest.mark.parametrize("disk", DISKS)
def test_a_compaction_without_room_changes_nothing(tmp_path, disk):
    make, remedy = DISKS[disk]
    folder = tmp_path / "disk"
    folder.mkdir()
    lake = Lake(folder)
    noise = random.Random(1)
    made = rows("images", range(28))
    for image in made:
        image["image"] = noise.randbytes(40_000)
    with make(folder) as make_room:
        with lake.writer("images", "first") as writer:
            for start_at in (0, 14):
                writer.append(made[start_at : start_at + 14])
                writer.commit()
            before = lake.manifest("images", "first")
            with pytest.raises(LakeWriteError, match=remedy):
                writer.compact()
            assert lake.manifest("images", "first") == before
            assert len(list(lake.folder("images", "first").iterdir())) == 4, "nothing half written stays"
            assert lake.read("images").to_pylist() == made
            make_room()
            writer.compact()
        assert len(lake.manifest("images", "first").parts) == 1
        assert lake.read("images").to_pylist() == made
