"""Relaxation: how long a network takes to forget where it started, as the time constant tau of an exponential approach.

    d(t) = d_inf - (d_inf - d_0) exp(-(t - t_0) / tau)

Here belong the fit, its goodness, and the rule by which there is no tau. Fitted are cosine distances: for a stationary
Gaussian process (Ornstein-Uhlenbeck) in many dimensions their mean approaches its plateau exponentially, while the
chord, a square root of it, does not. Exponential growth belongs to ``divergence``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from panic_assets.dynamics.continuation import CONTINUED, Continuation, continued_space
from panic_assets.dynamics.corpus import Corpus
from panic_assets.dynamics.divergence import Pairs, ensemble, pair_mean
from panic_assets.dynamics.drift import Drift, drift
from panic_assets.dynamics.findings import Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.grouping import grouped, stacked
from panic_assets.dynamics.stage import Analysis
from panic_assets.dynamics.uncertainty import bootstrap

_GRID = 160
_FEWEST_POINTS = 5
_FLAT_P = 0.01
_CLEAR = 0.9  # of R squared: a change as clear as this is none of a constant, however smooth its residuals are
_NAMES = ("tau", "start", "plateau", "r_squared")


@dataclass(frozen=True)
class Relaxation:
    """A fit. ``tau`` in units of the axis, infinite beyond twice the span seen; ``why`` says why it is NaN, or "".

    ``start`` and ``plateau`` are d_0 and d_inf; ``p_value`` that of an F-test against a constant, in which residuals
    count by their effective number (autocorrelation at lag one).
    """

    tau: float
    start: float
    plateau: float
    r_squared: float
    p_value: float
    points: int
    why: str = ""


class Fitter:
    """Fits curves on one axis: the exponentials are prepared once, each curve then costs one small product.

    For every tau of a grid the best d_0 and d_inf are linear least squares; the minimum over the grid is refined by a
    parabola in log tau. ``x`` is float (n,), rising; the grid ranges from a fifth of the smallest step to four times
    the span.
    """

    def __init__(self, x: np.ndarray) -> None:
        self.x = np.asarray(x, dtype=float)
        self.span = float(np.ptp(self.x)) if len(x) else 0.0
        self.usable = len(x) >= _FEWEST_POINTS and self.span > 0
        if self.usable:
            self.step = float(np.diff(self.x).min())
            self.log_taus = np.linspace(np.log(self.step / 5), np.log(4 * self.span), _GRID)
            self.decays = self._decays(np.exp(self.log_taus))
            self.centred = self.decays - self.decays.mean(axis=1, keepdims=True)
            self.weights = np.maximum((self.centred**2).sum(axis=1), 1e-300)

    def _decays(self, taus: np.ndarray) -> np.ndarray:
        return np.exp(-(self.x - self.x[0]) / np.asarray(taus)[:, None])

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(tau, start, plateau, r_squared) of a curve float (n,) without NaN; no rule about flat curves applied."""
        if not self.usable or not np.isfinite(values).all():
            return np.full(4, np.nan)
        away = values - values.mean()
        total = float(away @ away)
        if total <= 1e-24 * max(1.0, float(values @ values)):
            return np.array([np.nan, values.mean(), values.mean(), np.nan])
        score = (self.centred @ away) ** 2 / self.weights
        best = int(np.argmax(score))
        tau = float(np.exp(self._refined(score, best)))
        decay = self._decays(np.array([tau]))[0]
        middle = decay - decay.mean()
        slope = float(middle @ away / (middle @ middle))
        plateau = float(values.mean() - slope * decay.mean())
        residual = away - slope * middle
        if tau > 2 * self.span:
            tau = float("inf")
        return np.array([tau, plateau + slope, plateau, 1 - float(residual @ residual) / total])

    def _refined(self, score: np.ndarray, best: int) -> float:
        if not 0 < best < _GRID - 1:
            return float(self.log_taus[best])
        left, middle, right = score[best - 1 : best + 2]
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        return float(self.log_taus[best] + shift * (self.log_taus[1] - self.log_taus[0]))


def fit(x: np.ndarray, values: np.ndarray) -> Relaxation:
    """Fit one curve; float (n,) each, places with NaN are left out."""
    known = np.isfinite(values)
    fitter = Fitter(np.asarray(x, float)[known])
    return judged(fitter, np.asarray(values, float)[known])


def judged(fitter: Fitter, values: np.ndarray) -> Relaxation:
    """The fit of a curve, with tau withdrawn where the data do not show one."""
    tau, start, plateau, r_squared = (float(v) for v in fitter(values))
    points = len(values)
    if not fitter.usable:
        return Relaxation(tau, start, plateau, r_squared, np.nan, points, f"fewer than {_FEWEST_POINTS} points")
    if np.isnan(r_squared):
        return Relaxation(np.nan, start, plateau, np.nan, np.nan, points, "constant: no finite tau")
    p_value = _f_test(fitter, values, tau, start, plateau, r_squared)
    why = ""
    if p_value > _FLAT_P and r_squared < _CLEAR:
        why = "flat: no better than a constant, no finite tau"
    elif tau < fitter.step / 3:
        why = "relaxed within the first step: tau is below what the spacing of outputs shows"
    elif np.isinf(tau):
        why = "no plateau within the time seen: no finite tau"
    return Relaxation(np.nan if why else tau, start, plateau, r_squared, p_value, points, why)


