"""Rows in memory: checking them against a table's declaration, and choosing among them.

Here belongs everything that can be done without a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from panic_assets.lake.errors import SchemaViolation
from panic_assets.lake.schemas import VECTOR, Column, TableSpec, vector_type

Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]]
Where: TypeAlias = Mapping[str, Any]
Pieces: TypeAlias = list[tuple[dict[str, str], pa.Table]]

_SEVERAL = (list, tuple, set, frozenset)


def conform(spec: TableSpec, rows: Rows, fixed: Mapping[str, str] | None = None) -> Pieces:
    """Check rows and bring them to the table's exact types, split by labels: (labels, table) pairs without empty ones.

    Absent nullable columns become null. Types are widened only where no value can change. ``fixed`` are columns that
    must hold one given value in all rows; they join the labels, except the column that the table is partitioned by.

    Raises:
        SchemaViolation: a missing or unknown column, a wrong type, a null or a value that does not belong.
    """
    table = rows if isinstance(rows, pa.Table) else None
    if table is None:
        split = _split_dicts(spec, rows)
    else:
        _check_names(spec, table.column_names)
        split = [_from_table(spec, part) for part in _split_table(spec, table)]
    result = []
    for part in split:
        for name, value in (fixed or {}).items():
            if not pa.types.is_string(spec.column(name).type):
                raise SchemaViolation(spec.name, name, "a label of a text column", str(spec.column(name).type))
            mask = pc.fill_null(pc.equal(part[name], value), False)
            if not pc.all(mask).as_py():
                other = part[name].filter(pc.invert(mask))[0].as_py()
                raise SchemaViolation(spec.name, name, f"{value!r} in every row", repr(other))
        names = [*spec.labels, *(name for name in (fixed or {}) if name != spec.partition and name not in spec.labels)]
        result.append(({name: str(part[name][0].as_py()) for name in names}, part))
    return result


def upgrade(spec: TableSpec, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Give rows that an older version wrote the columns that came later, as nulls, and let null what may be so now."""
    fields, arrays = [], []
    for name in columns:
        column = spec.column(name)
        is_there = name in table.column_names
        array = table[name] if is_there else pa.chunked_array([pa.nulls(table.num_rows, column.type)])
        field = table.schema.field(name) if is_there else pa.field(name, column.type)
        fields.append(field.with_nullable(True) if column.nullable else field)
        arrays.append(array)
    return pa.table(arrays, pa.schema(fields)) if columns else table.select([])


def where_expression(spec: TableSpec, where: Where) -> pc.Expression | None:
    """``where`` as an Arrow expression: columns equal to a value, or to one of a list or set; None is null."""
    expression: pc.Expression | None = None
    for name, value in where.items():
        column = spec.column(name)
        if isinstance(value, _SEVERAL):
            term = pc.field(name).isin(pa.array(sorted(value), type=column.type))
        elif value is None:
            term = pc.field(name).is_null()
        else:
            term = pc.field(name) == pa.scalar(value, type=column.type)
        expression = term if expression is None else expression & term
    return expression


def labels_verdict(labels: Mapping[str, str], where: Where) -> bool | None:
    """Whether ``where`` holds for all rows of a part with these labels (True), none (False), or maybe some (None)."""
    verdict: bool | None = True
    for name, value in where.items():
        if name not in labels:
            verdict = None if verdict else verdict
        elif labels[name] not in (value if isinstance(value, _SEVERAL) else (value,)):
            return False
    return verdict


def sorted_rows(spec: TableSpec, table: pa.Table) -> pa.Table:
    """The rows in the table's order."""
    order = [(name, "ascending") for name in spec.sort]
    return table.take(pc.sort_indices(table.select(list(spec.sort)), sort_keys=order))


def stack(spec: TableSpec, tables: Sequence[pa.Table]) -> pa.Table:
    """One table of several; vectors of differing size become lists of any size."""
    has_vectors = spec.vector is not None and spec.vector in tables[0].column_names
    if has_vectors and len({table.schema.field(spec.vector).type for table in tables}) > 1:
        place = tables[0].schema.get_field_index(spec.vector)
        field = pa.field(spec.vector, VECTOR, nullable=False)
        tables = [table.set_column(place, field, table[spec.vector].cast(VECTOR)) for table in tables]
    return pa.concat_tables(tables)


def _split_dicts(spec: TableSpec, rows: Sequence[Mapping[str, Any]]) -> list[pa.Table]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in spec.labels), []).append(row)
    tables = []
    for group in groups.values():
        _check_names(spec, sorted(set().union(*group)))
        arrays = [pa.chunked_array([_from_values(spec, column, group)]) for column in spec.columns]
        tables.append(_finish(spec, arrays))
    return tables


