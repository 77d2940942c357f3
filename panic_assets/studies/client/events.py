"""An event as the client writes it: identity, time, and values that JSON can hold.

Here belongs the form of version 1 of the platform's events, and nothing of their meaning.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from panic_assets.studies.client.errors import ClientError

SCHEMA_VERSION = 1
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_DEEPEST = 32
_INTEGERS = range(-(2**63), 2**63)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL and halves of characters: no database takes them


def uuid7(milliseconds: int | None = None) -> str:
    """A UUID of version 7 (RFC 9562): ids sort by their time, given or now, in milliseconds since 1970."""
    moment = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    bits = (moment & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return str(UUID(int=bits & ~(0x3 << 62) | 0x2 << 62))


def event(
    name: str,
    payload: Mapping[str, Any],
    *,
    source: str,
    event_id: str | None = None,
    study: str | None = None,
    correlation_id: str | None = None,
) -> dict[str, Any]:
    """An event that happens now. Values that are None are left out of the payload.

    Raises:
        ClientError: the id is not 1 to 128 of the characters A-Z a-z 0-9 _ . : -, or a value has no JSON.
    """
    if event_id is not None and not _ID.fullmatch(event_id):
        raise ClientError(f"event_id {event_id!r}: an id is 1 to 128 of the characters A-Z a-z 0-9 _ . : -")
    body = {
        "schema_version": SCHEMA_VERSION,
        "event_id": event_id or uuid7(),
        "name": name,
        "occurred_at": datetime.now(UTC).isoformat(),
        "source": source,
        "study": study,
        "correlation_id": correlation_id,
        "payload": {key: value for key, value in payload.items() if value is not None},
    }
    return {key: plain(value, key) for key, value in body.items() if value is not None}


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """The value as JSON has it. Numbers that are none become the texts "NaN", "Infinity" and "-Infinity".

    Scalars of numpy and torch are taken by their ``item``.

    Raises:
        ClientError: the value is of another kind, or too deep; ``where`` is its name in the message.
    """
    if depth > _DEEPEST:
        raise ClientError(f"{where}: deeper than {_DEEPEST} levels. Flatten it.")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int):
        return value if value in _INTEGERS else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _word(value)
    if isinstance(value, Mapping):
        return {
            _UNSTORABLE.sub("\ufffd", str(key)): plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return plain(value.item(), where, depth + 1)
    raise ClientError(
        f"{where}: {type(value).__name__} has no JSON. Give numbers, texts, lists and maps; of an array, its tolist()."
    )


def encoded(body: Mapping[str, Any]) -> str:
    """The event as JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
