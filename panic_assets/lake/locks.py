"""One writer for a partition at a time, held by the kernel so that a killed process leaves nothing behind.

Here belongs the lock alone. It holds on one machine, and on file systems where ``flock`` does.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from panic_assets.lake.errors import PartitionLocked

_POLL_SECONDS = 0.02


@contextmanager
def locked(path: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path`` during the block; wait for it up to ``timeout`` seconds.

    Raises:
        PartitionLocked: another holder has it; the error names its process id.
    """
    descriptor = acquire(path, timeout)
    try:
        yield
    finally:
        release(descriptor)


def acquire(path: Path, timeout: float = 0.0) -> int:
    """Take the lock file ``path``; give what `release` wants.

    Raises:
        PartitionLocked: another holder has it for longer than ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # the folder was deleted by a holder just now
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise PartitionLocked(path, holder) from None
            time.sleep(_POLL_SECONDS)
            continue
        if not _is_at(descriptor, path):  # its last holder deleted the partition: this lock guards nothing
            os.close(descriptor)
            continue
        with suppress(OSError):  # the holder's number is a courtesy; on a full disk the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def release(descriptor: int) -> None:
    """Give the lock back."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # at once, even if a forked child still has the descriptor
    os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock file ``path`` now. Nothing is made, and no holder is kept waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: who looks does not meet others who look
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)  # which gives it back
    return False


def holder_of(path: Path) -> int | None:
    """Process id of whoever holds the lock file ``path`` now; None if nobody does, 0 if it can't be told."""
    if not is_held(path):
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return int(content) if content.isdigit() else 0


def _holder(descriptor: int) -> int | None:
    content = os.pread(descriptor, 32, 0)
    return int(content) if content.isdigit() else None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
