"""Single values of a row, as SQLite gives them, turned into what they mean.

Here belong identifiers, times, JSON, numbers, texts and vectors. What a whole row means is in ``decoding``.

Times without an offset: the Python era wrote its own rows in the local time of its machine, and some in UTC. Nothing in
the text tells which, so the caller names the zone. An hour that a change of clocks repeats is taken as its first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

import numpy as np

from panic_assets.errors import PanicError

_HEXADECIMAL = re.compile(r"[0-9a-f]{32}")
_SECONDS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_TYPES = {"TEXT": "text", "IMAGE": "image", "text": "text", "image": "image"}
_SHOWN = 60


class BadValue(PanicError):
    """A value that can't mean what its column says; ``kind`` is a short name for the defect."""

    def __init__(self, kind: str, column: str, value: Any, wanted: str) -> None:
        self.kind = kind
        shown = repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
        shown = shown if len(shown) <= 3 * _SHOWN else shown[: 3 * _SHOWN] + "..."
        more = f" ... ({len(value)} in all)" if isinstance(value, str | bytes) and len(value) > _SHOWN else ""
        super().__init__(f"{column}: {shown}{more} is not {wanted}")


def identifier(value: Any, column: str) -> str:
    """32 lowercase hexadecimal digits from any spelling: with hyphens or without, any case, or 16 bytes.

    Raises:
        BadValue: it is none, such as the float that a column of numbers made of it.
    """
    if isinstance(value, bytes) and len(value) == 16:
        return value.hex()
    if isinstance(value, str):
        plain = value.replace("-", "").lower()
        if _HEXADECIMAL.fullmatch(plain):
            return plain
    raise BadValue("bad_id", column, value, "an identifier of 32 hexadecimal digits")


def spellings(source_id: str) -> tuple[str | bytes, ...]:
    """All ways in which a database may write an identifier; one that is none stands for itself."""
    if not _HEXADECIMAL.fullmatch(source_id):
        return (source_id,)
    hyphenated = str(UUID(source_id))
    return source_id, hyphenated, source_id.upper(), hyphenated.upper(), bytes.fromhex(source_id)


def moment(value: Any, column: str, zone: tzinfo, default_now: bool = False) -> datetime | None:
    """A time in UTC; without an offset it is local to ``zone``.

    ``default_now``: the column's default is SQLite's ``datetime('now')``, which is UTC in whole seconds. Rows that
    their program stamped have a fraction.

    Raises:
        BadValue: it is no time.
    """
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC if default_now and _SECONDS.fullmatch(value) else zone)
        return found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise BadValue("bad_time", column, value, "a time such as 2025-08-01 09:30:00.125000") from None


def text(value: Any, column: str) -> str:
    """A text.

    Raises:
        BadValue: it is none, or its bytes are not UTF-8.
    """
    if isinstance(value, str):
        return value
    raise BadValue("bad_text", column, value, "text in UTF-8")


def number(value: Any, column: str) -> int:
    """An integer.

    Raises:
        BadValue: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise BadValue("bad_number", column, value, "an integer")


def modality(value: Any, column: str) -> str:
    """Text or image, from the spellings of both eras.

    Raises:
        BadValue: it is neither.
    """
    if isinstance(value, str) and value in _TYPES:
        return _TYPES[value]
    raise BadValue("bad_type", column, value, "TEXT or IMAGE")


def vector(value: Any, column: str) -> np.ndarray | None:
    """A vector of float32, shape (dimension,), from its little-endian bytes; None where there is none.

    Raises:
        BadValue: other bytes, or a number in it is not finite.
    """
    if value is None:
        return None
    if not isinstance(value, bytes) or not value or len(value) % 4:
        raise BadValue("bad_vector", column, value, "a vector: a positive number of float32, 4 bytes each")
    found = np.frombuffer(value, "<f4").astype(np.float32)
    if not np.isfinite(found).all():
        place = int(np.flatnonzero(~np.isfinite(found))[0])
        raise BadValue("bad_vector", f"{column}, component {place}", float(found[place]), "finite")
    return found


def parsed(value: Any, column: str) -> Any:
    """What a JSON text says.

    Raises:
        BadValue: it is no JSON.
    """
    try:
        return json.loads(value) if isinstance(value, str) else _fail(column, value)
    except (ValueError, RecursionError):
        raise BadValue("bad_json", column, value, "JSON") from None


def texts(value: Any, column: str) -> list[str]:
    """A JSON list of texts.

    Raises:
        BadValue: it is none.
    """
    return _texts(parsed(value, column), value, column)


def rings(value: Any, column: str) -> list[list[str]]:
    """A JSON list of lists of texts.

    Raises:
        BadValue: it is none.
    """
    found = parsed(value, column)
    if not isinstance(found, list):
        raise BadValue("bad_json", column, value, "a JSON list of lists of names")
    return [_texts(ring, value, column) for ring in found]


def numbers(value: Any, column: str) -> list[int]:
    """A JSON list of integers.

    Raises:
        BadValue: it is none.
    """
    found = parsed(value, column)
    if not isinstance(found, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise BadValue("bad_json", column, value, "a JSON list of integers")
    return found


def mapping(value: Any, column: str) -> dict[str, Any]:
    """A JSON object; empty where there is none.

    Raises:
        BadValue: it is something else.
    """
    found: Any = {} if value is None else parsed(value, column)
    if not isinstance(found, Mapping):
        raise BadValue("bad_json", column, value, "a JSON object")
    return dict(found)


def _texts(found: Any, value: Any, column: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BadValue("bad_json", column, value, "a JSON list of texts")
    return found


def _fail(column: str, value: Any) -> Any:
    raise BadValue("bad_json", column, value, "JSON")


@dataclass(frozen=True)
class Clock:
    """How the times of one table are to be read: the zone of those without offset, and columns that default to now."""

    zone: tzinfo = UTC
    default_now: frozenset[str] = frozenset()

    def read(self, row: Mapping[str, Any], column: str) -> datetime | None:
        """The time in that column; None where there is no such column.

        Raises:
            BadValue: it is no time.
        """
        return moment(row.get(column), column, self.zone, column in self.default_now)
