"""Drift bears the right names, the right reference and the right times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from panic_assets.dynamics.corpus import load_corpus
from panic_assets.dynamics.drift import DRIFT, chord, compute, cosine_distance, drift
from panic_assets.dynamics.stage import analyse
from panic_assets.dynamics.uncertainty import bootstrap
from panic_assets_tests.dynamics.test_stage import embedded
from panic_assets_tests.dynamics.walks import corpus, relaxing, trajectory
from panic_assets_tests.loop.parts import experiment

RIGHT, UP, LEFT = np.array([1.0, 0.0]), np.array([0.0, 3.0]), np.array([-2.0, 0.0])


def test_cosine_distance_and_chord_of_known_angles() -> None:
    assert cosine_distance(RIGHT, np.stack([RIGHT, UP, LEFT])) == pytest.approx([0, 1, 2])
    assert chord(RIGHT, np.stack([RIGHT, UP, LEFT])) == pytest.approx([0, np.sqrt(2), 2])


@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_the_chord_is_the_root_of_twice_the_cosine_distance_whatever_the_lengths(seed: int, scale: float) -> None:
    u, v = np.random.default_rng(seed).normal(size=(2, 20))
    cos = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
    assert cosine_distance(u, scale * v) == pytest.approx(1 - cos, abs=1e-12)
    assert chord(u, scale * v) == pytest.approx(np.sqrt(2 - 2 * cos), abs=1e-7)


def test_drift_counts_from_the_prompt_and_steps_from_the_output_before() -> None:
    found = drift(trajectory(np.stack([UP, UP, LEFT]), RIGHT, stride=2))
    assert found.x.tolist() == [0, 2, 4]
    assert found.from_start**2 / 2 == pytest.approx([1, 1, 2])
    assert found.steps == pytest.approx([np.nan, 0, np.sqrt(2)], nan_ok=True)
    assert found.reference == "prompt"


def test_pictures_drift_from_their_first_output_and_texts_from_their_prompt(tmp_path: Path) -> None:
    asked = experiment(prompts=["a boat", "a hill"], seeds=[7, -1], embedding_models=["DummyText", "DummyVision"])
    lake = embedded(tmp_path, asked)
    analyse(lake, "small", DRIFT)
    held = load_corpus(lake, "small")
    rows = lake.read("run_statistics", "small", where={"statistic": "final_drift_cosine"}).to_pylist()
    told = {(row["modality"], row["run_number"]): row for row in rows}
    assert len(told) == 8
    for space in held.spaces:
        for one in space.trajectories:
            row = told[space.modality, one.run.number]
            origin = one.vectors[0] if one.prompt is None else one.prompt
            assert row["details"] == ('{"from": "first output"}' if one.prompt is None else '{"from": "prompt"}')
            assert row["value"] == pytest.approx(float(cosine_distance(origin, one.vectors[-1])), abs=1e-9)


def test_a_run_that_closed_a_cycle_goes_on_along_it() -> None:
    short = trajectory(np.stack([UP, RIGHT, LEFT]), RIGHT, cycle=(1, 2))
    others = [trajectory(np.tile(UP, (8, 1)), RIGHT, number=n) for n in (1, 2)]
    found = compute(corpus([short, *others]))
    curve = next(c for c in found.curves if c.curve == "drift_cosine")
    assert curve.x.tolist() == list(range(8))
    assert curve.values[1:] == pytest.approx([(c + 2) / 3 for c in (0, 2, 0, 2, 0, 2, 0)])
    assert np.nan_to_num(curve.low, nan=-1.0).min() >= 0


def test_odd_runs_raise_nothing() -> None:
    odd = [
        trajectory(UP[None], RIGHT),
        trajectory(np.tile(UP, (5, 1)), number=1),
        trajectory(np.zeros((3, 2)), RIGHT, number=2),
    ]
    found = compute(corpus(odd))
    still = {r.run_number: r.value for r in found.runs if r.statistic == "still_share"}
    assert still == pytest.approx({0: np.nan, 1: 1.0, 2: np.nan}, nan_ok=True)


def test_the_interval_of_mean_drift_covers_the_true_mean() -> None:
    rng = np.random.default_rng(4)
    hits, trials, tau, steps = 0, 200, 5.0, 8
    prompt = np.eye(64)[0]
    truth = np.mean([drift(trajectory(relaxing(rng, prompt, steps, tau), prompt)).from_start[-1] for _ in range(3000)])
    for trial in range(trials):
        values = np.array(
            [drift(trajectory(relaxing(rng, prompt, steps, tau), prompt)).from_start[-1] for _ in range(10)]
        )
        found = bootstrap(lambda drawn, v=values: float(v[drawn].mean()), 10, resamples=300, seed=trial)  # type: ignore[misc]
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / trials <= 0.99