def _f_test(fitter: Fitter, values: np.ndarray, tau: float, start: float, plateau: float, r_squared: float) -> float:
    """P-value of the fit's gain over a constant, two more parameters, with the effective number of residuals."""
    from scipy.stats import f

    shown = min(tau, 4 * fitter.span)
    residual = values - plateau - (start - plateau) * fitter._decays(np.array([shown]))[0]
    power = float(residual @ residual)
    if power <= 1e-20 * float(values @ values):
        return 0.0
    rho = float(np.clip(residual[1:] @ residual[:-1] / power, 0.0, 0.99))
    freedom = len(values) * (1 - rho) / (1 + rho) - 3
    freedom = max(freedom, 1.0)
    return float(f.sf(r_squared / max(1 - r_squared, 1e-300) * freedom / 2, 2, freedom))


def relaxation_of(
    x: np.ndarray,
    curve: Callable[[np.ndarray], np.ndarray],
    runs: int,
    *,
    strata: np.ndarray | None = None,
    resamples: int = 500,
    seed: int = 0,
) -> tuple[Relaxation, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Fit a curve that many runs give, with intervals over runs.

    Args:
        x: places (n,).
        curve: takes positions of runs and gives the curve (n,) of these.
        runs: number of runs.
        strata: of the runs, see `uncertainty.bootstrap`.
        resamples: number of resamples.
        seed: of the resampling.

    Returns:
        The fit, and (value, low, high) of tau, start, plateau and R squared, each (4,). An end at infinity says that
        some resamples reach no plateau.
    """
    values = curve(np.arange(runs))
    known = np.isfinite(values)
    fitter = Fitter(np.asarray(x, float)[known])
    found = judged(fitter, values[known])
    ends = bootstrap(lambda drawn: fitter(curve(drawn)[known]), runs, strata=strata, resamples=resamples, seed=seed)
    return found, ends


def mean_of(table: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The function from positions of runs to the mean curve of a float (runs, n) table; NaN is left out."""
    known = np.isfinite(table)
    filled = np.where(known, table, 0.0)

    def curve(drawn: np.ndarray) -> np.ndarray:
        weights = np.bincount(drawn, minlength=len(table)).astype(float)
        counts = weights @ known
        return np.divide(weights @ filled, counts, out=np.full(table.shape[1], np.nan), where=counts > 0)

    return curve


def compute(corpus: Corpus, continuation: Continuation = CONTINUED) -> Findings:
    """Tau of the drift of each run, network and prompt, and of the spread of runs with one prompt."""
    findings = Findings()
    for raw in corpus.spaces:
        space = continued_space(raw, continuation)
        drifts = [drift(one) for one in space.trajectories]
        for trajectory, one in zip(space.trajectories, drifts, strict=True):
            alone = run_relaxation(one)
            findings.runs.append(
                RunStatistic(
                    trajectory.run.number,
                    "tau_drift",
                    alone.tau,
                    unit="invocations",
                    embedding_model=space.embedding_model,
                    modality=space.modality,
                    details=_details(alone),
                )
            )
        for group, members in grouped(space.trajectories, space):
            chosen = [drifts[m] for m in members]
            places, table = stacked([_informative(one) for one in chosen])
            approach = relaxation_of(places, mean_of(table**2 / 2), len(chosen))
            findings.groups += _rows(group, "drift", approach, len(chosen))
            among = ensemble([space.trajectories[m] for m in members])
            if len(among.left):
                findings.groups += _rows(group, "spread", _spread(among), among.runs)
    return findings


def run_relaxation(one: Drift) -> Relaxation:
    """Tau of the cosine drift of one run."""
    places, values = _informative(one)
    return fit(places, values**2 / 2)


def _informative(one: Drift) -> tuple[np.ndarray, np.ndarray]:
    """Without the first output where drift is counted from it: its zero is no measurement."""
    first = 0 if one.reference == "prompt" else 1
    return one.x[first:], one.from_start[first:]


def _spread(among: Pairs) -> tuple[Relaxation, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    squares = pair_mean(among, among.distances**2 / 2)
    return relaxation_of(among.x, squares, among.runs, strata=among.strata)


def _rows(
    group: Group,
    what: str,
    found: tuple[Relaxation, tuple[np.ndarray, np.ndarray, np.ndarray]],
    runs: int,
) -> Sequence[GroupStatistic]:
    relaxation, (_, low, high) = found
    values = (relaxation.tau, relaxation.start, relaxation.plateau, relaxation.r_squared)
    method = "exponential approach of the mean cosine distance, least squares; bootstrap over runs"
    rows = []
    for position, (name, value) in enumerate(zip(_NAMES, values, strict=True)):
        known = np.isfinite(value)
        interval = Interval(value, float(low[position]), float(high[position])) if known else Interval(float("nan"))
        details = _details(relaxation)
        if known and np.isposinf(high[position]):
            details["high"] = "unbounded: some resamples reach no plateau"
        unit = {"tau": "invocations", "r_squared": ""}.get(name, "cosine distance")
        rows.append(
            GroupStatistic(
                group,
                f"{name}_{what}",
                interval,
                runs,
                method,
                unit,
                relaxation.p_value if name == "tau" and np.isfinite(relaxation.p_value) else None,
                details=details,
            )
        )
    return rows


def _details(found: Relaxation) -> dict[str, object]:
    details: dict[str, object] = {"points": found.points}
    if np.isfinite(found.r_squared):
        details["r_squared"] = round(found.r_squared, 6)
    return details | ({"why": found.why} if found.why else {})


RELAXATION = Analysis(
    "relaxation",
    "Relaxation time",
    "How long drift, and the spread of runs with one prompt, take to approach their plateaus.",
    compute,
)
