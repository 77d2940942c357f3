"""How often the sensors look.

Here belongs reading that from the environment, once, when the definitions are loaded.
"""

from __future__ import annotations

import os

from panic_assets.errors import PanicError

INTERVAL_VARIABLE = "PANIC_SENSOR_SECONDS"


def sensor_seconds(text: str | None) -> int:
    """Whole seconds between two looks; nothing means 30.

    Raises:
        PanicError: it is not a whole number of at least 1.
    """
    if not text:
        return 30
    if not text.isdecimal() or int(text) < 1:
        raise PanicError(f"{INTERVAL_VARIABLE}: {text!r} is not a whole number of seconds; give 1 or more, or unset it")
    return int(text)


SENSOR_SECONDS = sensor_seconds(os.environ.get(INTERVAL_VARIABLE))
