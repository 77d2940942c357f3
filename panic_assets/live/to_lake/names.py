"""What a live thing is called in the lake: partitions, days, identities.

Here belong functions of what the store and the lake hold, so that a second ingestion gives the same names.
"""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from panic_assets.errors import PanicError
from panic_assets.loop.ids import content_id

SYSTEM = "panic-live"
_KEY_LENGTH = 63
_DIGITS = 4


class UnknownZone(PanicError):
    """A time zone that this machine does not know."""


def zone_of(name: str) -> tzinfo | None:
    """The time zone of that name; None, which `datetime.astimezone` takes for that of the machine, for no name.

    Raises:
        UnknownZone: there is none.
    """
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise UnknownZone(
            f"PANIC_LIVE_TIMEZONE: there is no time zone {name!r}; write one such as Australia/Sydney or UTC"
        ) from None


def slug(name: str) -> str:
    """Small letters, digits and single hyphens; ``network`` where a name has none of them."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "network"


def experiment_key(name: str, network_id: str, day: date, is_second: bool, is_taken: Callable[[str], bool]) -> str:
    """The partition of a network and a day: ``live-<slug>-<day>``.

    Digits made from the id are put behind the slug if an older network has the same, or something else the name.
    """
    end = f"-{day.isoformat()}"
    room = _KEY_LENGTH - len("live-") - len(end)
    identity = content_id({"system": SYSTEM, "network": network_id}).hex()
    keys = [] if is_second else [f"live-{slug(name)[:room].rstrip('-')}{end}"]
    keys += [
        f"live-{slug(name)[: room - digits - 1].rstrip('-')}-{identity[:digits]}{end}"
        for digits in range(_DIGITS, len(identity) + 1, _DIGITS)
    ]
    return next(key for key in keys if not is_taken(key))


def source_id(live_id: str) -> str:
    """An identifier of the live store as 32 hexadecimal digits: the 16 bytes that its letters stand for."""
    return base64.urlsafe_b64decode(f"{live_id}==").hex()


def run_identity(run_id: str, first: int) -> bytes:
    """16 bytes that identify the run of the lake that begins at place ``first`` of a live run."""
    return content_id({"system": SYSTEM, "run": run_id, "first": first})


@dataclass(frozen=True)
class Held:
    """A partition that has runs of a network: their numbers, from ``first`` to ``last``, and its day."""

    key: str
    day: date
    first: int
    last: int


def day_of(number: int, started_at: datetime, zone: tzinfo | None, held: Sequence[Held]) -> date:
    """The day that a run belongs to: that of its start, unless the lake has it under another.

    Days never go back as numbers grow, also where the zone was changed meanwhile: no run is in two partitions.
    """
    for partition in held:
        if partition.first <= number <= partition.last:
            return partition.day
    before = [partition.day for partition in held if partition.last < number]
    after = [partition.day for partition in held if partition.first > number]
    day = max([started_at.astimezone(zone).date(), *before])
    return min([day, *after])
