"""Known exponents are found, per invocation; saturation does not dilute them; merged runs do not raise."""

from __future__ import annotations

import numpy as np
import pytest

from panic_assets.dynamics.corpus import Trajectory
from panic_assets.dynamics.divergence import (
    across,
    compute,
    early_window,
    ensemble,
    exponents,
    pair_mean,
    slope,
)
from panic_assets.dynamics.findings import Findings, GroupStatistic
from panic_assets.dynamics.uncertainty import bootstrap
from panic_assets_tests.dynamics.walks import corpus, trajectory


def logistic(start: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """Orbits (runs, steps) of x -> rate x (1 - x)."""
    orbit = [start]
    for _ in range(steps - 1):
        orbit.append(rate * orbit[-1] * (1 - orbit[-1]))
    return np.stack(orbit, axis=1)


def on_arc(positions: np.ndarray) -> np.ndarray:
    """Positions in [0, 1] as directions (..., 2): chords of near ones equal their distances."""
    return np.stack([np.cos(positions), np.sin(positions)], axis=-1)


def ensembles(
    rate: float, spread: float, prompts: int, runs: int = 4, steps: int = 60, stride: int = 1
) -> list[Trajectory]:
    """Runs that start within ``spread`` of one another on the attractor, ``prompts`` times."""
    rng = np.random.default_rng(1)
    members = []
    for prompt in range(prompts):
        start = logistic(rng.uniform(0.2, 0.8, 1), rate, 100)[:, -1]
        orbits = logistic(start + spread * rng.uniform(0, 1, runs), rate, steps)
        members += [
            trajectory(on_arc(orbit), number=len(members) + i, prompt_number=prompt, stride=stride)
            for i, orbit in enumerate(orbits)
        ]
    return members


def of(found: Findings, statistic: str, contrast: str = "", prompt: int = -1) -> GroupStatistic:
    return next(
        row
        for row in found.groups
        if (row.statistic, row.group.contrast, row.group.prompt_number) == (statistic, contrast, prompt)
    )


def test_the_logistic_map_at_four_has_the_exponent_ln_2() -> None:
    found = compute(corpus(ensembles(4.0, 1e-10, 12)))
    early = of(found, "early_log_slope")
    assert early.estimate.value == pytest.approx(np.log(2), abs=0.05)
    assert early.details is not None
    assert early.details["r_squared"] > 0.99
    assert of(found, "whole_slope").estimate.value < 0.8 * np.log(2), "a line through the plateau is no exponent"


def test_a_chaotic_logistic_map_has_the_exponent_of_its_own_derivative() -> None:
    orbit = logistic(np.array([0.3]), 3.8, 200_000)[0]
    truth = float(np.log(np.abs(3.8 * (1 - 2 * orbit))).mean())
    pairs = ensemble(ensembles(3.8, 1e-10, 60))
    everyone = np.arange(pairs.runs)
    logs = pair_mean(pairs, np.log(pairs.distances))(everyone)
    found = exponents(pairs.x, pair_mean(pairs)(everyone), logs)
    assert found["early_log_slope"].rate == pytest.approx(truth, abs=0.03)


def test_contraction_to_a_fixed_point_has_the_exponent_of_its_multiplier() -> None:
    rng = np.random.default_rng(0)
    orbits = logistic(0.6 + 1e-3 * rng.uniform(-1, 1, 5), 2.5, 30)
    found = compute(corpus([trajectory(on_arc(orbit), number=n) for n, orbit in enumerate(orbits)]))
    assert of(found, "early_slope").estimate.value == pytest.approx(np.log(0.5), abs=0.02)


def test_rates_are_per_invocation() -> None:
    once, twice = (of(compute(corpus(ensembles(4.0, 1e-10, 2, stride=s))), "early_log_slope").estimate for s in (1, 2))
    assert (once.value, once.low, once.high) == pytest.approx((2 * twice.value, 2 * twice.low, 2 * twice.high))


def test_merged_runs_count_as_distance_zero_and_as_merged() -> None:
    rng = np.random.default_rng(2)
    paths = rng.normal(size=(4, 10, 8))
    paths[1, 6:] = paths[0, 6:]
    found = compute(corpus([trajectory(path, number=n) for n, path in enumerate(paths)]))
    curves = {c.curve: c for c in found.curves if c.group.prompt_number == 0}
    assert curves["merged_share"].values == pytest.approx([0] * 6 + [1 / 6] * 4)
    assert np.isfinite(curves["mean_log_distance"].values).all()
    units = paths[:, 9] / np.linalg.norm(paths[:, 9], axis=1, keepdims=True)
    chords = [np.linalg.norm(units[i] - units[j]) for i in range(4) for j in range(i)]
    assert curves["distance"].values[9] == pytest.approx(np.mean(chords))
    assert of(found, "final_merged_share").estimate.value == pytest.approx(1 / 6)


def test_runs_that_are_all_equal_have_no_exponent_and_say_why() -> None:
    found = compute(corpus([trajectory(np.ones((6, 3)), number=n) for n in range(4)]))
    for name in ("early_slope", "early_log_slope", "whole_slope"):
        row = of(found, name)
        assert np.isnan(row.estimate.value)
        assert row.details is not None
        assert row.details["why"] == "all runs are merged"
    assert of(found, "final_merged_share").estimate.value == 1.0


@pytest.mark.parametrize("runs", [1, 2])
def test_one_or_two_runs_raise_nothing(runs: int) -> None:
    rng = np.random.default_rng(0)
    found = compute(corpus([trajectory(rng.normal(size=(4 + n, 3)), number=n) for n in range(runs)]))
    assert np.isnan(of(found, "early_slope").estimate.low)


def test_a_run_drawn_twice_is_not_paired_with_its_copy() -> None:
    rng = np.random.default_rng(3)
    pairs = ensemble([trajectory(rng.normal(size=(3, 4)), number=n) for n in range(3)])
    mean = pair_mean(pairs)
    assert mean(np.array([0, 0, 1])) == pytest.approx(pairs.distances[0])
    assert np.isnan(mean(np.array([2, 2, 2]))).all()


def test_the_early_window_ends_at_half_the_plateau_from_below_and_at_twice_from_above() -> None:
    rising = np.array([0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0])
    assert early_window(rising) == 3
    assert early_window(np.array([8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0])) == 2
    assert early_window(np.ones(5)) == 0


def test_a_line_is_found_exactly_and_two_points_are_none() -> None:
    found = slope(np.arange(5.0), 3.0 * np.arange(5.0) - 1)
    assert (found.rate, found.r_squared, found.points) == pytest.approx((3.0, 1.0, 5))
    assert np.isnan(slope(np.arange(2.0), np.arange(2.0)).rate)


def test_exponential_growth_to_a_plateau() -> None:
    x = np.arange(0, 80, 2.0)
    distance = np.minimum(1e-4 * np.exp(0.3 * x), 1.0)
    found = exponents(x, distance, np.log(distance))
    assert found["early_slope"].rate == pytest.approx(0.3)
    assert found["whole_slope"].rate < 0.2


def test_tags_tell_which_prompts_are_paired() -> None:
    tags = {0: {"kind": "control"}, 1: {"kind": "paraphrase"}, 2: {"kind": "paraphrase"}, 3: {}}
    found = across([0, 1, 2, 3], tags)
    paired = {name: {(a, b) for a in range(4) for b in range(a, 4) if belongs(a, b)} for name, belongs in found.items()}
    assert paired == {
        "across prompts": {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)},
        "kind=paraphrase across prompts": {(1, 2)},
        "kind=control against paraphrase": {(0, 1), (0, 2)},
    }


