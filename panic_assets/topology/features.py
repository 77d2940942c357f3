"""Numbers taken from one persistence diagram.

Here belong features of a single diagram that a table can hold. Distances between diagrams, and what a number means
beside a null model, do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from panic_assets.topology.persistence import Diagram, Diagrams


@dataclass(frozen=True)
class Features:
    """Features of one diagram. Lengths are death minus birth, in the unit of the distances.

    Attributes:
        homology_dimension: 0 for components, 1 for loops, 2 for voids.
        bars: number of bars, infinite ones included.
        infinite_bars: number of bars with no death; they enter none of the fields below.
        total_persistence: sum of the finite lengths.
        max_persistence: the largest finite length; 0 when there is no finite bar.
        entropy: persistence entropy in nats, ``-sum p ln p`` with p the finite lengths divided by their sum (Atienza,
            Gonzalez-Diaz, Rucco 2019, arXiv 1701.07857, without their infinite bar). 0 for one bar, None for none.
        entropy_normalised: ``entropy / ln(number of finite bars)``, between 0 and 1. None for fewer than two bars.
    """

    homology_dimension: int
    bars: int
    infinite_bars: int
    total_persistence: float
    max_persistence: float
    entropy: float | None
    entropy_normalised: float | None


def diagram_features(diagram: Diagram) -> Features:
    """Compute the features of one diagram; bars of length zero are not counted."""
    lengths = diagram.deaths - diagram.births
    lengths = lengths[lengths > 0]
    finite = lengths[np.isfinite(lengths)]
    total = float(finite.sum())
    entropy: float | None = None
    normalised: float | None = None
    if finite.size:
        shares = finite / total
        # Clipped because one share that rounds to just under 1 would give minus zero or a hair less.
        entropy = max(0.0, float(-(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares))).sum()))
    if entropy is not None and finite.size > 1:
        normalised = min(1.0, entropy / float(np.log(finite.size)))
    return Features(
        homology_dimension=diagram.homology_dimension,
        bars=int(lengths.size),
        infinite_bars=int(lengths.size - finite.size),
        total_persistence=total,
        max_persistence=float(finite.max(initial=0.0)),
        entropy=entropy,
        entropy_normalised=normalised,
    )


def features(diagrams: Diagrams) -> list[Features]:
    """Compute the features of every dimension that ``diagrams`` holds, in order of dimension."""
    return [diagram_features(diagram) for diagram in diagrams.diagrams]
