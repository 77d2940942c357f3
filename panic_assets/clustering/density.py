"""Density clustering of points on a sphere by HDBSCAN, with a member that stands for each cluster.

Here belongs the mathematics on arrays; tables belong to ``stage``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from panic_assets.errors import PanicError

OUTLIER = -1


class ClusteringError(PanicError):
    """Points that can't be clustered."""


@dataclass(frozen=True)
class Parameters:
    """What decides a clustering.

    ``share``: the smallest cluster, as a share of the distinct points, but at least ``floor`` of them.
    ``min_samples``: how many neighbours make a point dense. ``components``: dimensions kept by a principal component
    analysis beforehand, because HDBSCAN's trees are of no use in hundreds of dimensions; None keeps all.
    ``landmarks``: points that are clustered at most; more are put to the clusters of these (see ``assigning``).
    """

    share: float = 0.002
    floor: int = 5
    min_samples: int = 3
    components: int | None = 32
    selection: str = "eom"
    landmarks: int = 20_000

    def smallest(self, distinct: int) -> int:
        """Points of the smallest cluster."""
        return max(self.floor, int(self.share * distinct))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Clustering:
    """What came of n points.

    ``labels`` int32 (n,), -1 for outliers, 0 is the largest cluster; ``probabilities`` float32 (n,), the strength of
    membership; ``medoids`` int64 (k,), the index of each cluster's medoid; ``distinct``: number of distinct points.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    medoids: np.ndarray
    distinct: int

    @property
    def outlier_share(self) -> float:
        """Share of the points that belong to no cluster."""
        return float((self.labels == OUTLIER).mean()) if len(self.labels) else 0.0


def on_sphere(points: np.ndarray) -> np.ndarray:
    """Rows over their lengths, float32 (n, d).

    Raises:
        ClusteringError: a row is not finite or has no direction.
    """
    points = np.asarray(points, np.float32)
    lengths = np.linalg.norm(points, axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if bad.size:
        raise ClusteringError(f"row {bad[0]} of {len(points)} has length {lengths[bad[0]]}: can't be put on a sphere")
    return points / lengths[:, None]


@dataclass(frozen=True)
class Projection:
    """Onto leading components: ``mean`` float64 (d,), ``basis`` float64 (d, c); None keeps points as they are."""

    mean: np.ndarray | None = None
    basis: np.ndarray | None = None

    @classmethod
    def of(cls, unit: np.ndarray, components: int | None) -> Projection:
        """The components of float (n, d), by an exact eigendecomposition: no random start."""
        if components is None or min(unit.shape) <= components:
            return cls()
        from scipy.linalg import eigh

        mean = unit.mean(0, dtype=np.float64)
        centred = unit.astype(np.float64) - mean
        size = centred.shape[1]
        _, vectors = eigh(centred.T @ centred, subset_by_index=(size - components, size - 1))
        return cls(mean, vectors[:, ::-1])

    def scores(self, unit: np.ndarray) -> np.ndarray:
        """Float (n, c): places along the components."""
        return unit if self.mean is None or self.basis is None else (unit.astype(np.float64) - self.mean) @ self.basis


def cluster(points: np.ndarray, parameters: Parameters | None = None) -> Clustering:
    """Cluster points by HDBSCAN on the unit sphere, where Euclidean distance is the chord.

    Equal points are clustered as one: a loop that stays at a fixed point would otherwise make a "dense region" out of
    a single output, and the zero distances among copies would drown every other scale. All copies get its label.
    The medoid of a cluster is the distinct member of the largest mean cosine to the others (Kaufman and Rousseeuw,
    1987, with squared chords for distances).

    Args:
        points: float (n, d), finite. Rows of zeros are refused: they have no direction.
        parameters: see :class:`Parameters`.

    Raises:
        ClusteringError: a row is not finite or has no direction.
    """
    parameters = parameters or Parameters()
    unit, first, back = np.unique(on_sphere(points), axis=0, return_index=True, return_inverse=True)
    back = back.reshape(-1)
    labels, probabilities = _hdbscan(Projection.of(unit, parameters.components).scores(unit), parameters)
    labels = _largest_first(labels, np.bincount(back, minlength=len(unit)))
    medoids = [first[_medoid(unit, np.flatnonzero(labels == k))] for k in range(labels.max(initial=-1) + 1)]
    return Clustering(
        labels[back].astype(np.int32),
        probabilities[back].astype(np.float32),
        np.array(medoids, np.int64),
        len(unit),
    )


def _hdbscan(points: np.ndarray, parameters: Parameters) -> tuple[np.ndarray, np.ndarray]:
    import hdbscan

    smallest = parameters.smallest(len(points))
    if len(points) < 2 * smallest:
        return np.full(len(points), OUTLIER), np.zeros(len(points))
    model = hdbscan.HDBSCAN(
        min_cluster_size=smallest,
        min_samples=min(parameters.min_samples, len(points) - 1),
        cluster_selection_method=parameters.selection,
        core_dist_n_jobs=1,  # worker processes cost more than they give below a hundred thousand points
    ).fit(points.astype(np.float64))
    return model.labels_, model.probabilities_


def _largest_first(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Number clusters by falling weight, ties by their first member, so that equal data give equal numbers."""
    clusters = range(labels.max(initial=-1) + 1)
    order = sorted(clusters, key=lambda k: (-weights[labels == k].sum(), int(np.argmax(labels == k))))
    renamed = np.full(len(labels), OUTLIER)
    for new, old in enumerate(order):
        renamed[labels == old] = new
    return renamed


def _medoid(unit: np.ndarray, members: np.ndarray) -> int:
    return int(members[np.argmax(unit[members] @ unit[members].sum(0))])
