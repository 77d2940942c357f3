"""Surrogate trajectories: what a run would look like if it had some of its properties and no others.

Here belong null models of one trajectory, each with what it keeps. Which statistics are compared with them, and the
p-values, belong to the analyses in ``dynamics``.

* :func:`time_shuffled` keeps the points and forgets their order. Rips diagrams do not see the order, and stay the
  same: it is a null for what is ordered, such as sliding windows, and for no plain diagram.
* :func:`phase_randomised` keeps every auto- and cross-spectrum (D. Prichard, J. Theiler, Phys. Rev. Lett. 73 (1994)
  951), so means, variances and linear correlations over time, and nothing nonlinear.
* :func:`matched_walks` keeps the first point, the multiset of step lengths, and the directions that steps prefer.
* :func:`matched_ar1` keeps the first point, how fast each principal component forgets, and the residuals' covariance: a
  discrete Ornstein-Uhlenbeck process, which settles and wanders but never cycles.

Points on a sphere give surrogates on that sphere, see :func:`radius_of`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_ON_SPHERE = 1e-3
_TINY = 1e-12
_SLOWEST = 0.999  # of an autoregression; at 1 there is no mean to go back to


def isometric(points: NDArray[np.floating]) -> FloatArray:
    """The same points in coordinates of the space they span: float64 (n, min(n, d)) for (n, d).

    Exact but for rounding (about 1e-15 of the largest norm): inner products, so norms and distances too, are kept. Two
    hundred points of 768 dimensions become two hundred of 200, and nothing is cut off.
    """
    rows: FloatArray = np.asarray(points, dtype=np.float64)
    if rows.shape[0] >= rows.shape[1]:
        return rows
    triangle: FloatArray = np.asarray(np.linalg.qr(rows.T, mode="r"))
    return np.ascontiguousarray(triangle.T)


def radius_of(points: NDArray[np.floating]) -> float | None:
    """The radius of the sphere around the origin that the points lie on; None if norms differ by more than 0.1 %."""
    norms = np.linalg.norm(points, axis=1)
    mean = float(norms.mean()) if len(norms) else 0.0
    return mean if mean > _TINY and np.abs(norms - mean).max() <= _ON_SPHERE * mean else None


def onto_sphere(points: FloatArray, radius: float | None) -> FloatArray:
    """Points (..., d) scaled to ``radius``; as they are when it is None. A point at the origin stays there.

    This bends what a surrogate keeps: a spectrum, a variance, a step is then kept to the extent that the surrogate kept
    near the sphere before: to a few percent for a run that stays within a small cap of it, worse for others.
    """
    if radius is None:
        return points
    norms = np.linalg.norm(points, axis=-1, keepdims=True)
    scaled: FloatArray = points * (radius / np.where(norms > _TINY * radius, norms, radius))
    return scaled


def time_shuffled(points: FloatArray | NDArray[np.floating], count: int, seed: int) -> FloatArray:
    """``count`` random orders of the same points, float64 (count, n, d)."""
    points = np.array(points, dtype=np.float64)
    generator = np.random.default_rng(seed)
    shuffled: FloatArray = points[np.argsort(generator.random((count, len(points))), axis=1)]
    return shuffled


def phase_randomised(
    points: FloatArray | NDArray[np.floating], count: int, seed: int, *, sphere: bool = True
) -> FloatArray:
    """Surrogates with the same mean and the same auto- and cross-spectra: (count, n, d).

    Each frequency gets one random phase, the same in every dimension, so that rotating the space beforehand changes
    nothing. The Fourier transform takes the run for periodic: a run that ends far from its start gives surrogates that
    close, with a step about as long as that gap spread over them.

    Args:
        points: (n, d) in order.
        count: how many.
        seed: of the phases.
        sphere: put them back on the sphere of the points, where there is one; spectra are exact only without.
    """
    points = np.array(points, dtype=np.float64)
    n = len(points)
    spectrum = np.fft.rfft(points, axis=0)
    phases = np.random.default_rng(seed).uniform(0.0, 2 * np.pi, (count, len(spectrum)))
    phases[:, 0] = 0.0
    if n % 2 == 0:
        phases[:, -1] = 0.0  # the highest frequency of an even length is real
    turned: FloatArray = np.fft.irfft(spectrum * np.exp(1j * phases)[:, :, None], n, axis=1)
    return onto_sphere(turned, radius_of(points) if sphere else None)


def matched_walks(points: FloatArray | NDArray[np.floating], count: int, seed: int) -> FloatArray:
    """Random walks from the same first point with the same step lengths in random order: (count, n, d).

    Directions are normal with the second moments of the run's own steps; on a sphere, within the tangent plane, and the
    step goes along the great circle, as far as its chord is long. Unlike the run, a walk has no place it returns to, so
    it spreads further: compare what does not depend on the spread.
    """
    points = np.array(points, dtype=np.float64)
    n, radius = len(points), radius_of(points)
    generator = np.random.default_rng(seed)
    walks = np.repeat(onto_sphere(points[None], radius), count, axis=0)
    if n < 2:
        return walks
    steps = np.diff(walks[0], axis=0) if count else np.zeros((n - 1, points.shape[1]))
    lengths = np.linalg.norm(steps, axis=1)[np.argsort(generator.random((count, n - 1)), axis=1)]
    drawn = _normal(generator, (count, n - 1), steps)
    for step in range(n - 1):
        here, direction, length = walks[:, step], drawn[:, step], lengths[:, step, None]
        if radius is not None:
            direction = direction - here * (np.sum(here * direction, axis=1, keepdims=True) / radius**2)
        norm = np.linalg.norm(direction, axis=1, keepdims=True)
        direction = direction / np.where(norm > _TINY, norm, np.inf)
        if radius is None:
            walks[:, step + 1] = here + length * direction
        else:
            angle = 2 * np.arcsin(np.minimum(1.0, length / (2 * radius)))
            walks[:, step + 1] = np.cos(angle) * here + radius * np.sin(angle) * direction
    return onto_sphere(walks, radius)


def matched_ar1(points: FloatArray | NDArray[np.floating], count: int, seed: int) -> FloatArray:
    """First-order autoregressions, one per principal component, from the same first point: (count, n, d).

    In component i, x' = a_i x + e about the mean of the run. a_i is the least squares estimate plus its bias,
    (1 + 3 a_i) / n (M. G. Kendall, Biometrika 41 (1954) 403), kept within +-0.999; e is normal with the covariance of
    all residuals.
    """
    points = np.array(points, dtype=np.float64)
    n, radius = len(points), radius_of(points)
    centre = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - centre, full_matrices=False)
    scores = (points - centre) @ axes.T
    found = np.repeat(scores[None], count, axis=0)
    if n > 2:
        before, after = scores[:-1], scores[1:]
        power = np.sum(before**2, axis=0)
        slope = np.sum(before * after, axis=0) / np.where(power > _TINY, power, np.inf)
        slope = np.clip(slope + (1 + 3 * slope) / n, -_SLOWEST, _SLOWEST)
        residuals = after - slope * before
        residuals -= residuals.mean(axis=0)
        noise = _normal(np.random.default_rng(seed), (count, n - 1), residuals) / np.sqrt(n - 2)
        for step in range(n - 1):
            found[:, step + 1] = slope * found[:, step] + noise[:, step]
    return onto_sphere(found @ axes + centre, radius)


def _normal(generator: np.random.Generator, shape: tuple[int, int], rows: FloatArray) -> FloatArray:
    """Normal vectors (*shape, d) with the second moments ``rows.T @ rows`` of (m, d) rows, from a root of them."""
    root: FloatArray = np.asarray(np.linalg.qr(rows, mode="r"))
    drawn: FloatArray = generator.standard_normal((*shape, len(root))) @ root
    return drawn
