"""How much a clustering owes to the runs it happened to see, and whether its outliers are outliers.

Here belong checks of a clustering that was made; none changes it. They are made on at most `MOST` points, so that they
cost less than the clustering of a large pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from panic_assets.clustering.assigning import neighbours
from panic_assets.clustering.density import OUTLIER, Parameters, Projection, cluster, on_sphere

SUBSAMPLES, SHARE, MOST = 5, 0.8, 4000
_NEIGHBOURS, _PROBED = 10, 2000
_SIZES = (0.5, 1.0, 2.0, 4.0)  # of the smallest cluster, against the one asked for


@dataclass(frozen=True)
class Stability:
    """``agreement``: mean adjusted Rand index, NaN without subsamples; ``recovery`` float (k,): of each cluster."""

    agreement: float
    recovery: np.ndarray


def stability(points: np.ndarray, runs: np.ndarray, labels: np.ndarray, parameters: Parameters) -> Stability:
    """Cluster subsamples of whole runs anew and compare, on the points of each subsample.

    The adjusted Rand index (L. Hubert, P. Arabie, J. Classif. 2 (1985) 193) takes outliers for one more class. The
    recovery of a cluster is the mean over subsamples of its largest Jaccard overlap with a cluster there (C. Hennig,
    Comput. Stat. Data Anal. 52 (2007) 258, who calls above 0.75 stable and below 0.6 not to be trusted).

    Args:
        points: float (n, d), all that were clustered.
        runs: int (n,), which run each point is of; 80 % of them (or as many as hold 4000 points) make a subsample.
        labels: int (n,) of the clustering.
        parameters: those of the clustering.
    """
    from sklearn.metrics import adjusted_rand_score

    count = int(labels.max(initial=OUTLIER)) + 1
    distinct = np.unique(runs)
    share = min(SHARE, MOST / max(len(points), 1))
    chosen_runs = int(share * len(distinct))
    if chosen_runs < 2:
        return Stability(float("nan"), np.full(count, np.nan))
    agreements, overlaps = [], np.full((SUBSAMPLES, count), np.nan)
    for number in range(SUBSAMPLES):
        chosen = np.random.default_rng(number).choice(distinct, chosen_runs, replace=False)
        rows = np.flatnonzero(np.isin(runs, chosen))
        found, before = cluster(points[rows], parameters).labels, labels[rows]
        agreements.append(adjusted_rand_score(before, found))
        overlaps[number] = _overlaps(before, found, count)
    seen = np.isfinite(overlaps).sum(axis=0)
    recovery = np.divide(np.nansum(overlaps, axis=0), seen, out=np.full(count, np.nan), where=seen > 0)
    return Stability(float(np.mean(agreements)), recovery)


def _overlaps(before: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """Largest Jaccard overlap of each cluster with one that was found; NaN where the subsample has none of it."""
    width = int(found.max(initial=OUTLIER)) + 2
    table = np.bincount((before + 1) * width + found + 1, minlength=(count + 1) * width).reshape(count + 1, width)
    both = table[1:, 1:].astype(float)
    size = table[1:].sum(axis=1, keepdims=True)
    union = size + table[:, 1:].sum(axis=0) - both
    best = np.divide(both, union, out=np.zeros_like(both), where=union > 0).max(axis=1, initial=0.0)
    return np.where(size[:, 0] > 0, best, np.nan)


def diagnostics(points: np.ndarray, labels: np.ndarray, parameters: Parameters) -> dict[str, Any]:
    """Whether outliers lie where points are sparse, and what other cluster sizes would have given.

    ``distance_ratio``: median distance of outliers to their tenth neighbour, over that of members; near 1 says that
    outliers lie as densely as members, and that their share is a matter of parameters. ``among_members``: share of
    outliers most of whose ten neighbours are members of one cluster: its fringe. ``sweep``: clusters and share of
    outliers for smallest clusters of half to four times the size, from a sample of at most 4000 points.

    Args:
        points: float (n, d), all that were clustered.
        labels: int (n,) of the clustering.
        parameters: those of the clustering.
    """
    unit, first = np.unique(on_sphere(points), axis=0, return_index=True)
    own = labels[first]
    facts: dict[str, Any] = {"distinct_points": len(unit), "outliers": int((own == OUTLIER).sum())}
    if 0 < facts["outliers"] < len(unit) and len(unit) > _NEIGHBOURS:
        facts |= _around_outliers(Projection.of(unit, parameters.components).scores(unit), own)
    sample = _evenly(np.arange(len(unit)), MOST)
    usual = parameters.smallest(len(sample))
    sweep = []
    for factor in _SIZES:
        smallest = max(2, int(factor * usual))
        found = cluster(unit[sample], replace(parameters, share=0.0, floor=smallest))
        sweep.append(
            {
                "min_cluster_size": smallest,
                "clusters": len(found.medoids),
                "outlier_share": round(found.outlier_share, 4),
            }
        )
    return facts | {"sweep": sweep, "sweep_points": len(sample)}


def _around_outliers(places: np.ndarray, own: np.ndarray) -> dict[str, Any]:
    medians, among = [], 0.0
    for kind in (own == OUTLIER, own != OUTLIER):
        probed = _evenly(np.flatnonzero(kind), _PROBED)
        distances, near = neighbours(places[probed], places, _NEIGHBOURS + 1)
        medians.append(float(np.median(distances[:, -1])))
        if own[probed[0]] == OUTLIER:
            around = np.sort(own[near[:, 1:]], axis=1)
            half = around.shape[1] // 2
            # The middle of ten sorted labels is a cluster's that holds most of them; so is one next to it, then.
            middle = around[:, half]
            among = float(((middle != OUTLIER) & ((around == middle[:, None]).sum(axis=1) > half)).mean())
    return {"distance_ratio": medians[0] / medians[1] if medians[1] > 0 else None, "among_members": among}


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]
