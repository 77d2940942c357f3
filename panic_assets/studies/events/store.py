"""The event store: it takes events durably, and tells the rows that have come of them.

Here belongs the joining of its parts: what an event does is in ``applying``, how rows are read in ``reading``.
"""

from __future__ import annotations

from panic_assets.studies.events.letters import Letters
from panic_assets.studies.events.places import URL_VARIABLE, events_url
from panic_assets.studies.events.reading import Reading
from panic_assets.studies.events.taking import Taking

__all__ = ["URL_VARIABLE", "EventStore", "open_store"]


class EventStore(Taking, Letters, Reading):
    """All that training has told, at a database address such as ``sqlite:///data/training/events.db``.

    Synchronous, and safe to use from any number of threads and processes. Call `migrate` once before the first use.

    Raises:
        LiveStoreError: from any method, when the database fails; nothing was changed then.
    """


def open_store(url: str | None = None) -> EventStore:
    """The event store at an address, None for that of this data directory or ``$PANIC_EVENTS_URL``; ready for use.

    Raises:
        LiveStoreError: it can't be opened, or was made by a newer version.
    """
    store = EventStore(url or events_url())
    store.migrate()
    return store
