"""Garbage: what lies in a data directory and belongs to nothing any more, found and removed.

Here belongs garbage of the lake: dropped parts, files of dead writers, deletions that did not end, pictures that no
invocation names. Files beside the lake are found by ``leftovers`` and ``strays``. Dagster's records are not touched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from panic_assets.lake import GRACE_SECONDS, TABLES, Lake, LakeError, PartitionLocked, build_catalog
from panic_assets.lake.locks import is_held, locked
from panic_assets.lake.manifest import MANIFEST, load_manifest
from panic_assets.lake.removal import (
    DELETED,
    deleted_parts,
    deletions,
    erase,
    is_going,
    record_of,
    remove_strays,
    strays,
)
from panic_assets.lake.specs import EXPERIMENT_KEY, MIB, STUDY_KEY
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep.deleting import follow_deletion
from panic_assets.upkeep.deleting_studies import follow_study_deletion
from panic_assets.upkeep.leftovers import empty_folders, files_of_none, known_experiments, remove
from panic_assets.upkeep.temporary import RESTORING, dead_files, remove_restoration

#: Kinds of garbage, in the order in which they go, each with what it is.
KINDS = {
    "deletions": "deletions that did not end",
    "old parts": "parts that were replaced or deleted longer ago than readers may hold them",
    "stray files": "what dead processes left half written",
    "pictures": "pictures that no invocation names",
    "leftovers": "figures, reports, exports and caches of experiments and studies that are gone",
    "empty folders": "folders that hold nothing",
}
#: A partition of pictures is written again without the unnamed ones if these are so many bytes, and such a share of it.
_WORTH_BYTES, _WORTH_SHARE = MIB, 0.1
#: By what a deletion is of: how its tables go, and what follows.
_ENDINGS: dict[str, tuple[Callable[[Lake, str], None], Callable[[Path, str], object]]] = {
    EXPERIMENT_KEY: (Lake.delete_experiment, follow_deletion),
    STUDY_KEY: (Lake.delete_study, follow_study_deletion),
}
_NEVER_COMMITTED = re.compile(r"part-00000001-[0-9a-f]+\.parquet")


@dataclass(frozen=True)
class Item:
    """One thing that goes: a key of `KINDS`, where, how many files (or pictures), and their size in bytes."""

    kind: str
    path: Path
    files: int
    bytes: int


@dataclass(frozen=True)
class Garbage:
    """All that goes. ``waiting`` bytes follow once the grace period is over; ``left`` says what was left alone, why."""

    items: tuple[Item, ...]
    waiting: int
    left: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(item.bytes for item in self.items)

    def of(self, kind: str) -> list[Item]:
        """Items of one kind."""
        return [item for item in self.items if item.kind == kind]


def find_garbage(data: Path, older_than_seconds: float = GRACE_SECONDS) -> Garbage:
    """What would go; nothing is changed. ``older_than_seconds``: how long readers may hold what was dropped.

    Raises:
        CorruptPart: a table that must be asked can't be read.
    """
    lake, limit = Lake(data / "lake"), time.time() - older_than_seconds
    items: list[Item] = []
    left: list[str] = []
    waiting = 0
    items += [Item("deletions", record_of(lake.root, key, partition), 0, 0) for partition, key, _ in _begun(lake)]
    for table, key in lake.places():
        if is_going(lake.root, key, TABLES[table].partition):
            continue
        folder = lake.folder(table, key)
        try:
            old, young = _dropped(folder, limit)
            found = _strays(folder)
        except (LakeError, FileNotFoundError) as error:
            left.append(str(error))
            continue
        waiting += young.bytes
        items += [item for item in (old, found) if item.files]
        if _lost_manifest(folder):
            left.append(f"{folder}: parts without a manifest are kept; restore it from a backup, or `panic doctor`")
    items += [Item("pictures", lake.folder("images", key), *found) for key, found in _unnamed(lake, limit, left)]
    items += [Item("stray files", path, count, size) for path, count, size in dead_files(data, limit)]
    items += [Item("leftovers", one.path, one.files, one.bytes) for one in files_of_none(data, _known(data, lake))]
    gone = {item.path for item in items}
    items += [Item("empty folders", path, 0, 0) for path in empty_folders(data) if path not in gone]
    return Garbage(tuple(sorted(items, key=lambda item: list(KINDS).index(item.kind))), waiting, tuple(left))


def collect(
    data: Path, older_than_seconds: float = GRACE_SECONDS, on_progress: Callable[[int, int], None] | None = None
) -> Garbage:
    """Remove the garbage; give what went.

    The catalog is rebuilt first, so that its views name no file that goes. What is being written is left for the next
    time. Killed at any moment, another call does the rest.

    Raises:
        PartitionLocked: a deletion can't be finished because a writer is at work.
        LakeError: a table can't be read or written.
    """
    lake, limit = Lake(data / "lake"), time.time() - older_than_seconds
    begun = _begun(lake)
    for partition, key, has_tables in begun:
        delete, follow = _ENDINGS[partition]
        if has_tables:
            delete(lake, key)
        follow(data, key)
    if lake.root.is_dir():
        build_catalog(lake.root, data / "catalog.duckdb")
    found = find_garbage(data, older_than_seconds)
    left = list(found.left)
    done = [Item("deletions", record_of(lake.root, key, partition), 0, 0) for partition, key, _ in begun]
    for number, item in enumerate(found.items, 1):
        try:
            done += [item] if _remove(lake, item, older_than_seconds, limit) else []
        except PartitionLocked as error:
            left.append(str(error))
        if on_progress:
            on_progress(number, len(found.items))
    for path in reversed(empty_folders(data)):  # which the removal has made so
        with suppress(OSError):
            path.rmdir()
    return Garbage(tuple(done), found.waiting, tuple(left))


def _remove(lake: Lake, item: Item, older_than_seconds: float, limit: float) -> bool:
    folder = item.path
    if folder.name == RESTORING:
        remove_restoration(folder)
        return True
    if item.kind in ("old parts", "stray files") and folder.is_dir():
        table, key = _place(lake, folder)
        if item.kind == "old parts":
            return lake.remove_old(table, key, older_than_seconds) > 0
        return _remove_strays(folder)
    if item.kind == "pictures":
        return _remove_unnamed(lake, str(_place(lake, folder)[1]), limit)
    if item.kind == "empty folders":
        with suppress(OSError):  # somebody has put something there
            folder.rmdir()
        return not folder.exists()
    remove(folder)
    return True


def _place(lake: Lake, folder: Path) -> tuple[str, str | None]:
    table, *key = folder.relative_to(lake.root).parts
    return table, key[0].removeprefix(f"{TABLES[table].partition}=") if key else None


def _begun(lake: Lake) -> list[tuple[str, str, bool]]:
    """(partition, key, whether tables may still be there) of deletions that have not ended."""
    return [
        (partition, key, has_tables)
        for partition in _ENDINGS
        for key, has_tables in deletions(lake.root, partition).items()
    ]


def _known(data: Path, lake: Lake) -> set[str]:
    return known_experiments(data, lake) | set(deletions(lake.root))


def _dropped(folder: Path, limit: float) -> tuple[Item, Item]:
    """(parts that may go, parts that wait) of a partition."""
    manifest = load_manifest(folder)
    current = {part.file for part in manifest.parts} if manifest else set()
    dropped = {entry for entry in (*(manifest.retired if manifest else ()), *deleted_parts(folder))}
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for entry in dropped:
        path = folder / entry.file
        if entry.file not in current and path.exists():
            sizes[entry.at <= limit].append(path.stat().st_size)
    old, young = (Item("old parts", folder, len(found), sum(found)) for found in (sizes[True], sizes[False]))
    return old, young


def _strays(folder: Path) -> Item:
    """What a dead writer left in a partition, and the lock of one that holds nothing; none while it is written."""
    manifest = load_manifest(folder)
    found = [] if _lost_manifest(folder) else [(path, _size(path)) for path in strays(folder, manifest)]
    is_hollow = manifest is None and not (folder / DELETED).exists() and (folder / LOCK).exists()
    if is_held(folder / LOCK):  # they are being written
        return Item("stray files", folder, 0, 0)
    return Item("stray files", folder, len(found) + is_hollow, sum(size for _, size in found))


def _lost_manifest(folder: Path) -> bool:
    """Whether a partition has no manifest although it was committed to: its parts are worth keeping then."""
    if (folder / MANIFEST).exists() or (folder / DELETED).exists():
        return False
    return any(not _NEVER_COMMITTED.fullmatch(path.name) for path in folder.glob("*.parquet"))


def _remove_strays(folder: Path) -> bool:
    with locked(folder / LOCK):
        manifest = load_manifest(folder)
        if manifest is None and _lost_manifest(folder):
            return False
        remove_strays(folder, manifest)
        if manifest is None and not (folder / DELETED).exists():
            erase(folder, LOCK)
    return True


def _unnamed(lake: Lake, limit: float, left: list[str]) -> Iterable[tuple[str, tuple[int, int]]]:
    """(experiment, (pictures, bytes)) where it pays to write the partition again without them."""
    for experiment in lake.experiments("images"):
        try:
            orphans = _orphans(lake, experiment, limit)
        except LakeError as error:
            left.append(str(error))
            continue
        if orphans is not None:
            yield experiment, (orphans.num_rows, pc.sum(orphans["byte_size"]).as_py())


def _orphans(lake: Lake, experiment: str, limit: float) -> pa.Table | None:
    """Rows of pictures that no invocation names; None if there are too few, or the partition is not at rest."""
    try:
        if (lake.folder("images", experiment) / MANIFEST).stat().st_mtime > limit:
            return None
    except FileNotFoundError:
        return None
    held = lake.read("images", experiment, ["image_hash", "byte_size"])
    named = lake.read("invocations", experiment, ["image_hash"])["image_hash"].drop_null()
    orphans = held.filter(pc.invert(pc.is_in(held["image_hash"], value_set=named.combine_chunks())))
    size, total = (pc.sum(table["byte_size"]).as_py() or 0 for table in (orphans, held))
    return orphans if size >= max(_WORTH_BYTES, _WORTH_SHARE * total) else None


def _remove_unnamed(lake: Lake, experiment: str, limit: float) -> bool:
    # An engine takes both locks for as long as it works: with them held, no invocation comes to name a picture.
    with locked(lake.folder("invocations", experiment) / LOCK), lake.writer("images", experiment) as writer:
        orphans = _orphans(lake, experiment, limit)
        if orphans is None:
            return False
        writer.replace([], {"image_hash": set(orphans["image_hash"].to_pylist())})
        writer.commit()
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
