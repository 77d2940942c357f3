"""Rows that are valid for any table, made from a number: equal numbers make equal rows."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from panic_assets.lake import TABLES, Column
from panic_assets.lake.schemas import VECTOR

MODELS = {"small": 4, "large": 6}
_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def row(table: str, number: int, experiment: str = "first", **values: Any) -> dict[str, Any]:
    """One row; different numbers have different keys. Of tables of studies, ``experiment`` is the study."""
    spec = TABLES[table]
    made = {column.name: _value(column, number) for column in spec.columns}
    if "experiment" in made:
        made["experiment"] = experiment
    if "study" in made:
        made["study"] = experiment
    if "analysis" in made:
        made["analysis"] = ("drift", "regimes")[number % 2]
    if "embedding_model" in made:
        made["embedding_model"] = ("small", "large")[number % 2]
    made |= values
    if spec.vector and "vector" not in values:
        made["vector"] = [float(number)] * MODELS[made["embedding_model"]]
    return made


def rows(table: str, numbers: Iterable[int], experiment: str = "first", **values: Any) -> list[dict[str, Any]]:
    return [row(table, number, experiment, **values) for number in numbers]


def in_order(table: str, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(made, key=lambda r: tuple(r[name] for name in TABLES[table].sort))


def _value(column: Column, number: int) -> Any:
    kind = column.type
    if kind is VECTOR:
        return None
    if column.nullable and number % 3 == 0:
        return None
    if pa.types.is_fixed_size_binary(kind):
        return hashlib.blake2b(str(number).encode(), digest_size=16).digest()
    if pa.types.is_timestamp(kind):
        return _START + datetime.timedelta(seconds=number)
    if pa.types.is_list(kind):
        if pa.types.is_integer(kind.value_type):
            return [number, number + 1]
        return [f"value {number}"] if pa.types.is_string(kind.value_type) else [0.5 * number, float("inf")]
    if pa.types.is_boolean(kind):
        return number % 2 == 0
    if pa.types.is_int8(kind):
        return number % 3
    if pa.types.is_integer(kind):
        return number
    if pa.types.is_floating(kind):
        return 0.5 * number
    if pa.types.is_large_binary(kind):
        return hashlib.blake2b(str(number).encode()).digest() * 4
    return f"{column.name} {number}"
