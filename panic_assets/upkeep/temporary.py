"""Temporary files beside the lake's tables, and the processes that they belong to.

Here belongs telling those of the dead from those that are being written. In partitions the lock tells it.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from panic_assets.lake.durable import TEMPORARY
from panic_assets.lake.locks import is_held, locked

#: Folder of the lake in which a restoration gathers its files, and the lock in it that it holds meanwhile.
RESTORING, RESTORING_LOCK = "_restoring", "_lock"
#: Every temporary name holds the number of its process: behind `.tmp-`, or at the end of a hidden name.
_NAMES = (re.compile(r".*\.tmp-(\d+)(\D.*)?"), re.compile(r"\..+\.(\d+)"))
_PLACES = ("experiments", "studies", "training", "figures", "reports", "exports", "cache")


def dead_files(data: Path, limit: float) -> Iterator[tuple[Path, int, int]]:
    """(path, files, bytes) of temporary files that were last written before ``limit`` and whose process is no more."""
    for path in _candidates(data):
        owner = next((match[1] for pattern in _NAMES if (match := pattern.fullmatch(path.name))), None)
        if owner is None or is_alive(int(owner)):
            continue
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if status.st_mtime <= limit:
            yield path, 1, status.st_size
    folder = data / "lake" / RESTORING
    if folder.is_dir() and not is_held(folder / RESTORING_LOCK):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        yield folder, len(sizes), sum(sizes)


def dead_files_beside(path: Path) -> list[Path]:
    """What dead processes left that were writing ``path`` under a hidden name."""
    found = path.parent.glob(f".{glob.escape(path.name)}{TEMPORARY}*")
    owners = ((one, one.name.rpartition(TEMPORARY)[2]) for one in found)
    return [one for one, owner in owners if owner.isdecimal() and not is_alive(int(owner))]


def remove_restoration(folder: Path) -> None:
    """Remove what a restoration gathered.

    Raises:
        PartitionLocked: one is at work.
    """
    with locked(folder / RESTORING_LOCK):
        shutil.rmtree(folder)


def _candidates(data: Path) -> Iterator[Path]:
    if data.is_dir():
        yield from (path for path in sorted(data.iterdir()) if path.is_file())
    for place in _PLACES:
        for folder, _, names in os.walk(data / place):
            yield from (Path(folder, name) for name in sorted(names))


def is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
