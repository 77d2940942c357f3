"""Rows with an attribute that says nothing: they are imported without it.

Here belongs which attributes these are: times, and the name of the input, which the sequence numbers tell as well.
Whatever else is wrong with a row makes it a rejected one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from panic_assets.interop.panic_tda.records import Record, Rejected
from panic_assets.interop.panic_tda.report import Doubt
from panic_assets.interop.panic_tda.source import Source
from panic_assets.interop.panic_tda.values import BadValue

T = TypeVar("T")
_ATTRIBUTES = frozenset({"started_at", "completed_at", "inserted_at", "updated_at", "input_invocation_id"})


def mended(source: Source, holds: str, rows: Iterable[T | Rejected]) -> Iterator[T | Rejected | Doubt]:
    """The rows of the table that holds ``holds``; doubts come before the row that they are about."""
    for row in rows:
        if not isinstance(row, Rejected):
            yield row
            continue
        doubts: list[Doubt] = []
        record = _without_attributes(source, holds, row, doubts)
        if record is None:
            yield row
            continue
        yield from doubts
        yield record  # type: ignore[misc]


def _without_attributes(source: Source, holds: str, row: Rejected, doubts: list[Doubt]) -> Record | None:
    """The record with bad attributes left out; None where that does not help."""
    values = dict(row.row)
    while values:
        try:
            return source.decoded(holds, values)
        except BadValue as error:
            column = str(error).partition(":")[0]
            if column not in _ATTRIBUTES or values.get(column) is None:
                return None
            values[column] = None
            doubts.append(Doubt(holds, row.source_id, error.kind, str(error)))
        except (KeyError, TypeError):  # a row that could not be read has no columns
            return None
    return None
