"""Bytes and parsed JSON made safe: what comes out can be stored, sent on and compared.

Here belong limits that hold for any JSON. What an event has to say is in ``schema``.
"""

from __future__ import annotations

import json
import math
import re
from hashlib import blake2b
from typing import Any

from panic_assets.studies.events.errors import Malformed, TooLarge, Unprocessable
from panic_assets.studies.events.schema import NOT_NUMBERS

#: Of one event, as compact JSON.
MOST_BYTES = 256 * 1024
#: A client's own limit is 32 within the payload.
DEEPEST = 40
_INTEGERS = range(-(2**63), 2**63)
_LONGEST_INTEGER = 40
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NAN_REMEDY = 'JSON has no {}; send null or the text "{}"'


def parsed(raw: bytes) -> Any:
    """What the bytes say.

    Raises:
        Malformed: they are no UTF-8, no JSON, nested too deeply, or hold NaN or a number that no computer here has.
    """
    try:
        return json.loads(raw.decode(), parse_constant=_no_number, parse_float=_float, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise Malformed("invalid_json", [f"the body is no UTF-8 (byte {error.start}); send JSON in UTF-8"]) from None
    except RecursionError:
        raise Malformed("invalid_json", [f"the body is nested deeper than {DEEPEST} levels; flatten it"]) from None
    except json.JSONDecodeError as error:
        raise Malformed("invalid_json", [f"the body is no JSON: {error.msg} at character {error.pos}"]) from None


def sound(body: Any) -> dict[str, Any]:
    """The event as it is kept: a map of plain JSON, without what no database takes.

    NUL and halves of surrogate pairs in texts become U+FFFD. NaN and infinities, which only a caller in this process
    can send, become texts.

    Raises:
        Malformed: it is no map, or nested too deeply.
        Unprocessable: it holds a number beyond 64 bits, or what has no JSON.
    """
    if not isinstance(body, dict):
        raise Malformed("validation_failed", [f"an event is a map of JSON, not {_kind(body)}"])
    clean: dict[str, Any] = _clean(body, "event", 1)
    return clean


def canonical(body: dict[str, Any]) -> str:
    """The one text of equal bodies.

    Raises:
        TooLarge: it is longer than `MOST_BYTES`.
    """
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    size = len(text) if text.isascii() else len(text.encode())
    if size > MOST_BYTES:
        raise TooLarge(
            "too_large",
            [f"the event has {size} bytes, more than {MOST_BYTES}; leave out what is large, such as a stacktrace"],
        )
    return text


def digest_of(text: str) -> str:
    """blake2b-128 of a text, as 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _no_number(word: str) -> Any:
    raise Malformed("invalid_json", [_NAN_REMEDY.format(word, word)])


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Malformed("invalid_json", [f"{text[:_LONGEST_INTEGER]} is larger than a double can be"])
    return value


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INTEGER or int(text) not in _INTEGERS:
        raise Malformed("invalid_json", [f"{text[:_LONGEST_INTEGER]} is beyond 64 bits; send it as a text"])
    return int(text)


def _clean(value: Any, where: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise Unprocessable("event_construction_failed", [f"{where}: a number beyond 64 bits; send it as a text"])
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _word(value)
    if depth > DEEPEST:
        raise Malformed("invalid_json", [f"{where}: nested deeper than {DEEPEST} levels; flatten it"])
    if isinstance(value, dict):
        return {_name(key, where): _clean(part, f"{where}.{key}"[:200], depth + 1) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(part, where, depth + 1) for part in value]
    raise Unprocessable("event_construction_failed", [f"{where}: {_kind(value)} has no JSON"])


def _name(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise Unprocessable("event_construction_failed", [f"{where}: a name is a text, not {_kind(key)}"])
    return _text(key)


def _text(value: str) -> str:
    return value if value.isascii() and "\0" not in value else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


def _word(value: float) -> str:
    word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    assert word in NOT_NUMBERS
    return word


def _kind(value: Any) -> str:
    names = {dict: "a map", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
