"""What can go wrong with the archive.

Here belong the exceptions alone.
"""

from __future__ import annotations

from typing import Literal

from panic_assets.errors import PanicError

Kind = Literal["transient", "permanent"]


class ArchiveError(PanicError):
    """A medium that is not in the archive. ``kind``: whether the same may go well later; nothing half is left."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class NoSuchMedium(ArchiveError):
    """The archive has nothing under that key."""

    def __init__(self, key: str) -> None:
        super().__init__("permanent", f"the archive has nothing under the key {key[:100]!r}")


class Undecodable(ArchiveError):
    """Bytes that begin as a picture or sound and are not a whole one."""

    def __init__(self, message: str) -> None:
        super().__init__("permanent", message)
