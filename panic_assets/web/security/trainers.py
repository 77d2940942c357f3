"""Tokens of trainers that have just been looked up.

Here belongs remembering them for a moment. It holds for sending events alone: everything else looks at each request.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from panic_assets.live.store import ApiToken, User
from panic_assets.web.security.signing import hash_of

#: A token that is revoked may still send events for so long.
SECONDS_REMEMBERED = 2.0
_MOST = 1000


class Trainers:
    """Users and tokens by what was shown, for some seconds. To be used within one event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[float, User, ApiToken]] = OrderedDict()

    def known(self, shown: str) -> tuple[User, ApiToken] | None:
        """Whose it is, if it was looked up a moment ago."""
        found = self._known.get(hash_of(shown))
        if found is None or self._now() - found[0] > SECONDS_REMEMBERED:
            return None
        return found[1], found[2]

    def remember(self, shown: str, user: User, token: ApiToken) -> None:
        """It was looked up now."""
        key = hash_of(shown)
        self._known[key] = (self._now(), user, token)
        self._known.move_to_end(key)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
