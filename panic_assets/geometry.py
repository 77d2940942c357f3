"""Euclidean distances between the points of one trajectory, exact where exactness is visible.

Here belongs what turns points into a matrix: the checks, the search for repeated rows, the matrix itself. What is made
of the matrix (diagrams, recurrence, Lyapunov exponents) belongs to those who use it. Distances between *diagrams* do
not belong here either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from panic_assets.errors import PanicError

# Below this share of |x|^2 + |y|^2, the squared distance loses more than 20 of its 53 bits to cancellation. The largest
# norm stands for all: it errs towards refining more pairs, and needs no second matrix.
_NEAR = 2.0**-20
_CHUNK_BYTES = 1 << 22
_NAMED_ROWS = 5


class PointsError(PanicError):
    """Points, or a distance matrix, that no distance or diagram can be made of."""


def checked_points(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``points`` as a float64 (n, d) array without negative zeros, or say what is wrong with them.

    Args:
        points: (n, d) floating point, n >= 0, d >= 1, every value finite.

    Raises:
        PointsError: not two-dimensional, not floating point, no columns, or rows that hold NaN or infinity.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] == 0:
        raise PointsError(f"points has shape {points.shape}; it must be (points, dimensions), with dimensions >= 1")
    if not np.issubdtype(points.dtype, np.floating):
        raise PointsError(f"points has dtype {points.dtype}; it must be float32 or float64")
    unusable = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if unusable.size:
        named = ", ".join(str(row) for row in unusable[:_NAMED_ROWS])
        more = f" and {unusable.size - _NAMED_ROWS} more" if unusable.size > _NAMED_ROWS else ""
        raise PointsError(f"points has NaN or infinity in row {named}{more} of {len(points)}; leave those rows out")
    # Adding positive zero turns -0.0 into 0.0, so that equal rows have equal bytes.
    return np.ascontiguousarray(points, dtype=np.float64) + 0.0


def distinct_rows(points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the rows that occur for the first time.

    Args:
        points: (n, d) float64, from :func:`checked_points`.

    Returns:
        ``first``: (m,) the row number of each distinct row, increasing; ``which``: (n,) the position in ``first`` of
        the row that equals row i, so that ``points[first][which]`` is ``points``. Rows are equal when their bytes are.
    """
    seen: dict[bytes, int] = {}
    which = np.fromiter((seen.setdefault(row.tobytes(), len(seen)) for row in points), dtype=np.intp, count=len(points))
    # Positions are given out in order, so a row is a first one exactly where the running maximum grows.
    first = np.flatnonzero(np.diff(np.maximum.accumulate(which), prepend=-1))
    return first, which


def distances_of_distinct(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Euclidean distances between rows that are all distinct.

    Squared distances are ``s_i + s_j - 2 G_ij`` with the Gram matrix G of one float64 product and s its own diagonal:
    assuming unit norms instead costs up to 1e-4. Pairs so close that this cancels are computed again from their
    difference, so distinct rows never get distance zero.

    Args:
        points: (m, d) float64, finite, no two rows equal.

    Returns:
        (m, m) float64: symmetric, zero on the diagonal, positive elsewhere.
    """
    if len(points) < 2:
        return np.zeros((len(points), len(points)))
    # A power of two near the largest value keeps squares clear of overflow and underflow, and costs no precision.
    exponent = int(np.frexp(np.abs(points).max())[1])
    scaled = np.ldexp(points, -exponent)
    matrix = scaled @ scaled.T
    norms = matrix.diagonal().copy()
    matrix *= -2.0
    matrix += norms[:, None]
    matrix += norms
    near = matrix <= _NEAR * 2 * norms.max()
    np.sqrt(np.maximum(matrix, 0.0, out=matrix), out=matrix)
    # Products of a matrix with its own transpose come out symmetric from most BLAS libraries, but not by promise.
    np.maximum(matrix, matrix.T, out=matrix)
    _refine(matrix, scaled, near)
    np.fill_diagonal(matrix, 0.0)
    np.ldexp(matrix, exponent, out=matrix)
    return matrix


def distance_matrix(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the Euclidean distance between every two rows.

    Args:
        points: (n, d) float32 or float64, finite.

    Returns:
        (n, n) float64: symmetric, exactly zero between equal rows (on any BLAS) and positive between others.

    Raises:
        PointsError: see :func:`checked_points`.
    """
    rows = checked_points(points)
    first, which = distinct_rows(rows)
    if len(first) == len(rows):
        return distances_of_distinct(rows)
    return distances_of_distinct(rows[first])[np.ix_(which, which)]


def _refine(matrix: NDArray[np.float64], points: NDArray[np.float64], near: NDArray[np.bool_]) -> None:
    """Write into ``matrix`` the distances of the pairs marked in ``near``, from the differences of their rows."""
    left, right = np.nonzero(np.triu(near | near.T, k=1))
    step = max(1, _CHUNK_BYTES // (8 * points.shape[1]))
    for start in range(0, len(left), step):
        i, j = left[start : start + step], right[start : start + step]
        difference = np.abs(points[i] - points[j])
        # The largest entry is taken out first: the square of a tiny difference would be zero.
        largest = difference.max(axis=1)
        difference /= largest[:, None]
        matrix[i, j] = matrix[j, i] = largest * np.sqrt(np.einsum("ij,ij->i", difference, difference))
