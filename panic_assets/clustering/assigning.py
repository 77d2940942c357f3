"""Putting points to clusters that exist: new ones between two clusterings, and all but the landmarks of a large pool.

Here belongs the rule on arrays. When it is used instead of a new clustering belongs to ``stage``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from panic_assets.clustering.density import OUTLIER, Parameters, Projection, on_sphere

REACH_QUANTILE = 0.95
_PROBED = 2000  # members of a cluster whose neighbours are looked up for its reach
_BLOCK = 1 << 24  # distances at a time


@dataclass(frozen=True)
class Atlas:
    """A frozen clustering, ready to be asked.

    ``places`` float (n, c): scores of the clustered points; ``labels`` int32 (n,); ``probabilities`` float32 (n,);
    ``reach`` float (k,): chord up to which a point is as near as most members are to theirs.
    """

    projection: Projection
    places: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, parameters: Parameters) -> Atlas:
        """From the clustered points, float (n, d), as given to ``density.cluster``, and what came of them.

        The reach of a cluster is the 95 % quantile, over its distinct members, of the distance to the
        ``min_samples``-th nearest other member.

        Raises:
            ClusteringError: a row is not finite or has no direction.
        """
        unit, first = np.unique(on_sphere(points), axis=0, return_index=True)
        projection = Projection.of(unit, parameters.components)
        places = projection.scores(unit)
        own = labels[first]
        reach = [_reach(places[own == k], parameters.min_samples) for k in range(labels.max(initial=OUTLIER) + 1)]
        return cls(projection, places, own, probabilities[first], np.array(reach, float))

    def assign(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels int32 and probabilities float32 of points, float (m, d).

        A point gets the label and probability of the clustered point nearest to it, if that is a member of a cluster
        and no farther than the cluster's reach; else it is an outlier. Equal points thus keep one label.

        Raises:
            ClusteringError: a row is not finite or has no direction.
        """
        labels = np.full(len(points), OUTLIER, np.int32)
        probabilities = np.zeros(len(points), np.float32)
        if not len(points) or not len(self.places):
            return labels, probabilities
        places = self.projection.scores(on_sphere(points))
        for start, nearest, distance in nearest_of(places, self.places):
            rows = np.arange(start, start + len(nearest))
            found = self.labels[nearest]
            near = (found != OUTLIER) & (distance <= np.append(self.reach, 0.0)[found])
            labels[rows[near]], probabilities[rows[near]] = found[near], self.probabilities[nearest[near]]
        return labels, probabilities


def nearest_of(places: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Blocks (first row, index of the nearest of ``others``, distance to it), for all rows of ``places``."""
    lengths = (others.astype(np.float32) ** 2).sum(axis=1)
    single = np.ascontiguousarray(others.T, np.float32)
    rows = max(1, _BLOCK // len(others))
    for start in range(0, len(places), rows):
        block = places[start : start + rows]
        nearest = (lengths - 2 * (block.astype(np.float32) @ single)).argmin(axis=1)
        yield start, nearest, np.linalg.norm(block - others[nearest], axis=1)


def _reach(members: np.ndarray, neighbours: int) -> float:
    if len(members) <= 1:
        return 0.0
    probed = members[np.linspace(0, len(members) - 1, min(len(members), _PROBED)).astype(int)]
    distances = neighbour_distances(probed, members, min(neighbours, len(members) - 1) + 1)  # itself is the first
    return float(np.quantile(distances[:, -1], REACH_QUANTILE))


def neighbour_distances(probed: np.ndarray, points: np.ndarray, number: int) -> np.ndarray:
    """Distances (p, number) from each probed point to its nearest points, rising; itself is one if it is among them."""
    return neighbours(probed, points, number)[0]


def neighbours(probed: np.ndarray, points: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices (p, number) of the nearest points of each probed one, nearest first."""
    lengths = (points**2).sum(axis=1)
    number = min(number, len(points))
    distances, indices = np.empty((len(probed), number)), np.empty((len(probed), number), int)
    rows = max(1, _BLOCK // len(points))
    for start in range(0, len(probed), rows):
        block = probed[start : start + rows]
        squares = (block**2).sum(axis=1)[:, None] + lengths - 2 * (block @ points.T)
        chosen = np.argpartition(squares, number - 1, axis=1)[:, :number]
        near = np.clip(np.take_along_axis(squares, chosen, axis=1), 0, None)
        order = near.argsort(axis=1, kind="stable")
        distances[start : start + rows] = np.sqrt(np.take_along_axis(near, order, axis=1))
        indices[start : start + rows] = np.take_along_axis(chosen, order, axis=1)
    return distances, indices
