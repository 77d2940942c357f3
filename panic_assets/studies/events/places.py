"""Where the event store lies.

Here belongs its address alone, so that whoever only names it loads no database.
"""

from __future__ import annotations

import os
from pathlib import Path

from panic_assets.paths import data_dir

URL_VARIABLE = "PANIC_EVENTS_URL"


def events_url(data: Path | None = None) -> str:
    """``$PANIC_EVENTS_URL``, or a file of the data directory ``data``, None for that of this process."""
    return os.environ.get(URL_VARIABLE) or f"sqlite:///{(data or data_dir()).absolute() / 'training' / 'events.db'}"
