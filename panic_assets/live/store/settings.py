"""The fields that are kept as JSON: checked on the way in, and made records again on the way out.

Here belongs what such a field may hold. Whether a ring can run and what a watcher shows is judged elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, get_args

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from panic_assets.live.records import ErrorAction, ErrorKind, Limits, OnError, Pacing, Watcher
from panic_assets.live.store.errors import BadValue, LiveStoreError

_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "pacing": TypeAdapter(Pacing),
    "limits": TypeAdapter(Limits),
    "on_error": TypeAdapter(OnError),
    "watchers": TypeAdapter(tuple[Watcher, ...]),
    "models": TypeAdapter(tuple[str, ...]),
    "scopes": TypeAdapter(tuple[str, ...]),
}


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0


def _pacing(pacing: Pacing) -> str | None:
    ages = [age for age, _ in pacing.steps]
    if not ages or ages[-1] is not None:
        return "the last step has no age (None): it holds for good"
    before = [0.0, *(math.inf if age is None else age for age in ages)]
    if any(not earlier < later for earlier, later in pairwise(before)):
        return "the ages of the steps grow, from more than 0"
    rests = [rest for _, rest in pacing.steps] + [pacing.board_rest, pacing.first_rest]
    return None if all(map(_is_time, rests)) else "every rest is 0 seconds or more"


def _limits(limits: Limits) -> str | None:
    given = [limit for limit in (limits.invocations, limits.seconds, limits.cost) if limit is not None]
    return None if all(math.isfinite(limit) and limit > 0 for limit in given) else "every limit is above 0, or None"


def _on_error(on_error: OnError) -> str | None:
    kinds, actions = get_args(ErrorKind), get_args(ErrorAction)
    if not (on_error.actions.keys() <= set(kinds) and set(on_error.actions.values()) <= set(actions)):
        return f"the kinds are {', '.join(kinds)}, the actions {', '.join(actions)}"
    if on_error.attempts < 1:
        return "there is at least 1 attempt"
    return None if _is_time(on_error.first_wait) and _is_time(on_error.longest_wait) else "waits are 0 s or more"


def _watchers(watchers: Sequence[Watcher]) -> str | None:
    names = [watcher.name for watcher in watchers]
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"two watchers of an installation have the name {twice[0]!r}; rename one" if twice else None


_RULES: dict[str, Callable[[Any], str | None]] = {
    "pacing": _pacing,
    "limits": _limits,
    "on_error": _on_error,
    "watchers": _watchers,
}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def to_json(field: str, value: Any) -> Any:
    """What is stored for a record; ``field`` is the column.

    Raises:
        BadValue: the record holds what it can't hold.
    """
    plain = _plain(value)
    try:
        record = _ADAPTERS[field].validate_python(plain)
    except ValidationError as error:
        raise BadValue(field, plain, _first(error)) from None
    problem = _RULES.get(field, lambda _: None)(record)
    if problem:
        raise BadValue(field, plain, problem)
    return _ADAPTERS[field].dump_python(record, mode="json")


def from_json(row: sa.Row[Any], table: str, *fields: str) -> dict[str, Any]:
    """``row`` with those of its columns that hold JSON made records.

    Raises:
        LiveStoreError: a column holds what no version of this package wrote.
    """
    values = dict(row._mapping)
    for field in fields:
        try:
            values[field] = _ADAPTERS[field].validate_python(values[field])
        except ValidationError as error:
            raise LiveStoreError(
                f"the live store's table {table}, {values.get('id')!r}, column {field} holds {values[field]!r}: "
                f"{_first(error)}. Somebody wrote it by hand; correct it or restore a backup"
            ) from None
    return values


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    return f"{place}: {problem['msg']}" if place else str(problem["msg"])
