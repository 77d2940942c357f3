"""Sliding-window persistence: how far a trajectory runs in circles, though no output ever comes back exactly.

Here belong delay embeddings, the periodicity score and the estimate of a period. Null models belong to ``surrogates``,
runs and groups to ``dynamics``.

J. A. Perea, J. Harer, Sliding windows and persistence, Found. Comput. Math. 15 (2015) 799: the windows of a periodic
series trace a closed curve, which is widest when a window is about one period long. J. A. Perea, A. Deckard,
S. B. Haase, J. Harer, SW1PerS, BMC Bioinformatics 16 (2015) 257: each window centred and scaled to length one, the
longest H1 bar over sqrt(3) is a score between 0 and 1, since a great circle of the unit sphere has a bar up to sqrt(3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from panic_assets.topology.persistence import Diagram

FloatArray = NDArray[np.float64]

ROUND_CIRCLE = float(np.sqrt(3.0))
SHORTEST_WINDOW, SHORTEST_PERIOD, FEWEST_POINTS = 4, 3, 12
_FEWEST_PERIODS = 3  # that a period must fit into a run
_HIGH = 0.8  # of the highest peak of the autocorrelation
_STILL = 1e-7  # of the points, or of the largest window: less than this is rounding


@dataclass(frozen=True)
class Period:
    """``length`` in points, NaN where none stands out; ``strength``: autocorrelation there, at most 1."""

    length: float
    strength: float


def leading_components(points: NDArray[np.floating], components: int) -> tuple[FloatArray, float]:
    """Scores (n, k) on the first principal components, and the share of the variance they hold; 1 if nothing varies.

    Components as small as rounding are zero, so that a run that stands still does not seem to move.
    """
    from scipy.linalg import eigh

    rows = np.asarray(points, dtype=np.float64)
    centred = rows - rows.mean(axis=0)
    gram = centred @ centred.T  # of n by n, with n far below d, and only its largest eigenvalues are wanted
    kept = min(components, len(rows))
    power, vectors = eigh(gram, subset_by_index=[len(rows) - kept, len(rows) - 1])
    power, vectors = power[::-1], vectors[:, ::-1]
    power = np.where(power > _STILL**2 * max(float(np.sum(rows**2)), np.finfo(float).tiny), power, 0.0)
    total = float(np.trace(gram))
    held = min(1.0, float(power.sum()) / total) if power.any() else 1.0
    return np.ascontiguousarray(vectors * np.sqrt(power)), held


def autocorrelation(series: NDArray[np.floating]) -> FloatArray:
    """Of a series of vectors, by lag: (n // 3 + 1,), 1 at lag 0. Each lag is scaled by its own number of pairs.

    r(l) = mean over t of <x_t, x_t+l> / mean over t of <x_t, x_t>, x about its mean; 0 beyond lag 0 if nothing varies.
    """
    n = len(series)
    centred = series - series.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n, axis=0)) ** 2
    products = np.fft.irfft(spectrum.sum(axis=1), 2 * n)[: n // _FEWEST_PERIODS + 1]
    means = products / (n - np.arange(len(products)))
    found = np.zeros(len(means))
    found[:1] = 1.0
    if means[0] > 0:
        found[1:] = means[1:] / means[0]
    return found


def period_of(series: NDArray[np.floating]) -> Period:
    """The lag of the first high peak of the autocorrelation, refined by a parabola.

    High is at least 80 % of the highest, so that twice the period is not taken for it. Lags from three points to a
    third of the run; NaN where no peak is above 0.
    """
    curve = autocorrelation(series)
    inner = curve[1:-1]
    peaks = np.flatnonzero((inner > curve[:-2]) & (inner >= curve[2:]) & (inner > 0)) + 1
    peaks = peaks[peaks >= SHORTEST_PERIOD]
    if not len(peaks):
        return Period(float("nan"), float("nan"))
    peak = int(peaks[np.argmax(curve[peaks] >= _HIGH * curve[peaks].max())])
    before, here, after = curve[peak - 1 : peak + 2]
    bend = before - 2 * here + after
    return Period(peak + (float(0.5 * (before - after) / bend) if bend < 0 else 0.0), float(here))


def window_of(period: Period, points: int) -> int:
    """Points in a window: one period, at least four, at most a third of the run, which is taken without a period."""
    longest = max(SHORTEST_WINDOW, points // _FEWEST_PERIODS)
    return min(longest, max(SHORTEST_WINDOW, round(period.length))) if np.isfinite(period.length) else longest


def sliding_windows(series: NDArray[np.floating], window: int) -> FloatArray:
    """All windows of ``window`` successive points of an (n, k) series, each centred and scaled: (n - window + 1, .).

    The mean of each component over a window is taken off, and the window scaled to length one; one in which nothing
    moves becomes the origin. So slow drift and waxing and waning do not hide a cycle.
    """
    views = np.lib.stride_tricks.sliding_window_view(np.asarray(series, dtype=np.float64), window, axis=0)
    centred = views - views.mean(axis=2, keepdims=True)
    flat = centred.reshape(len(centred), -1)
    norms = np.linalg.norm(flat, axis=1)
    moving = norms > _STILL * max(float(norms.max(initial=0.0)), np.finfo(float).tiny)
    return np.where(moving[:, None], flat / np.where(moving, norms, 1.0)[:, None], 0.0)


def window_cloud(series: NDArray[np.floating], most_points: int) -> tuple[FloatArray, Period, int]:
    """The cloud that a series is scored by, the period and the window length that were found for it.

    At most ``most_points`` windows, spread evenly over the run. The same steps for a run and its surrogates, the choice
    of the window included, so that a p-value pays for that choice.
    """
    period = period_of(series)
    window = window_of(period, len(series))
    windows = sliding_windows(series, window)
    if len(windows) > most_points:
        windows = windows[np.linspace(0, len(windows) - 1, most_points).astype(np.intp)]
    return windows, period, window


def periodicity_score(loops: Diagram) -> float:
    """Length of the longest H1 bar of a window cloud over sqrt(3): 0 for no cycle, near 1 for a clean one."""
    lengths = loops.deaths - loops.births
    return float(min(1.0, lengths[np.isfinite(lengths)].max(initial=0.0) / ROUND_CIRCLE))
