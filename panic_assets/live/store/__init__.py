"""The transactional store of the live room: networks, runs, installations, accounts.

Here belongs what reads and writes the database, and nothing that calls a model, serves a page or draws a display.
"""

from __future__ import annotations

from panic_assets.live.store.backups import check_database
from panic_assets.live.store.errors import (
    AlreadyRunning,
    BadValue,
    LiveStoreError,
    NotThere,
    StillFollowed,
    StillRunning,
)
from panic_assets.live.store.people import ApiToken, Attempts, AuditEntry, Session, User
from panic_assets.live.store.store import Store

__all__ = [
    "AlreadyRunning",
    "ApiToken",
    "Attempts",
    "AuditEntry",
    "BadValue",
    "LiveStoreError",
    "NotThere",
    "Session",
    "StillFollowed",
    "StillRunning",
    "Store",
    "User",
    "check_database",
]
