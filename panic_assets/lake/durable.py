"""Files that are whole or absent, even when the power goes.

Here belong fsync and atomic replacement; what the files hold belongs to the callers.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from panic_assets.lake.errors import LakeWriteError

TEMPORARY = ".tmp-"

_REMEDIES = {
    errno.ENOSPC: "free some space on that disk, then run again",
    errno.EDQUOT: "free some of your quota, then run again",
    errno.EFBIG: "raise the limit on file sizes (`ulimit -f`), then run again",
    errno.EROFS: "mount that disk for writing, then run again",
    errno.EACCES: "give yourself permission to write there, then run again",
}


def temporary(path: Path) -> Path:
    """Name under which ``path`` is written before it is renamed; no reader looks at such names."""
    return path.with_name(f"{path.name}{TEMPORARY}{os.getpid()}")


@contextmanager
def describing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a LakeWriteError that says what to do, and remove the temporary file."""
    try:
        yield
    except OSError as error:
        temporary(path).unlink(missing_ok=True)
        remedy = _REMEDIES.get(error.errno or 0, "mend the cause, then run again")
        raise LakeWriteError(path, error.strerror or str(error), remedy) from error


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a rename is on disk only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that any reader, at any moment, sees the old or the new content whole.

    Raises:
        LakeWriteError: the disk is full or refuses; ``path`` is as before.
    """
    with describing(path):
        aside = temporary(path)
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        sync_folder(path.parent)
