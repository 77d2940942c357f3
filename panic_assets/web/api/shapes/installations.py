"""Installations and watchers as they go in and out of the API.

Here belong shapes and how records become them.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from panic_assets.live.records import Installation, Watcher
from panic_assets.web.api.shapes.base import Shape, Word
from panic_assets.web.live import Live


class InstallationIn(Shape):
    """A new installation of a network."""

    name: Word
    network_id: str = Field(max_length=100)
    watchers: list[Watcher] = Field([], max_length=100)
    is_public: bool = False


class InstallationChange(Shape):
    """The fields that change; another ``network_id`` moves it, with all its screens."""

    name: Word | None = None
    network_id: str | None = Field(None, max_length=100)
    is_public: bool | None = None


class Order(Shape):
    """The names of all watchers in their new order."""

    names: list[str] = Field(max_length=100)


class WatcherOut(BaseModel):
    """A watcher, and how many look at it now."""

    watcher: Watcher
    viewers: int


class InstallationOut(BaseModel):
    """An installation."""

    id: str
    name: str
    network_id: str
    watchers: list[WatcherOut]
    is_public: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, installation: Installation, live: Live) -> InstallationOut:
        """With who looks at it now."""
        watchers = [
            WatcherOut(watcher=watcher, viewers=live.hub.viewers(watcher_topic(installation.id, watcher.name)))
            for watcher in installation.watchers
        ]
        fields = ("id", "name", "network_id", "is_public", "created_at", "updated_at")
        return cls(watchers=watchers, **{field: getattr(installation, field) for field in fields})


def watcher_topic(installation_id: str, name: str) -> str:
    """What the viewers of a watcher are counted under."""
    return f"watcher:{installation_id}:{name}"
