"""Vietoris-Rips persistence of one distance matrix: which of gudhi's ways to take, and the call.

Here belongs everything that touches gudhi's Rips code. Points, repeated rows, several trajectories and budgets belong
to ``persistence`` and ``budget``.

Three facts decide the cost, each measured on trajectories of 100 to 1000 points (see ``docs/topology.md``):

* The order of the points changes no diagram, but the time up to twofold. gudhi's reduction visits cofacets from the
  last vertex down and stops at the first one of equal diameter; a central point as last vertex seldom enlarges a
  simplex. Edge collapse looks for a dominating vertex from the first one up, so it wants the central points first.
* Edge collapse decides H2: it removes 80 to 98 % of the edges of most trajectories, and about none of a torus, where
  it costs as much as the rest. A sample of 40 points tells the two apart for about a millisecond.
* From the enclosing radius on (the least, over the points, of the largest distance) the complex is a cone, and often it
  is contractible long before: nothing is born or dies there, so longer edges are left out without loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from panic_assets.topology.contraction import contraction_radius, enclosing_radius

if TYPE_CHECKING:
    from scipy.sparse import coo_matrix

COEFFICIENT_FIELD = 2

# Below this the edges saved cost less than finding the scale to cut at.
_CONTRACTION_PAYS_POINTS = 200
_SAMPLE_POINTS = 40
_COLLAPSE_PAYS_BELOW = 0.6
# From here on the collapse costs less than the little it removes saves, even on a torus.
_ALWAYS_COLLAPSE_POINTS = 300


def load_libraries() -> None:
    """Import gudhi now (about two seconds), so that no diagram's time includes it."""
    import gudhi.flag_filtration.edge_collapse
    import gudhi.sklearn  # noqa: F401


def rips_bars(matrix: NDArray[np.float64], max_dimension: int, threshold: float = np.inf) -> list[NDArray[np.float64]]:
    """Compute the persistent homology of the Rips filtration over the field of two elements.

    Args:
        matrix: (m, m) float64 distances between m >= 1 distinct points: symmetric, positive off the diagonal.
        max_dimension: highest homology dimension, >= 0.
        threshold: longest edge; homology alive there is reported with death infinity.

    Returns:
        max_dimension + 1 arrays (bars, 2) of births and deaths, sorted by birth, then death; none of length zero.
    """
    quiet = contraction_radius if max_dimension and len(matrix) >= _CONTRACTION_PAYS_POINTS else enclosing_radius
    radius = min(threshold, quiet(matrix))
    outwards = np.argsort(matrix.mean(axis=1), kind="stable")
    if max_dimension < 2:
        bars = _reduce_matrix(matrix, outwards, max_dimension, radius)
    elif _collapse_pays(matrix, outwards, radius):
        bars = _reduce_graph(_collapsed(_graph(matrix, outwards, radius)), max_dimension)
    else:
        bars = _reduce_matrix(matrix, outwards, max_dimension, radius)
    return [_tidy(of_dimension) for of_dimension in bars]


def _collapse_pays(matrix: NDArray[np.float64], outwards: NDArray[np.intp], radius: float) -> bool:
    """Try edge collapse on points spread evenly from the centre outwards, and judge by the share of edges it leaves."""
    if len(matrix) >= _ALWAYS_COLLAPSE_POINTS:
        return True
    sample = outwards[np.linspace(0, len(matrix) - 1, min(_SAMPLE_POINTS, len(matrix))).astype(np.intp)]
    distances = matrix[np.ix_(sample, sample)]
    graph = _graph(distances, np.arange(len(sample)), min(radius, enclosing_radius(distances)))
    return bool(graph.nnz == 0 or _collapsed(graph).nnz < _COLLAPSE_PAYS_BELOW * graph.nnz)


def _graph(matrix: NDArray[np.float64], order: NDArray[np.intp], radius: float) -> coo_matrix:
    """Return the edges up to ``radius``, each once, with the vertices renumbered by ``order``."""
    from scipy.sparse import coo_matrix

    ordered = matrix[np.ix_(order, order)]
    row, column = np.nonzero(np.tril(ordered <= radius, k=-1))
    lengths = ordered[row, column]
    return coo_matrix((lengths, (row.astype(np.int32), column.astype(np.int32))), shape=matrix.shape)


def _collapsed(graph: coo_matrix) -> coo_matrix:
    """Remove, or lengthen, the edges that the persistent homology does not need."""
    from gudhi.flag_filtration.edge_collapse import reduce_graph

    return reduce_graph(graph, 1) if graph.nnz else graph


def _reduce_graph(graph: coo_matrix, max_dimension: int) -> list[NDArray[np.float64]]:
    """Compute the bars of a graph numbered from the centre outwards, turned round for the reduction."""
    from scipy.sparse import coo_matrix

    last = graph.shape[0] - 1
    turned = coo_matrix((graph.data, (last - graph.row, last - graph.col)), shape=graph.shape)
    return _persistence(turned, "distance coo_matrix", max_dimension, np.inf)


def _reduce_matrix(
    matrix: NDArray[np.float64], outwards: NDArray[np.intp], max_dimension: int, radius: float
) -> list[NDArray[np.float64]]:
    """Compute the bars of a matrix, points ordered from the rim inwards."""
    inwards = outwards[::-1]
    return _persistence(matrix[np.ix_(inwards, inwards)], "full distance matrix", max_dimension, radius)


def _persistence(
    filtration: NDArray[np.float64] | coo_matrix, input_type: str, max_dimension: int, threshold: float
) -> list[NDArray[np.float64]]:
    from gudhi.sklearn import RipsPersistence

    rips = RipsPersistence(
        homology_dimensions=list(range(max_dimension + 1)),
        threshold=threshold,
        input_type=input_type,
        num_collapses=0,
        homology_coeff_field=COEFFICIENT_FIELD,
    )
    bars: list[NDArray[np.float64]] = rips.fit_transform([filtration])[0]
    return bars


def _tidy(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop bars of length zero and sort the rest, so that equal diagrams are equal arrays."""
    bars = np.asarray(bars, dtype=np.float64).reshape(-1, 2)
    bars = bars[bars[:, 0] < bars[:, 1]]
    return bars[np.lexsort((bars[:, 1], bars[:, 0]))]
