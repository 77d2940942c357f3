"""Kinds of columns: times, money, identifiers.

Here belong types that both databases store alike; the tables that use them are in `tables`.
"""

from __future__ import annotations

import math
import re
import secrets
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from panic_assets.live.store.errors import BadValue

#: A billionth: calls billed by the token cost fractions of a millionth of a dollar.
_NANOS = 1_000_000_000
#: More than anyone pays for a call, and far from the end of 64 bits for a sum.
_MOST_DOLLARS = 1_000_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def new_id() -> str:
    """A fresh identifier, 22 characters, that can't be guessed."""
    return secrets.token_urlsafe(16)


class Words(sa.types.TypeDecorator[str]):
    """A text of any length. Half a surrogate pair and NUL, which no database takes, become U+FFFD: models send them."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """To what can be stored."""
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


class UtcTime(sa.types.TypeDecorator[datetime]):
    """A moment: aware going in, whatever its zone, and UTC coming out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To UTC.

        Raises:
            BadValue: a time without a zone, which could be any moment of a day.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise BadValue("a time", value.isoformat(), "it has no time zone; give it one (UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """From UTC: SQLite gives the time back without its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Dollars(sa.types.TypeDecorator[float]):
    """US dollars, kept as a whole number of billionths, so that sums are exact."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> int | None:
        """To billionths."""
        return None if value is None else round(value * _NANOS)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> float | None:
        """To dollars."""
        return None if value is None else int(value) / _NANOS


def check_cost(cost: float | None) -> None:
    """Do nothing if that much can have been billed.

    Raises:
        BadValue: less than nothing, not a number, or more than a million dollars.
    """
    if cost is not None and not (math.isfinite(cost) and 0 <= cost <= _MOST_DOLLARS):
        raise BadValue("cost", cost, f"a call costs from 0 to {_MOST_DOLLARS} US dollars, or None where it is unknown")
