"""Removal: what was deleted is gone for readers at once, and stays on the disk until none can hold it any more.

Here belong the two marks that a deletion leaves. ``_deleted.json`` in a partition's folder lists the parts of a
partition whose manifest is gone, with the time. A file in ``_deleting`` of the lake names an experiment that is being
deleted as a whole: from its first moment on the experiment is gone, however few of its tables are. Which tables there
are, and what else hangs on an experiment, belongs to the callers.
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

DELETED = "_deleted.json"
DELETING = "_deleting"
#: Behind the experiment's name once its tables are gone and only what is made of all experiments must follow.
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


def begin_deletion(root: Path, experiment: str) -> None:
    """Put on record that an experiment goes; from here on it is gone. Call it with the locks of its partitions held.

    The record is a name without content, which a full disk still takes.
    """
    folder = root / DELETING
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # another deletion ended just now and took the folder away
            (folder / experiment).touch()
            break
    sync_folder(folder)


def tables_are_gone(root: Path, experiment: str) -> None:
    """Put on record that only what was made of all experiments must follow; a new run may start."""
    folder = root / DELETING
    os.replace(folder / experiment, folder / f"{experiment}{_FOLLOWING}")
    sync_folder(folder)


def end_deletion(root: Path, experiment: str) -> None:
    """Take the record of a deletion away: all of it is done."""
    folder = root / DELETING
    (folder / f"{experiment}{_FOLLOWING}").unlink(missing_ok=True)
    with suppress(OSError):  # there are others, or it was not there
        folder.rmdir()


def deletions(root: Path) -> dict[str, bool]:
    """Experiments whose deletion has begun and not ended; True while some of their tables may still be there."""
    try:
        names = os.listdir(root / DELETING)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {name.removesuffix(_FOLLOWING): False for name in sorted(names)}
    return found | {name: True for name in names if not name.endswith(_FOLLOWING)}


def is_going(root: Path, experiment: str | None) -> bool:
    """Whether the experiment's deletion has begun, and some of its tables may still be there."""
    return experiment is not None and (root / DELETING / experiment).exists()


def refuse_while_going(root: Path, experiment: str | None) -> None:
    """Keep a writer away from what is being deleted.

    Raises:
        LakeError: the experiment's deletion was begun and has not ended.
    """
    if is_going(root, experiment):
        raise LakeError(
            f"experiment {experiment}: its deletion has begun and not ended; finish it first, with "
            f"`panic delete {experiment}` or `panic gc`"
        )