def _from_values(spec: TableSpec, column: Column, rows: Sequence[Mapping[str, Any]]) -> pa.Array:
    if column.nullable:
        values = [row.get(column.name) for row in rows]
    else:
        for number, row in enumerate(rows):
            if row.get(column.name) is None:
                state = "null" if column.name in row else "no value"
                raise SchemaViolation(spec.name, column.name, f"{column.type} in every row", f"{state} in row {number}")
        values = [row[column.name] for row in rows]
    if column.type is VECTOR:
        return _vectors(spec, column, values)
    if pa.types.is_timestamp(column.type) and any(v is not None and getattr(v, "tzinfo", None) is None for v in values):
        raise SchemaViolation(spec.name, column.name, "datetimes with a time zone", "one without")
    if pa.types.is_list(column.type) and any(isinstance(value, str | bytes) for value in values):
        raise SchemaViolation(spec.name, column.name, str(column.type), "a text, which would become its letters")
    strict = pa.types.is_integer(column.type) or pa.types.is_string(column.type)
    try:
        # Arrow would quietly cut 1.5 to an integer and take bytes for text: look at what the values are by themselves.
        own = pa.array(values) if strict else None
        if own is not None and own.null_count < len(own) and not _fits(own.type, column.type):
            raise SchemaViolation(spec.name, column.name, str(column.type), str(own.type))
        return pa.array(values, type=column.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, OverflowError) as error:
        raise SchemaViolation(spec.name, column.name, str(column.type), str(error)) from error


def _vectors(spec: TableSpec, column: Column, values: Sequence[Any]) -> pa.Array:
    sizes = {len(value) for value in values}
    if len(sizes) != 1 or 0 in sizes:
        raise SchemaViolation(spec.name, column.name, "vectors of one size", f"sizes {sorted(sizes)}")
    numbers = np.stack([np.asarray(value) for value in values])
    if numbers.dtype.kind not in "fiu":
        raise SchemaViolation(spec.name, column.name, "vectors of float32", f"vectors of {numbers.dtype}")
    flat = pa.array(np.ascontiguousarray(numbers, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=vector_type(sizes.pop()))


def _split_table(spec: TableSpec, table: pa.Table) -> list[pa.Table]:
    if table.num_rows == 0:
        return []
    tables = [table]
    for name in spec.labels:
        if name not in table.column_names:
            continue
        tables = [
            part if len(values) == 1 else part.filter(pc.equal(part[name], value))
            for part in tables
            for values in [pc.unique(part[name])]
            for value in values
        ]
    return tables


def _from_table(spec: TableSpec, table: pa.Table) -> pa.Table:
    arrays = []
    for column in spec.columns:
        if column.name not in table.column_names:
            if not column.nullable:
                raise SchemaViolation(spec.name, column.name, f"a column of {column.type}", "no such column")
            arrays.append(pa.chunked_array([pa.nulls(table.num_rows, column.type)]))
            continue
        array = table[column.name]
        if array.null_count and not column.nullable:
            raise SchemaViolation(spec.name, column.name, "no nulls", f"{array.null_count} nulls")
        if not _fits(array.type, column.type) and not (array.null_count == len(array) and column.nullable):
            raise SchemaViolation(spec.name, column.name, str(column.type), str(array.type))
        try:
            arrays.append(_fixed_size(spec, column, array) if column.type is VECTOR else array.cast(column.type))
        except pa.ArrowInvalid as error:
            raise SchemaViolation(spec.name, column.name, str(column.type), str(error)) from error
    return _finish(spec, arrays)


def _fixed_size(spec: TableSpec, column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    sizes = pc.unique(pc.list_value_length(array)).to_pylist()
    if len(sizes) != 1 or sizes[0] == 0:
        raise SchemaViolation(spec.name, column.name, "vectors of one size", f"sizes {sorted(sizes)}")
    numbers = pc.list_flatten(array).cast(pa.float32()).combine_chunks()
    if numbers.null_count:
        raise SchemaViolation(spec.name, column.name, "numbers in every vector", f"{numbers.null_count} nulls")
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(numbers, type=vector_type(int(sizes[0])))])


def _finish(spec: TableSpec, arrays: list[pa.ChunkedArray]) -> pa.Table:
    schema = spec.arrow_schema()
    if spec.vector:
        schema = spec.arrow_schema(arrays[schema.get_field_index(spec.vector)].type.list_size)
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_names(spec: TableSpec, names: Sequence[str]) -> None:
    for name in names:
        if name not in spec.names:
            raise SchemaViolation(spec.name, name, f"only the columns {', '.join(spec.names)}", f"a column {name!r}")


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a cast from ``found`` keeps every value, or fails on those that it can't keep."""
    kinds = pa.types
    if kinds.is_dictionary(found):
        return _fits(found.value_type, expected)
    if kinds.is_list(expected):
        nested = kinds.is_list(found) or kinds.is_large_list(found) or kinds.is_fixed_size_list(found)
        return nested and _fits(found.value_type, expected.value_type)
    if kinds.is_integer(expected):
        return kinds.is_integer(found)
    if kinds.is_floating(expected):
        return kinds.is_floating(found) and found.bit_width <= expected.bit_width
    if kinds.is_timestamp(expected):
        return kinds.is_timestamp(found) and found.tz is not None
    if kinds.is_string(expected):
        return kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_string_view(found)
    if kinds.is_large_binary(expected) or kinds.is_fixed_size_binary(expected):
        binary = (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view, kinds.is_fixed_size_binary)
        return any(is_kind(found) for is_kind in binary)
    return found == expected
