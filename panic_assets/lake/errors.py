"""What can go wrong in the lake, each error with what, where and what to do.

Here belong only the exceptions; who raises them is said in their docstrings.
"""

from __future__ import annotations

from pathlib import Path

from panic_assets.errors import PanicError


class LakeError(PanicError):
    """A problem of the lake: an unknown table or column, a key that can't name a partition, a newer format."""


class SchemaViolation(LakeError):
    """Rows that don't fit their table's declaration; names the table, the column and what would be right."""

    def __init__(self, table: str, column: str, expected: str, found: str) -> None:
        self.table, self.column = table, column
        super().__init__(f"table {table}, column {column}: expected {expected}; found {found}")


class PartitionLocked(LakeError):
    """Another writer has the partition; ``holder`` is its process id, None when it could not be read."""

    def __init__(self, lock: Path, holder: int | None) -> None:
        self.holder = holder
        who = "another process" if holder is None else f"process {holder}"
        super().__init__(
            f"{lock.parent} is being written by {who}; wait for it, or stop it (the lock goes with the process)"
        )


class LakeWriteError(LakeError):
    """A file could not be written; what was committed before is intact and visible, and trying again is safe."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        self.path = path
        super().__init__(f"{path} could not be written: {reason}. Earlier commits are intact; {remedy}")


class CorruptPart(LakeError):
    """A committed file is missing or is not what was committed; other partitions are not touched by it."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        self.path = path
        partition, _, key = path.parent.name.partition("=")
        again = {
            "experiment": f"`panic delete {key}` and run the experiment again",
            "study": f"`panic study delete {key}` and run the study again",
        }.get(partition, f"delete the folder {path.parent} and materialise again")
        super().__init__(
            f"{path}: expected {expected}; found {found}. Put the file back from a backup, or {again}; "
            "nothing else in the lake is touched by it"
        )


class CorruptImage(LakeError):
    """Bytes that don't decode to a picture."""


class UnreadableImage(LakeError):
    """A picture that is whole, as far as can be told, in a format that this installation can't read."""
