"""Persistence diagrams as vectors: Betti curves, landscapes, silhouettes, images.

Here belong functions of one diagram, an array (bars, 2) of births and deaths, as plain arrays. Single numbers (entropy,
total persistence) belong to ``features``, statistics over runs to ``dynamics``. All but Betti curves are gudhi's
(module ``representations``, MIT), which know finite bars only: infinite ones are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from panic_assets.topology.diagram_distances import bars_of


def betti_curve(diagram: ArrayLike, scales: ArrayLike) -> NDArray[np.float64]:
    """Count the bars alive at each scale: birth <= scale < death; infinite bars count from their birth on.

    Args:
        diagram: (bars, 2) births and deaths.
        scales: (n,) rising or not.

    Returns:
        (n,) float64.

    Raises:
        DiagramError: no diagram.
    """
    bars = bars_of(diagram)
    births = np.sort(np.concatenate([bars.finite[:, 0], bars.infinite]))
    places = np.asarray(scales, dtype=np.float64)
    born = np.searchsorted(births, places, side="right")
    return (born - np.searchsorted(np.sort(bars.finite[:, 1]), places, side="right")).astype(np.float64)


def landscapes(diagram: ArrayLike, scales: NDArray[np.float64], levels: int = 1) -> NDArray[np.float64]:
    """Compute persistence landscapes (P. Bubenik, J. Machine Learning Research 16, 2015).

    Level k at scale t is the k-th largest of max(0, min(t - birth, death - t)).

    Args:
        diagram: (bars, 2) births and deaths.
        scales: (n,) equally spaced, rising, n >= 2.
        levels: how many, >= 1.

    Returns:
        (levels, n) float64, in the unit of the scales.
    """
    from gudhi.representations import Landscape

    bars = bars_of(diagram).finite
    if not len(bars):
        return np.zeros((levels, len(scales)))
    made = Landscape(
        num_landscapes=levels, resolution=len(scales), sample_range=[scales[0], scales[-1]], keep_endpoints=True
    )
    # gudhi scales landscapes by the square root of two, as lengths in the rotated plane; here they are plain tents.
    found: NDArray[np.float64] = made.fit_transform([bars])[0].reshape(levels, len(scales)) / np.sqrt(2)
    return found


def silhouette(diagram: ArrayLike, scales: NDArray[np.float64], power: float = 1.0) -> NDArray[np.float64]:
    """Compute the silhouette (F. Chazal and others, J. Computational Geometry 6, 2015).

    The mean of the tents max(0, min(t - birth, death - t)), weighted by (death - birth) ** power.

    Args:
        diagram: (bars, 2) births and deaths.
        scales: (n,) equally spaced, rising, n >= 2.
        power: the larger, the more long bars count.

    Returns:
        (n,) float64, in the unit of the scales.
    """
    from gudhi.representations import Silhouette

    bars = bars_of(diagram).finite
    if not len(bars):
        return np.zeros(len(scales))
    made = Silhouette(
        weight=lambda bar: (bar[1] - bar[0]) ** power,
        resolution=len(scales),
        sample_range=[scales[0], scales[-1]],
        keep_endpoints=True,
    )
    found: NDArray[np.float64] = made.fit_transform([bars])[0] / np.sqrt(2)
    return found


def persistence_image(
    diagram: ArrayLike,
    birth_range: tuple[float, float],
    length_range: tuple[float, float],
    bandwidth: float,
    side: int = 20,
) -> NDArray[np.float64]:
    """Compute a persistence image (H. Adams and others, J. Machine Learning Research 18, 2017).

    A sum of Gaussian densities at (birth, length), each weighted by its length, so that bars fade out towards the
    diagonal.

    Args:
        diagram: (bars, 2) births and deaths.
        birth_range: first and last birth shown; one range for all diagrams that are to be compared.
        length_range: the same of lengths, death minus birth.
        bandwidth: standard deviation of the Gaussians, in the unit of the distances, > 0.
        side: pixels along each axis.

    Returns:
        (side, side) float64: lengths rise with the rows, births with the columns.
    """
    from gudhi.representations import PersistenceImage

    bars = bars_of(diagram).finite
    if not len(bars):
        return np.zeros((side, side))
    made = PersistenceImage(
        bandwidth=bandwidth,
        weight=lambda point: point[1],
        resolution=[side, side],
        im_range=[*birth_range, *length_range],
    )
    found: NDArray[np.float64] = made.fit_transform([bars])[0].reshape(side, side)
    return found
