"""The archive: what models give is fetched while its address lives, checked, made small, and kept for good.

Here belongs the way of a picture or sound from a platform to its place. Rows about media are the store's.
"""

from __future__ import annotations

from panic_assets.live.archive.archive import Archive
from panic_assets.live.archive.errors import ArchiveError, NoSuchMedium

__all__ = ["Archive", "ArchiveError", "NoSuchMedium"]
