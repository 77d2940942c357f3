"""Times to an event that some runs did not live to see: Kaplan-Meier curves and medians.

Here belongs the statistics of censored times; what the event is belongs to the analysis that asks.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.findings import Interval


@dataclass(frozen=True)
class Survival:
    """The share of runs still without the event after each time: float (times,), with the ends of its interval."""

    times: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def kaplan_meier(times: np.ndarray, happened: np.ndarray, confidence: float = 0.95) -> Survival:
    """The product-limit estimate (E. L. Kaplan, P. Meier, J. Am. Stat. Assoc. 53 (1958) 457-481).

    Intervals are pointwise, of Greenwood's variance on the scale of log(-log share) (M. Greenwood 1926; J. D.
    Kalbfleisch, R. L. Prentice, The Statistical Analysis of Failure Time Data, 1980), so that they stay within 0 and
    1. There is none where the share is 1 or 0, nor with fewer than three runs. Events count before censorings of
    the same time.

    Args:
        times: (runs,) time of the event, or the last at which the run was known to be without it.
        happened: bool (runs,), False for a censored run.
        confidence: nominal coverage.
    """
    from scipy.stats import CensoredData, ecdf

    times, happened = np.asarray(times, dtype=float), np.asarray(happened, dtype=bool)
    if not len(times):
        return Survival(*(np.empty(0),) * 4)
    # The library takes this route for complete samples too, but gives them no intervals unless told that they may be
    # censored.
    found = ecdf(CensoredData(uncensored=times[happened], right=times[~happened])).sf
    share = np.asarray(found.probabilities, dtype=float)
    low, high = np.full((2, len(share)), np.nan)
    if len(times) >= 3:
        with warnings.catch_warnings():
            # Where the share is 1 or 0 there is no interval, as said above.
            warnings.simplefilter("ignore", RuntimeWarning)
            ends = found.confidence_interval(confidence, method="log-log")
        told = (share > 0) & (share < 1)
        low = np.where(told, ends.low.probabilities, np.nan)
        high = np.where(told, ends.high.probabilities, np.nan)
    return Survival(np.asarray(found.quantiles, dtype=float), share, low, high)


def median_time(survival: Survival, confidence: float = 0.95) -> Interval:
    """The first time at which half of the runs or fewer are without the event; NaN if that was never seen.

    Its interval holds the times at which the curve's own interval holds one half (R. Brookmeyer, J. Crowley,
    Biometrics 38 (1982) 29-41); an end that was not reached is NaN.
    """
    return Interval(
        _first(survival.times, survival.share),
        _first(survival.times, survival.low),
        _first(survival.times, survival.high),
        confidence,
    )


def _first(times: np.ndarray, shares: np.ndarray) -> float:
    below = np.flatnonzero(shares <= 0.5)  # a NaN is not
    return float(times[below[0]]) if len(below) else float("nan")
