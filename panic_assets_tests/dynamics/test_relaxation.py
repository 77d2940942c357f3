"""Known time constants are found and covered; flat curves have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.findings import Findings
from panic_assets.dynamics.relaxation import compute, fit, mean_of, relaxation_of
from panic_assets_tests.dynamics.walks import corpus, relaxing, trajectory


@settings(max_examples=50, deadline=None)
@given(st.floats(1, 50), st.floats(-2, 2), st.floats(0.1, 3), st.sampled_from([1, 2, 5]))
def test_an_exact_approach_gives_back_its_parameters(tau: float, start: float, change: float, stride: int) -> None:
    x = np.arange(0, 100, stride, dtype=float)
    if tau < stride:
        return
    found = fit(x, start + change * (1 - np.exp(-x / tau)))
    assert (found.tau, found.start, found.plateau) == pytest.approx((tau, start, start + change), rel=0.02, abs=0.02)
    assert found.r_squared > 0.999


def processes(rng: np.random.Generator, runs: int, steps: int, tau: float, start: float) -> np.ndarray:
    """Ornstein-Uhlenbeck processes (runs, steps) of unit stationary variance."""
    keep = np.exp(-1 / tau)
    table = np.full((runs, steps), start)
    for step in range(1, steps):
        table[:, step] = keep * table[:, step - 1] + np.sqrt(1 - keep**2) * rng.normal(size=runs)
    return table


def test_the_interval_of_tau_covers_that_of_an_ornstein_uhlenbeck_process() -> None:
    rng = np.random.default_rng(0)
    hits, trials, tau = 0, 200, 10.0
    for trial in range(trials):
        table = processes(rng, 12, 60, tau, 5.0)
        _, (_, low, high) = relaxation_of(np.arange(60), mean_of(table), 12, resamples=300, seed=trial)
        hits += low[0] <= tau <= high[0]
    assert 0.90 <= hits / trials <= 0.99


def test_stationary_series_have_no_finite_tau() -> None:
    rng = np.random.default_rng(1)
    found = [fit(np.arange(100), processes(rng, 1, 100, 2.0, float(rng.normal()))[0]) for _ in range(200)]
    assert sum(np.isfinite(one.tau) for one in found) <= 8
    assert {one.why.split(":")[0] for one in found if np.isnan(one.tau)} >= {"flat"}


def test_a_straight_line_has_no_plateau_and_a_step_no_tau() -> None:
    line = fit(np.arange(50), np.linspace(0, 1, 50))
    assert (np.isnan(line.tau), line.why) == (True, "no plateau within the time seen: no finite tau")
    jump = fit(np.arange(50), np.r_[0.0, np.ones(49)])
    assert np.isnan(jump.tau)
    assert jump.why.startswith("relaxed within the first step")


@pytest.mark.parametrize(("values", "why"), [(np.ones(20), "constant"), (np.ones(3), "fewer than"), ([], "fewer than")])
def test_what_can_not_be_told_says_why(values: np.ndarray, why: str) -> None:
    found = fit(np.arange(len(values)), np.asarray(values, float))
    assert np.isnan(found.tau)
    assert found.why.startswith(why)


def value(found: Findings, name: str, prompt: int) -> tuple[float, float, float]:
    row = next(r for r in found.groups if (r.statistic, r.group.prompt_number) == (name, prompt))
    return row.estimate.low, row.estimate.value, row.estimate.high


def test_tau_of_drift_and_of_spread_of_embedded_processes() -> None:
    rng = np.random.default_rng(2)
    prompt = np.r_[1.0, np.zeros(255)]
    members = [trajectory(relaxing(rng, prompt, 60, 8.0), prompt, number=n, stride=2) for n in range(12)]
    found = compute(corpus(members))
    low, tau, high = value(found, "tau_drift", 0)
    assert low <= 16 <= high, "8 outputs, 16 invocations"
    assert tau == pytest.approx(16, rel=0.15)
    assert value(found, "tau_spread", 0)[1] == pytest.approx(8, rel=0.15), "two runs forget twice as fast as one"
    assert value(found, "plateau_drift", 0)[1] == pytest.approx(1, abs=0.05)
    assert len([r for r in found.runs if r.statistic == "tau_drift" and np.isfinite(r.value or np.nan)]) == 12


def test_odd_runs_raise_nothing() -> None:
    rng = np.random.default_rng(3)
    assert np.isnan(value(compute(corpus([trajectory(rng.normal(size=(1, 4)))])), "tau_drift", 0)[1])
    merged = [trajectory(np.ones((9, 4)), np.ones(4), number=n) for n in range(3)]
    row = next(r for r in compute(corpus(merged)).groups if r.statistic == "tau_spread")
    assert row.details is not None
    assert row.details["why"] == "constant: no finite tau"
