"""Data of studies: what a row is, that runs are never divided, and what is said where there is nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.dynamics.corpus import Run, Trajectory, load_corpus
from panic_assets.lake import Lake
from panic_assets.studies.data import NothingToTrainOn, deal, load_dataset
from panic_assets.studies.records import Dataset
from panic_assets.studies.spec import StudySpec
from panic_assets.studies.tasks import Rows, Source, digits, rows_of
from panic_assets_tests.dynamics.test_stage import embedded
from panic_assets_tests.loop.parts import experiment

SHARES = (0.6, 0.2, 0.2)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two networks, three prompts, seeded and unseeded runs, vectors of texts and of pictures."""
    asked = experiment(
        networks=[["DummyT2I", "DummyI2T"], ["DummyT2I", "DummyI2T2"]],
        prompts=["a boat", "a hill", "a fish"],
        seeds=[7, 8, -1, -1],
        max_length=10,
        embedding_models=["DummyText", "DummyVision"],
    )
    return embedded(tmp_path_factory.mktemp("studies") / "lake", asked)


def study(task: str = "next_step", **data: Any) -> StudySpec:
    own = {} if task == "digits" else {"experiments": ["small"], "embedding_model": "DummyText"}
    return StudySpec.parse({"name": "s", "task": task, "data": own | data})


def parts(data: Dataset) -> dict[str, Any]:
    return {"train": data.train, "validation": data.validation, "test": data.test}


@pytest.mark.parametrize(("horizon", "modality", "model"), [(1, "text", "DummyText"), (2, "image", "DummyVision")])
def test_a_next_step_is_the_output_of_the_same_run_so_many_steps_of_the_modality_later(
    lake: Lake, horizon: int, modality: str, model: str
) -> None:
    data = load_dataset(study(horizon=horizon, modality=modality, embedding_model=model), lake)
    space = next(s for s in load_corpus(lake, "small").spaces if s.modality == modality)
    known = {number: trajectory for number, trajectory in enumerate(space.trajectories)}
    for part in parts(data).values():
        for x, y, run, step in zip(part.x, part.y, part.runs, part.steps, strict=True):
            place = list(known[run].sequence_numbers).index(step)
            assert np.array_equal(x, known[run].vectors[place])
            assert np.array_equal(y, known[run].vectors[place + horizon])
    rows = sum(len(part) for part in parts(data).values())
    assert rows == sum(max(0, len(t) - horizon) for t in space.trajectories) > 0


def test_outputs_on_both_sides_of_a_missing_vector_are_no_pair() -> None:
    run = Run(0, "n", ("a", "b"), 0, "p", 1, 0, "length", None, None, ("t0", b"p", "t1", b"p", "t2", b"p", "t3"))
    vectors = np.arange(3, dtype=np.float32)[:, None]
    source = Source("e", "text", Trajectory(run, np.array([0, 4, 6], np.int32), vectors, None))
    assert source.ranks.tolist() == [0, 2, 3]
    one, two = rows_of("next_step", [source], 1), rows_of("next_step", [source], 2)
    assert (one.x.ravel().tolist(), one.y.ravel().tolist(), one.steps.tolist()) == ([1], [2], [4])
    assert (two.x.ravel().tolist(), two.y.ravel().tolist(), two.steps.tolist()) == ([0], [1], [0])


@pytest.mark.parametrize(
    ("task", "classes", "label"),
    [
        ("prompt_recovery", ("a boat", "a fish", "a hill"), "prompt"),
        ("network_identification", ("DummyT2I -> DummyI2T", "DummyT2I -> DummyI2T2"), "network"),
    ],
)
def test_classes_are_those_of_the_run(lake: Lake, task: str, classes: tuple[str, ...], label: str) -> None:
    data = load_dataset(study(task), lake)
    trajectories = next(s for s in load_corpus(lake, "small").spaces if s.modality == "text").trajectories
    assert data.classes == classes
    assert set(data.train.y) == set(range(len(classes)))
    for part in parts(data).values():
        assert [classes[y] for y in part.y] == [getattr(trajectories[run].run, label) for run in part.runs]


def test_digits_come_from_zero_to_one_in_ten_classes(lake: Lake) -> None:
    data = load_dataset(study("digits", most_rows=500), lake)
    assert data.train.x.shape == (300, 1, 8, 8)
    assert (float(data.train.x.min()), float(data.train.x.max())) == (0, 1)
    assert len(data.classes) == 10
    assert len(digits().x) == 1797


