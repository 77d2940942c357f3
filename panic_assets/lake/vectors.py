"""Vectors of a table as a matrix: the one way from Arrow to numpy. Nothing here reads files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def matrix(rows: pa.Table) -> np.ndarray:
    """The column ``vector`` as float32 array (rows, d), in the order of the rows; all of one space.

    Raises:
        ValueError: the vectors are not all of one dimension.
    """
    vectors = rows.column("vector").combine_chunks()
    if rows.num_rows == 0:
        return np.empty((0, 0), np.float32)
    return vectors.flatten().to_numpy(zero_copy_only=False).reshape(rows.num_rows, -1)
