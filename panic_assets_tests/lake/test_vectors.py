"""Vectors as a matrix."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from panic_assets.lake.schemas import vector_type
from panic_assets.lake.vectors import matrix


def _table(*vectors: list[float]) -> pa.Table:
    return pa.table({"vector": pa.array(vectors, vector_type(2))})


def test_rows_keep_their_order_over_chunks() -> None:
    rows = pa.concat_tables([_table([1, 2], [3, 4]), _table([5, 6])])
    assert np.array_equal(matrix(rows), np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    assert np.array_equal(matrix(rows.slice(1)), np.array([[3, 4], [5, 6]], np.float32))
    assert matrix(rows).dtype == np.float32


def test_no_rows_give_an_empty_matrix() -> None:
    assert matrix(_table()).size == 0


def test_vectors_of_two_dimensions_make_no_matrix() -> None:
    with pytest.raises(ValueError, match="reshape"):
        matrix(pa.table({"vector": pa.array([[1.0], [1.0, 2.0]], pa.list_(pa.float32()))}))