def test_no_run_is_in_two_parts_and_data_are_the_same_each_time(lake: Lake) -> None:
    for task in ("next_step", "prompt_recovery"):
        data = load_dataset(study(task), lake)
        runs = [set(part.runs) for part in parts(data).values()]
        assert not runs[0] & runs[1] | runs[0] & runs[2] | runs[1] & runs[2]
        assert all(runs)
        assert load_dataset(study(task), lake).data_id == data.data_id
        assert load_dataset(study(task, split={"seed": 1}), lake).data_id != data.data_id


@settings(max_examples=150, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=60),
    shares=st.sampled_from([SHARES, (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)]),
    seed=st.integers(0, 5),
    has_classes=st.booleans(),
)
def test_dealing_keeps_runs_whole_and_shares_and_every_class_in_train(
    runs: list[tuple[int, int, int]], shares: tuple[float, ...], seed: int, has_classes: bool
) -> None:
    """Each run is (network, prompt, rows); its prompt is its class."""
    lengths = [rows for _, _, rows in runs]
    labels = np.repeat([prompt for _, prompt, _ in runs], lengths)
    number = np.repeat(np.arange(len(runs)), lengths)
    rows = Rows(
        np.zeros((len(number), 1), np.float32),
        labels if has_classes else np.zeros((len(number), 1), np.float32),
        number,
        number,
        tuple((str(network), str(prompt)) for network, prompt, _ in runs),
        ("a", "b", "c") if has_classes else (),
    )
    part_of = deal(rows, shares, seed)
    assert np.array_equal(part_of, deal(rows, shares, seed))
    assert set(part_of) <= {0, 1, 2}
    counts = np.bincount(part_of, minlength=3)
    sure = len(np.unique(labels)) if has_classes else 0
    wanted = np.array(shares) * len(runs)
    # Beyond one of each class, which training has in any case, no part is a run away from its share, or two.
    assert (np.abs(counts - wanted) < 2 + max(0, sure - wanted[0])).all()
    if has_classes:
        assert set(labels[part_of[number] == 0]) == set(labels)


def test_large_strata_are_divided_like_the_whole() -> None:
    strata = tuple((str(stratum),) for stratum in range(4) for _ in range(50))
    every = np.arange(len(strata))
    rows = Rows(np.zeros((len(every), 1)), np.zeros((len(every), 1)), every, every, strata)
    part_of = deal(rows, SHARES, 0)
    for stratum in range(4):
        assert (np.abs(np.bincount(part_of[every // 50 == stratum]) - [30, 10, 10]) <= 1).all()


def test_thinning_keeps_some_rows_of_every_run(lake: Lake) -> None:
    whole = load_dataset(study("prompt_recovery"), lake)
    few = load_dataset(study("prompt_recovery", most_rows=30), lake)
    assert sum(len(part) for part in parts(few).values()) == 30
    assert {run for part in parts(few).values() for run in part.runs} == {
        run for part in parts(whole).values() for run in part.runs
    }
    assert len(few.train) == len({(r, s) for r, s in zip(few.train.runs, few.train.steps, strict=True)})


def test_facts_tell_of_inputs_that_training_has_seen(lake: Lake) -> None:
    data = load_dataset(study("prompt_recovery"), lake)
    assert json.loads(json.dumps(data.facts)) == data.facts
    known = {row.tobytes() for row in data.train.x}
    share = np.mean([row.tobytes() in known for row in data.test.x])
    assert data.facts["seen_share"]["test"] == pytest.approx(share)
    assert data.facts["rows"]["test"] == len(data.test)
    steps = load_dataset(study(), lake).facts
    assert {"unmoved_share", "baseline_accuracy", "baseline_loss"} <= set(steps)


def test_networks_can_be_chosen(lake: Lake) -> None:
    one = load_dataset(study(networks=["DummyT2I -> DummyI2T"]), lake)
    both = load_dataset(study(), lake)
    assert sum(one.facts["runs"].values()) * 2 == sum(both.facts["runs"].values())


@pytest.mark.parametrize(
    ("task", "data", "words"),
    [
        ("next_step", {"experiments": ["other"]}, "make demo"),
        ("next_step", {"embedding_model": "DummyTxt"}, "only DummyText of texts, DummyVision of images"),
        ("next_step", {"modality": "image"}, "no vectors of DummyText of images"),
        ("next_step", {"networks": ["A"]}, "no run is of 'A'; use some of DummyT2I"),
        ("next_step", {"horizon": 50}, "lower data.horizon"),
        ("network_identification", {"networks": ["DummyT2I -> DummyI2T"]}, "all rows are of one class"),
        ("prompt_recovery", {"most_rows": 3}, "leave none for"),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(lake: Lake, task: str, data: dict[str, Any], words: str) -> None:
    with pytest.raises(NothingToTrainOn, match=words) as caught:
        load_dataset(study(task, **data), lake)
    assert str(caught.value).startswith("study s: ")
