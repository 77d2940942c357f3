"""Removal: what was deleted is gone for readers at once, and stays on the disk until none can hold it any more.

Here belong the two marks that a deletion leaves. ``_deleted.json`` in a partition's folder lists the parts of a
partition whose manifest is gone, with the time. A file in ``_deleting`` of the lake names an experiment (``<key>``) or
a study (``study=<key>``) that is being deleted as a whole: from its first moment on it is gone, however few of its
tables are. Which tables there are, and what else hangs on it, belongs to the callers.

``partition`` says in all functions what ``key`` names: an experiment, or a study of perhaps the same name.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from panic_assets.lake.durable import TEMPORARY, replace_file, sync_folder
from panic_assets.lake.errors import CorruptPart, LakeError
from panic_assets.lake.manifest import MANIFEST, Manifest, Retired, load_manifest
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY, owner

DELETED = "_deleted.json"
DELETING = "_deleting"
#: Behind the name once the tables are gone and only what is made of all experiments, or of all tables, must follow.
_FOLLOWING = ".following"


def deleted_parts(folder: Path) -> tuple[Retired, ...]:
    """Parts of a deleted partition that are still on the disk, with the time of the deletion.

    Raises:
        CorruptPart: the list is damaged.
    """
    path = folder / DELETED
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    try:
        return tuple(Retired(**entry) for entry in json.loads(content)["retired"])
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptPart(path, "a list of deleted parts in JSON", f"{len(content)} bytes that are not one") from error


def bury(folder: Path) -> None:
    """Delete a partition for readers that come from now on; call it with its lock held.

    A damaged manifest is no obstacle. Killed in between, the partition is whole.

    Raises:
        LakeWriteError: the disk is full or refuses; nothing was deleted.
    """
    now = time.time()
    old = {entry.file: entry for entry in deleted_parts(folder)}
    current: set[str] = set()
    try:
        manifest = load_manifest(folder)
    except LakeError:
        manifest = None  # whatever lies here goes
    if manifest is not None:
        old |= {entry.file: entry for entry in manifest.retired}
        current = {part.file for part in manifest.parts}
    files = sorted(path.name for path in folder.glob("*.parquet"))
    entries = [old[file] if file in old and file not in current else Retired(file, now) for file in files]
    if entries:
        _save(folder, entries)
    (folder / MANIFEST).unlink(missing_ok=True)
    sync_folder(folder)


def erase(folder: Path, lock: str) -> None:
    """Remove a partition's files, readers or not; call it with the lock, a file of that name in it, held."""
    (folder / MANIFEST).unlink(missing_ok=True)  # first: from here on no reader finds the parts
    for path in folder.iterdir():
        if path.name != lock:
            path.unlink()
    (folder / lock).unlink()  # last: who waits for it sees that it is gone and makes its own
    with suppress(OSError):  # such a one may be there already
        folder.rmdir()


def forget(folder: Path, limit: float) -> int:
    """Remove deleted parts that went before ``limit``, in Unix seconds; give how many. Call it with the lock held.

    A part that the manifest names (its deletion was not finished, or it was restored) is current, and stays.
    """
    entries = deleted_parts(folder)
    manifest = load_manifest(folder)
    current = {part.file for part in manifest.parts} if manifest else set()
    old = [entry for entry in entries if entry.at <= limit and entry.file not in current]
    kept = [entry for entry in entries if entry.at > limit and entry.file not in current]
    for entry in old:
        (folder / entry.file).unlink(missing_ok=True)
    if kept and len(kept) < len(entries):
        _save(folder, kept)
    elif not kept:
        (folder / DELETED).unlink(missing_ok=True)
    return len(old)


def strays(folder: Path, manifest: Manifest | None) -> list[Path]:
    """Files that no manifest names: what an attempt wrote and never committed, or is writing if it holds the lock."""
    known = {part.file for part in deleted_parts(folder)}
    if manifest is not None:
        known |= {part.file for part in manifest.parts} | {part.file for part in manifest.retired}
    return [
        path
        for path in folder.iterdir()
        if TEMPORARY in path.name or (path.suffix == ".parquet" and path.name not in known)
    ]


def remove_strays(folder: Path, manifest: Manifest | None) -> None:
    """Remove files that no manifest names. Call it with the lock held."""
    for path in strays(folder, manifest):
        path.unlink(missing_ok=True)


def _save(folder: Path, entries: Iterable[Retired]) -> None:
    replace_file(folder / DELETED, json.dumps({"retired": [vars(entry) for entry in entries]}).encode())


def begin_deletion(root: Path, key: str, partition: str = EXPERIMENT_KEY) -> None:
    """Put on record that an experiment or study goes; it is gone from here on. Its partitions' locks must be held.

    The record is a name without content, which a full disk still takes.
    """
    folder = root / DELETING
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another deletion ended just now and took the folder away
            record_of(root, key, partition).touch()
            break
    sync_folder(folder)


def tables_are_gone(root: Path, key: str, partition: str = EXPERIMENT_KEY) -> None:
    """Put on record that only what was made of all must follow; a new run may start."""
    record = record_of(root, key, partition)
    os.replace(record, record.with_name(f"{record.name}{_FOLLOWING}"))
    sync_folder(record.parent)


def end_deletion(root: Path, key: str, partition: str = EXPERIMENT_KEY) -> None:
    """Take the record of a deletion away: all of it is done."""
    record = record_of(root, key, partition)
    record.with_name(f"{record.name}{_FOLLOWING}").unlink(missing_ok=True)
    with suppress(OSError):  # there are others, or it was not there
        record.parent.rmdir()


def deletions(root: Path, partition: str = EXPERIMENT_KEY) -> dict[str, bool]:
    """Experiments, or studies, whose deletion has not ended; True while some of their tables may still be there."""
    try:
        names = os.listdir(root / DELETING)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    prefix = owner(partition, "")
    # No key has such a sign in it: what has it is a record of another kind.
    own = sorted(
        name.removeprefix(prefix) for name in names if name.startswith(prefix) and "=" not in name.removeprefix(prefix)
    )
    found = {name.removesuffix(_FOLLOWING): False for name in own}
    return found | {name: True for name in own if not name.endswith(_FOLLOWING)}


def is_going(root: Path, key: str | None, partition: str | None = EXPERIMENT_KEY) -> bool:
    """Whether the deletion of an experiment or study has begun, and some of its tables may still be there."""
    return key is not None and partition is not None and record_of(root, key, partition).exists()


def record_of(root: Path, key: str, partition: str) -> Path:
    """The file that says that an experiment or study is being deleted, while that is so."""
    return root / DELETING / owner(partition, key)


def refuse_while_going(root: Path, key: str | None, partition: str | None = EXPERIMENT_KEY) -> None:
    """Keep a writer away from what is being deleted.

    Raises:
        LakeError: its deletion was begun and has not ended.
    """
    if is_going(root, key, partition):
        command = "panic study delete" if partition == STUDY_KEY else "panic delete"
        raise LakeError(
            f"{partition} {key}: its deletion has begun and not ended; finish it first, with "
            f"`{command} {key}` or `panic gc`"
        )