def test_prompts_of_one_tag_that_stay_together_are_told_from_others() -> None:
    rng = np.random.default_rng(5)
    centres = {0: np.eye(16)[0], 1: np.eye(16)[0], 2: np.eye(16)[1]}
    members = [
        trajectory(centres[p] + 0.05 * rng.normal(size=(10, 16)), number=n, prompt_number=p)
        for n, p in enumerate([0] * 4 + [1] * 4 + [2] * 4)
    ]
    tags = {0: {"of": "boat"}, 1: {"of": "boat"}, 2: {"of": "hill"}}
    found = compute(corpus(members, tags))
    near, far = (of(found, "plateau", c) for c in ("of=boat across prompts", "of=boat against hill"))
    assert near.estimate.high < far.estimate.low
    assert (near.runs, far.runs) == (8, 12)


@pytest.mark.parametrize("runs", [6, 12])
def test_the_interval_of_the_mean_distance_covers_the_true_mean(runs: int) -> None:
    rng = np.random.default_rng(runs)

    def members(number: int) -> list[Trajectory]:
        return [trajectory(np.r_[1, rng.normal(size=3)][None], number=n) for n in range(number)]

    truth = np.mean([ensemble(members(200)).distances.mean() for _ in range(20)])
    hits, trials = 0, 200
    for trial in range(trials):
        pairs = ensemble(members(runs))
        found = bootstrap(lambda drawn, p=pairs: float(pair_mean(p)(drawn)[0]), runs, resamples=300, seed=trial)  # type: ignore[misc]
        hits += found.low <= truth <= found.high
    assert hits / trials >= 0.90, "intervals of pair means err towards being too wide"
