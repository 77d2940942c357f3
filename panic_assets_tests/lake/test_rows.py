from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from panic_assets.lake import TABLES, Lake, LakeError, SchemaViolation
from panic_assets_tests.lake.make import in_order, row, rows


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path)


def _append(lake: Lake, table: str, given: Any, labels: dict[str, str] | None = None) -> None:
    with lake.writer(table, "first") as writer:
        writer.append(given, labels)
        writer.commit()


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"run_number": None}, "run_number", "expected int32 in every row; found null in row 0"),
        ({"run_number": "seven"}, "run_number", "expected int32"),
        ({"run_number": 2**31}, "run_number", "expected int32"),
        ({"run_number": 1.5}, "run_number", "expected int32"),
        ({"colour": "red"}, "colour", "expected only the columns experiment, run_number"),
        ({"experiment": "second"}, "experiment", "expected 'first' in every row; found 'second'"),
        ({"run_id": b"short"}, "run_id", "expected fixed_size_binary"),
        ({"models": "A"}, "models", "expected list"),
    ],
)
def test_rows_that_do_not_fit_are_named(lake, change, column, message):
    with pytest.raises(SchemaViolation, match="table runs") as caught:
        _append(lake, "runs", [row("runs", 1) | change])
    assert caught.value.column == column
    assert message in str(caught.value)
    assert lake.generation("runs", "first") == 0


@pytest.mark.parametrize(
    ("column", "array", "message"),
    [
        ("run_number", pa.array([1.0]), "expected int32; found double"),
        ("run_number", pa.array([None], pa.int32()), "expected no nulls; found 1 nulls"),
        ("run_number", pa.array([2**40]), "expected int32"),
        ("prompt", pa.array([b"x"]), "expected string; found binary"),
        ("seed", pa.array(["1"]), "expected int64; found string"),
    ],
)
def test_tables_that_do_not_fit_are_named(lake, column, array, message):
    table = pa.Table.from_pylist([row("runs", 1)], TABLES["runs"].arrow_schema())
    wrong = table.set_column(table.schema.get_field_index(column), column, array)
    with pytest.raises(SchemaViolation, match=message):
        _append(lake, "runs", wrong)
    with pytest.raises(SchemaViolation, match=rf"column {column}: expected a column of .*; found no such column"):
        _append(lake, "runs", table.drop_columns([column]))
    with pytest.raises(SchemaViolation, match="found a column 'colour'"):
        _append(lake, "runs", table.append_column("colour", pa.array(["red"])))


def test_missing_values_of_required_columns_are_named(lake):
    given = row("runs", 1)
    del given["seed"]
    with pytest.raises(SchemaViolation, match="column seed: expected int64 in every row; found no value in row 0"):
        _append(lake, "runs", [given])


def test_times_have_a_zone(lake):
    naive = datetime.datetime(2026, 1, 1)
    with pytest.raises(SchemaViolation, match="column created_at: expected datetimes with a time zone"):
        _append(lake, "experiments", [row("experiments", 1, created_at=naive)])
    table = pa.Table.from_pylist([row("experiments", 1)], TABLES["experiments"].arrow_schema())
    wrong = table.set_column(table.schema.get_field_index("created_at"), "created_at", pa.array([naive]))
    with pytest.raises(SchemaViolation, match="column created_at"):
        _append(lake, "experiments", wrong)


def test_absent_nullable_columns_are_null(lake):
    given = row("prompts", 1)
    del given["tags"]
    _append(lake, "prompts", [given])
    _append(lake, "prompts", pa.Table.from_pylist([row("prompts", 2)]).drop_columns(["tags"]))
    assert lake.read("prompts", "first")["tags"].to_pylist() == [None, None]


def test_polars_frames_fit(lake):
    given = rows("invocations", [1, 2, 4])
    frame = pl.DataFrame(given, schema_overrides={"run_number": pl.Int64, "model": pl.Categorical})
    _append(lake, "invocations", frame.to_arrow())
    assert lake.read("invocations", "first").to_pylist() == in_order("invocations", given)


def test_vectors_come_from_arrays_and_frames(lake):
    numbers = np.arange(8, dtype=np.float32).reshape(2, 4)
    listed = [row("embeddings", n, embedding_model="small", vector=numbers[n]) for n in range(2)]
    _append(lake, "embeddings", listed)
    frame = pl.DataFrame(rows("embeddings", [2, 4])).with_columns(pl.col("vector").cast(pl.Array(pl.Float32, 4)))
    _append(lake, "embeddings", frame.to_arrow())
    found = lake.read("embeddings", "first")["vector"].combine_chunks()
    assert found.type.list_size == 4
    assert np.array_equal(found.flatten().to_numpy().reshape(-1, 4)[:2], numbers)


def test_vectors_of_differing_sizes_are_refused(lake):
    mixed = [row("embeddings", 0, vector=[1.0]), row("embeddings", 2, vector=[1.0, 2.0])]
    with pytest.raises(SchemaViolation, match=r"vectors of one size; found sizes \[1, 2\]"):
        _append(lake, "embeddings", mixed)
    with pytest.raises(SchemaViolation, match="vectors of one size"):
        _append(lake, "embeddings", pa.Table.from_pylist(mixed, TABLES["embeddings"].arrow_schema()))
    with pytest.raises(SchemaViolation, match="found list<item: double>"):
        _append(lake, "embeddings", pa.Table.from_pylist(mixed))
    _append(lake, "embeddings", [row("embeddings", 0)])
    with pytest.raises(SchemaViolation, match=r"4 numbers, as the rows of .*small.* found 2 numbers"):
        _append(lake, "embeddings", mixed[1:])


def test_labels_hold_for_every_row(lake):
    with pytest.raises(SchemaViolation, match="expected 'A' in every row; found 'B'"):
        _append(
            lake, "invocations", [row("invocations", 1, model="A"), row("invocations", 2, model="B")], {"model": "A"}
        )
    with pytest.raises(SchemaViolation, match="a label of a text column"):
        _append(lake, "invocations", [row("invocations", 1)], {"run_number": "1"})
    _append(lake, "invocations", [row("invocations", 1, model="A")], {"model": "A"})
    assert [part.labels for part in lake.manifest("invocations", "first").parts] == [{"model": "A"}]


def test_partition_keys_are_checked(lake):
    for table, key, message in [
        ("runs", None, "name the experiment"),
        ("runs", "../x", "can't be a partition"),
        ("runs", "First", "can't be a partition"),
        ("clusters", "first", "not partitioned"),
        ("nothing", None, "no table 'nothing'"),
    ]:
        with pytest.raises(LakeError, match=message):
            lake.writer(table, key)
