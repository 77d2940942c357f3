"""The secret that trainers sign their events with.

Here belongs where it is found: the environment, or the keys that admins keep.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from panic_assets.errors import PanicError
from panic_assets.live.secrets import Secrets

VARIABLE, NAME = "PANIC_ML_EVENTS_SECRET", "ML_EVENTS"
#: A secret that was kept, changed or deleted counts after so long.
_SECONDS_REMEMBERED = 5.0


class EventSecret:
    """Finds the secret, and remembers it for a moment: every request asks."""

    def __init__(
        self,
        secrets: Secrets,
        environment: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets, self._now = secrets, now
        self._environment = os.environ if environment is None else environment
        self._found: tuple[float, str | None] | None = None

    def get(self) -> str | None:
        """The secret; None if there is none, or it can't be decrypted."""
        given = self._environment.get(VARIABLE, "").strip()
        if given:
            return given
        now, found = self._now(), self._found
        if found is None or now - found[0] > _SECONDS_REMEMBERED:
            self._found = found = (now, self._kept())
        return found[1]

    def _kept(self) -> str | None:
        try:
            return self._secrets.get(NAME)
        except PanicError:
            return None
