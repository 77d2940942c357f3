"""The engine against a loop that does one thing after the other, and what it must do that such a loop can't show."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake, images
from panic_assets.lake.errors import CorruptPart, PartitionLocked
from panic_assets.loop.engine import groups_of_plans, run_experiment
from panic_assets.loop.planning import plan_runs, register, resolve_models
from panic_assets.loop.progress import Progress
from panic_assets.models.base import Output
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import ModelLoadError
from panic_assets_tests.loop.parts import (
    SMALL,
    WatchedPool,
    content,
    experiment,
    fresh,
    outcomes,
    outputs,
    reference,
    registry,
    run,
)

RINGS = [
    ["DummyT2T"],
    ["DummyT2I", "DummyI2T"],
    ["DummyT2I", "DummyI2I", "DummyI2T"],
    ["DummyT2I", "DummyI2T", "DummyT2T"],
    ["DummyT2I", "DummyI2T", "DummyT2I2", "DummyI2T2"],
]
USED = ["DummyT2T", "DummyT2I", "DummyI2T", "DummyI2I", "DummyT2I2", "DummyI2T2"]


def _weighing(entry: ModelEntry, memory_gb: float) -> ModelEntry:
    """With weights of its own; those of all dummies are the same."""
    return entry.model_copy(update={"memory_gb": memory_gb, "revision": entry.name})


def _with_states(states: int | None, batch: int = 32) -> dict[str, Any]:
    text = {"parameters": {"states": states}, "batch": batch}
    picture = {"parameters": {"states": states, "side": 8}, "batch": batch}
    return {name: text if registry()[name].gives == "text" else picture for name in USED}


def _matches(lake: Lake, asked: Experiment, models: Any = None) -> None:
    expected = reference(asked, models)
    ends = outcomes(lake)
    assert outputs(lake) == {number: end.outputs for number, end in expected.items()}
    flags: dict[int, list[list[str]]] = {}
    for row in lake.read("invocations", "small").to_pylist():
        flags.setdefault(row["run_number"], []).append(row["flags"])
    assert flags == {number: end.flags for number, end in expected.items()}
    for number, end in expected.items():
        row = ends[number]
        assert (row["stop_reason"], row["length"]) == (end.stop_reason, len(end.outputs))
        assert (row["transient_length"], row["cycle_length"]) == (end.cycle or (None, None))
        assert row["flagged"] == sum(map(bool, end.flags))


@settings(max_examples=20, deadline=None)
@given(
    rings=st.lists(st.sampled_from(RINGS), min_size=1, max_size=2, unique_by=tuple),
    prompts=st.lists(st.sampled_from(["a", "b", "été", "d"]), min_size=1, max_size=3, unique=True),
    seeds=st.lists(st.sampled_from([0, 1, 2**63 - 1]), max_size=2, unique=True),
    unseeded=st.integers(0, 2),
    max_length=st.integers(1, 14),
    states=st.sampled_from([1, 2, 5, None]),
    batch=st.integers(1, 5),
    cycle=st.sampled_from(["stop", "continue"]),
    cut=st.integers(0, 14),
)
def test_the_lake_holds_what_one_run_after_the_other_gives(
    rings: list[list[str]],
    prompts: list[str],
    seeds: list[int],
    unseeded: int,
    max_length: int,
    states: int | None,
    batch: int,
    cycle: str,
    cut: int,
) -> None:
    def asked(length: int) -> Experiment:
        return experiment(
            networks=rings,
            prompts=prompts,
            seeds=[*seeds, *[-1] * unseeded] or [4],
            max_length=length,
            models=_with_states(states, batch),
            cycle=cycle,
        )

    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        if 0 < cut < max_length:
            run(lake, asked(cut))
        run(lake, asked(max_length))
        _matches(lake, asked(max_length))


def test_each_invocation_says_how_it_was_made(tmp_path: Path) -> None:
    asked = experiment(seeds=[7, -1], max_length=3, models={"DummyT2I": {"parameters": {"side": 8}, "batch": 3}})
    rows = fresh(tmp_path, asked).read("invocations", "small").to_pylist()
    assert [row["model"] for row in rows[:3]] == ["DummyT2I", "DummyI2T", "DummyT2I"]
    assert [row["type"] for row in rows[:3]] == ["image", "text", "image"]
    assert [row["batch_size"] for row in rows[:3]] == [3, 32, 3]
    assert [row["seed"] for row in rows[:3]] == [7, 7, 7]
    unseeded = [row["seed"] for row in rows if row["run_number"] == 1]
    assert len(set(unseeded)) == 3
    assert len({row["invocation_id"] for row in rows}) == len(rows) == 12
    assert all(row["started_at"] <= row["completed_at"] and row["model_seconds"] > 0 for row in rows)


def test_a_picture_is_stored_once_with_the_pixels_that_its_hash_names(tmp_path: Path) -> None:
    asked = experiment(models=_with_states(2), cycle="continue")
    lake = fresh(tmp_path, asked)
    rows = lake.read("images", "small").to_pylist()
    named = {row["image_hash"] for row in lake.read("invocations", "small").to_pylist() if row["type"] == "image"}
    assert len(rows) == len(named) == 2
    for row in rows:
        pixels = images.decode(row["image"])
        assert images.pixel_hash(pixels) == row["image_hash"]
        assert (row["height"], row["width"], row["byte_size"]) == (*pixels.shape[:2], len(row["image"]))


def test_equal_work_is_done_once_and_told_as_shared(tmp_path: Path) -> None:
    # One state: after the first step all runs of a seed ask the same.
    asked = experiment(prompts=["a", "b", "c"], seeds=[1, 2], models=_with_states(1), max_length=3, cycle="continue")
    pool = WatchedPool()
    lake = Lake(tmp_path)
    summary = run(lake, asked, pool)
    steps = [
        len({(i if isinstance(i, str) else i.tobytes(), s) for i, s in zip(*c[1:], strict=True)}) for c in pool.calls
    ]
    assert steps == [6, 2, 2]
    assert (summary.computed, summary.invocations) == (10, 18)
    assert [row["shared"] for row in outcomes(lake).values()] == [2] * 6


def test_noise_that_does_not_repeat_is_never_shared(tmp_path: Path) -> None:
    models = _with_states(1)
    models["DummyT2I"] |= {"seed_behaviour": "none"}
    lake = Lake(tmp_path)
    summary = run(lake, experiment(models=models, max_length=5))
    assert summary.stop_reasons == {"length": 2}
    assert [row["shared"] for row in outcomes(lake).values()] == [2, 2], (
        "the captions of the one picture, and only they"
    )


def test_a_model_that_ignores_its_seed_is_asked_once_for_all_seeds(tmp_path: Path) -> None:
    asked = experiment(
        networks=[["DummyT2T"]],
        seeds=[1, 2, -1],
        models={"DummyT2T": {"seed_behaviour": "deterministic"}},
        max_length=4,
    )
    pool = WatchedPool()
    assert run(Lake(tmp_path), asked, pool).computed == 8


def test_runs_of_a_ring_without_noise_have_cycles_even_unseeded(tmp_path: Path) -> None:
    settled = {"seed_behaviour": "deterministic", "parameters": {"states": 3}}
    asked = experiment(networks=[["DummyT2T"]], seeds=[-1], models={"DummyT2T": settled}, max_length=40)
    assert run(Lake(tmp_path), asked, WatchedPool()).stop_reasons == {"cycle": 2}


def test_unseeded_runs_never_stop_at_a_repeat_and_replay_equally(tmp_path: Path) -> None:
    asked = experiment(seeds=[-1, -1], models=_with_states(1), max_length=9)
    one, other = fresh(tmp_path / "1", asked), fresh(tmp_path / "2", asked)
    assert {row["stop_reason"] for row in outcomes(one).values()} == {"length"}
    assert {row["cycle_length"] for row in outcomes(one).values()} == {None}
    assert content(one, "invocations") == content(other, "invocations")


def test_going_on_round_a_cycle_asks_no_model_and_is_what_asking_would_give(tmp_path: Path) -> None:
    asked = experiment(models=_with_states(3), max_length=60, cycle="continue", seeds=[7, 8])
    pool = WatchedPool()
    lake = Lake(tmp_path)
    summary = run(lake, asked, pool)
    _matches(lake, asked)
    assert summary.stop_reasons == {"cycle": 4}
    assert [len(outs) for outs in outputs(lake).values()] == [60] * 4
    stopped = fresh(tmp_path / "stop", asked.model_copy(update={"cycle": "stop"}))
    assert summary.calls == len(pool.calls) <= max(len(outs) for outs in outputs(stopped).values())
    assert all(
        row["batch_size"] == 0 and row["model_seconds"] == 0
        for row in lake.read("invocations", "small").to_pylist()
        if row["sequence_number"] >= len(outputs(stopped)[row["run_number"]])
    )


def test_stopped_runs_go_on_when_the_file_asks_for_it_and_stay_when_it_no_longer_does(tmp_path: Path) -> None:
    stop = experiment(models=_with_states(3), max_length=40)
    go_on = stop.model_copy(update={"cycle": "continue"})
    lake = fresh(tmp_path / "lake", stop)
    assert max(row["length"] for row in outcomes(lake).values()) < 40
    run(lake, go_on)
    assert outputs(lake) == outputs(fresh(tmp_path / "fresh", go_on))
    run(lake, stop)
    assert [(row["stop_reason"], row["length"]) for row in outcomes(lake).values()] == [("cycle", 40)] * 2


def test_a_smaller_maximum_keeps_what_is_there_and_counts_it(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment(max_length=10))
    before = content(lake, "invocations")
    assert run(lake, experiment(max_length=4)).computed == 0
    assert content(lake, "invocations") == before
    assert [(row["stop_reason"], row["length"]) for row in outcomes(lake).values()] == [("length", 10)] * 2


@pytest.mark.parametrize("policy", ["record", "stop"])
@pytest.mark.parametrize(
    ("model", "parameter", "flag"),
    [("DummyI2T", "empty_on", "empty_text"), ("DummyT2I", "black_on", "black_image")],
)
def test_doubtful_outputs_are_flagged_and_stop_a_run_only_if_asked(
    tmp_path: Path, policy: str, model: str, parameter: str, flag: str
) -> None:
    models = _with_states(None)
    # About every second caption has an e; about every second picture a 7 in its first digits.
    models[model] = {"parameters": models[model]["parameters"] | {parameter: "7"}}
    asked = experiment(models=models, quality=policy, seeds=[1, 2, 3])
    lake = fresh(tmp_path, asked)
    _matches(lake, asked)
    reasons = {row["stop_reason"] for row in outcomes(lake).values()}
    assert reasons == ({"quality"} if policy == "stop" else reasons - {"quality"})
    flagged = [row for row in lake.read("invocations", "small").to_pylist() if row["flags"]]
    assert flagged
    assert {tuple(row["flags"]) for row in flagged} == {(flag,)}
    if flag == "empty_text":
        assert {row["text"] for row in flagged} == {""}
    generations = lake.generation("invocations", "small")
    assert run(lake, asked).computed == 0
    assert lake.generation("invocations", "small") == generations


def test_a_reason_to_stop_that_is_found_in_what_is_there_stays_the_reason(tmp_path: Path) -> None:
    models = _with_states(None)
    models["DummyI2T"] = {"parameters": {"empty_on": "7e"}}
    asked = experiment(models=models, seeds=list(range(6)))
    lake = fresh(tmp_path, asked)
    doubtful = {row["run_number"] for row in lake.read("invocations", "small").to_pylist() if row["flags"]}
    assert 0 < len(doubtful) < 12
    run(lake, asked.model_copy(update={"quality": "stop"}))
    for number, row in outcomes(lake).items():
        assert (row["stop_reason"], row["length"]) == ("quality" if number in doubtful else "length", 12)


def test_flags_of_the_model_are_kept_beside_our_own(tmp_path: Path) -> None:
    def doubt(entry: ModelEntry, output: Output) -> Output:
        return Output(np.zeros((4, 4, 3), np.uint8), frozenset({"non_finite"})) if entry.gives == "image" else output

    lake = Lake(tmp_path)
    run(lake, experiment(max_length=2), WatchedPool(change=doubt))
    rows = lake.read("invocations", "small").to_pylist()
    assert [row["flags"] for row in rows] == [["black_image", "non_finite"], []] * 2


class Breaking:
    """Raises at the seventh step of the run from one prompt; tells all inputs apart by what the first run gave."""

    def __init__(self, lake: Lake, step: int) -> None:
        row = lake.read("invocations", "small", where={"run_number": 1, "sequence_number": step - 1}).to_pylist()[0]
        self.input = row["text"] if row["type"] == "text" else row["image_hash"]

    def __call__(self, entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        for item in inputs:
            if self.input == (item if isinstance(item, str) else images.pixel_hash(item)):
                raise RuntimeError("weights of clay")


@pytest.mark.parametrize("step", [1, 7])
def test_a_run_that_fails_stops_no_other_and_is_tried_again(tmp_path: Path, step: int) -> None:
    asked = experiment(prompts=["a", "b", "c"])
    good = fresh(tmp_path / "good", asked)
    lake = Lake(tmp_path / "bad")
    summary = run(lake, asked, WatchedPool(watch=Breaking(good, step)))
    assert summary.stop_reasons == {"failed": 1, "length": 2}
    row = outcomes(lake)[1]
    assert (row["stop_reason"], row["length"], row["error"]) == ("failed", step, "RuntimeError: weights of clay")
    assert row["failed_at"] is not None
    assert outputs(lake) == {number: outs[: step if number == 1 else 12] for number, outs in outputs(good).items()}
    assert run(lake, asked).computed == 12 - step
    for table in ("invocations", "images", "outcomes"):
        # The picture may have come first in another run when this one was late.
        without = ["run_number", "sequence_number"] if table == "images" else []
        assert content(lake, table, without=without) == content(good, table, without=without)


def test_a_run_that_fails_at_its_first_step_has_an_outcome_without_invocations(tmp_path: Path) -> None:
    asked = experiment(models={"DummyT2I": {"parameters": {"side": 8, "fail_on": "hill"}}})
    lake = fresh(tmp_path, asked)
    row = outcomes(lake)[1]
    assert (row["stop_reason"], row["length"], row["started_at"]) == ("failed", 0, None)
    assert row["completed_at"] == row["failed_at"]
    assert "fail_on is 'hill'" in row["error"]
    assert outcomes(lake)[0]["stop_reason"] == "length"


def test_what_can_not_be_stored_fails_its_run_only(tmp_path: Path) -> None:
    def spoil(entry: ModelEntry, output: Output) -> Output:
        is_bad = isinstance(output.value, str) and output.value.startswith(("amber", "hollow", "woven"))
        return Output(np.zeros(3)) if is_bad else output

    summary = run(Lake(tmp_path), experiment(seeds=list(range(8))), WatchedPool(change=spoil))
    assert set(summary.stop_reasons) == {"failed", "length"}


def test_a_second_run_computes_and_writes_nothing(tmp_path: Path) -> None:
    asked = experiment()
    lake = fresh(tmp_path, asked)
    tables = ("experiments", "prompts", "runs", "invocations", "images", "outcomes")
    before = {table: lake.generation(table, "small") for table in tables}
    pool = WatchedPool()
    summary = run(lake, asked, pool)
    assert (summary.computed, summary.invocations, pool.calls) == (0, 24, [])
    assert {table: lake.generation(table, "small") for table in before} == before


def test_growing_computes_only_what_is_new_and_ends_as_a_fresh_run(tmp_path: Path) -> None:
    little = experiment(prompts=["a", "b"], seeds=[1, -1], max_length=7)
    big = experiment(prompts=["c", "a", "b"], seeds=[-1, 1, -1, 2], max_length=15)
    whole = Lake(tmp_path / "whole")
    whole_pool, first_pool, second_pool = WatchedPool(), WatchedPool(), WatchedPool()
    at_once = run(whole, big, whole_pool)
    lake = Lake(tmp_path / "grown")
    first, second = run(lake, little, first_pool), run(lake, big, second_pool)
    assert first.computed + second.computed == at_once.computed == 3 * 4 * 15

    def asked(*pools: WatchedPool) -> list[Any]:
        calls = [call for pool in pools for call in pool.calls]
        # A padded call repeats its first request: take each pair of input and seed once.
        return sorted(
            (name, key)
            for name, inputs, seeds in calls
            for key in {
                (str(i) if isinstance(i, str) else i.tobytes().hex(), s) for i, s in zip(inputs, seeds, strict=True)
            }
        )

    assert asked(first_pool, second_pool) == asked(whole_pool)
    _same_by_run_id(lake, whole)


def _same_by_run_id(lake: Lake, other: Lake) -> None:
    def table(lake: Lake, name: str) -> list[Any]:
        ids = {row["run_number"]: row["run_id"] for row in lake.read("runs", "small").to_pylist()}
        rows = content(lake, name, without=["prompt_number"])
        return sorted(
            (ids[row["run_number"]], row.get("sequence_number", 0), sorted((row | {"run_number": 0}).items(), key=str))
            for row in rows
        )

    for name in ("runs", "invocations", "outcomes"):
        assert table(lake, name) == table(other, name)
    places = ["run_number", "sequence_number"]
    by_hash = [
        sorted(content(one, "images", without=places), key=lambda row: row["image_hash"]) for one in (lake, other)
    ]
    assert by_hash[0] == by_hash[1]


@pytest.mark.parametrize("image_format", ["webp-90", "jpeg-50"])
def test_a_lossy_archive_feeds_models_what_is_read_back(tmp_path: Path, image_format: str) -> None:
    asked = experiment(image_format=image_format, max_length=10, models=_with_states(None))
    pool = WatchedPool()
    lake = Lake(tmp_path / "at once")
    run(lake, asked, pool)
    stored = {row["image_hash"]: images.decode(row["image"]) for row in lake.read("images", "small").to_pylist()}
    assert all(images.pixel_hash(pixels) == image_hash for image_hash, pixels in stored.items())
    fed = {images.pixel_hash(item) for name, inputs, _ in pool.calls if name == "DummyI2T" for item in inputs}
    assert fed == set(stored)
    # And that is another picture than the model gave, so that the test can fail.
    assert outputs(lake) != {number: end.outputs for number, end in reference(asked).items()}
    stopped = Lake(tmp_path / "stopped")
    for length in (3, 5, 6, 10):
        run(stopped, asked.model_copy(update={"max_length": length}))
    for table in ("invocations", "images", "outcomes"):
        assert content(stopped, table) == content(lake, table)


def test_out_of_memory_costs_no_run(tmp_path: Path) -> None:
    def refuse(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        if len(inputs) > 5:
            raise MemoryError

    asked = experiment(seeds=list(range(9)), max_length=4)
    lake = Lake(tmp_path)
    assert run(lake, asked, WatchedPool(watch=refuse)).stop_reasons == {"length": 18}
    assert {row["batch_size"] for row in lake.read("invocations", "small").to_pylist()} == {4}
    _matches(lake, asked)


def test_a_model_that_can_not_be_loaded_leaves_what_was_computed(tmp_path: Path) -> None:
    class NoTexts(WatchedPool):
        def get(self, entry: ModelEntry) -> Any:
            if entry.name == "DummyT2T":
                raise RuntimeError("no such weights")
            return super().get(entry)

    asked = experiment(networks=[["DummyT2I", "DummyI2T", "DummyT2T"]])
    lake = Lake(tmp_path / "lake")
    with pytest.raises(ModelLoadError, match="no such weights"):
        run(lake, asked, NoTexts())
    assert [len(outs) for outs in outputs(lake).values()] == [2, 2]
    run(lake, asked)
    assert content(lake, "invocations") == content(fresh(tmp_path / "good", asked), "invocations")


def test_networks_come_so_that_neighbours_share_models_whatever_is_left_to_do() -> None:
    rings = [["DummyT2I", "DummyI2T"], ["DummyT2T"], ["DummyT2I", "DummyI2T2"]]
    asked = experiment(networks=rings)
    entries = resolve_models(asked, registry())
    sizes = {"DummyT2I": 3.0, "DummyI2T": 1.0, "DummyI2T2": 1.0, "DummyT2T": 1.0}
    entries = {name: _weighing(entries[name], size) for name, size in sizes.items()}
    plans = plan_runs(asked, entries)
    first, second, third = "DummyT2I -> DummyI2T", "DummyT2I -> DummyI2T2", "DummyT2T"
    assert groups_of_plans(plans, entries, None) == [[first, third, second]]
    assert groups_of_plans(plans, entries, 4.0) == [[first], [second], [third]]
    assert groups_of_plans(plans, entries, 5.0) == [[first, third], [second]]
    assert groups_of_plans(plans, entries, 2.0) == [[first, second], [third]]


def test_progress_counts_up_to_the_total_and_knows_what_was_there(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment(max_length=4))
    seen: list[tuple[int, int, int]] = []

    def look(progress: Progress) -> None:
        seen.append((progress.done, progress.total, progress.resumed))
        assert progress.seconds_left is None or progress.seconds_left >= 0

    asked = experiment(max_length=6, networks=[["DummyT2I", "DummyI2T"], ["DummyT2T"]], models=_with_states(1))
    run(lake, experiment(max_length=6), on_progress=look)
    assert seen == [(10, 12, 8), (12, 12, 8), (12, 12, 8)]
    seen.clear()
    run(Lake(tmp_path / "new"), asked, on_progress=look)
    assert [total for _, total, _ in seen] == sorted((total for _, total, _ in seen), reverse=True)
    assert seen[-1][0] == seen[-1][1] < 24


def test_two_engines_do_not_work_on_one_experiment(tmp_path: Path) -> None:
    lake = Lake(tmp_path)

    def second(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        with pytest.raises(PartitionLocked, match="is being written by process"):
            run(lake, experiment())

    pool = WatchedPool(watch=second)
    assert run(lake, experiment(), pool).stop_reasons == {"length": 2}
    assert pool.calls


def test_a_damaged_part_is_named_and_other_experiments_are_not_touched(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment())
    run(lake, experiment(name="other"))
    manifest = lake.manifest("invocations", "small")
    assert manifest is not None
    path = lake.folder("invocations", "small") / manifest.parts[0].file
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptPart, match=path.name):
        run(lake, experiment(max_length=20))
    assert run(lake, experiment(name="other", max_length=20)).computed == 16


def test_a_lost_picture_that_is_wanted_is_named(tmp_path: Path) -> None:
    lake = fresh(tmp_path, experiment(max_length=3))
    last = outputs(lake)[0][-1]
    with lake.writer("images", "small") as writer:
        writer.replace([], {"image_hash": last})
        writer.commit()
    assert isinstance(last, bytes)
    with pytest.raises(Exception, match=f"no picture {last.hex()}.*panic delete small"):
        run(lake, experiment(max_length=5))


def _tables(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    return {table: content(lake, table) for table in ("runs", "invocations", "images", "outcomes")}


@pytest.mark.parametrize("lanes", [(1, 1), (2,), (3, 1, 2)])
def test_any_number_of_devices_and_lanes_gives_the_same_tables(tmp_path: Path, lanes: tuple[int, ...]) -> None:
    asked = experiment(networks=RINGS[:4], prompts=["a", "b", "c"], seeds=[1, 2, -1], models=_with_states(9, batch=3))
    expected = _tables(fresh(tmp_path / "one", asked))
    devices = [LocalDevice(WatchedPool(), name=f"device {place}", lanes=count) for place, count in enumerate(lanes)]
    lake = Lake(tmp_path / "many")
    summary = run(lake, asked, devices=devices)
    assert summary.lanes == sum(lanes)
    assert _tables(lake) == expected


def test_generator_and_captioner_compute_at_once_on_a_device_with_two_lanes(tmp_path: Path) -> None:
    """Each waits for the other to be at work too; in turns they would wait in vain."""
    meeting, calls, met = threading.Barrier(2), list[str](), list[str]()

    def meet(entry: ModelEntry, inputs: Sequence[Any], seeds: Sequence[int]) -> None:
        calls.append(entry.name)
        if 1 < len(calls) <= 5:  # the first batch of pictures has no captions beside it
            meeting.wait(20)
            met.append(entry.name)

    asked = experiment(prompts=[f"prompt {n}" for n in range(6)], models=_with_states(None, batch=2), max_length=6)
    entries = {name: _weighing(entry, 1.0) for name, entry in resolve_models(asked, registry()).items()}
    lake = Lake(tmp_path)
    plans = register(lake, asked, entries)
    run_experiment(lake, asked, plans, entries, [LocalDevice(WatchedPool(watch=meet), lanes=2)])
    assert Counter(met) == {"DummyT2I": 2, "DummyI2T": 2}


def test_equal_work_of_two_networks_is_done_once(tmp_path: Path) -> None:
    rings = [["DummyT2I", "DummyI2T"], ["DummyT2I", "DummyI2T2"], ["DummyT2I", "DummyI2I", "DummyI2T"]]
    asked = experiment(networks=rings, seeds=[1, 2], max_length=3, models=_with_states(None))
    pool = WatchedPool()
    lake = Lake(tmp_path)
    summary = run(lake, asked, pool)
    assert (summary.invocations, summary.computed) == (36, 28)
    drawn = [seed for name, _, seeds in pool.calls if name == "DummyT2I" for seed in seeds]
    assert len(drawn) % 32 == 0
    first = {(r["prompt_number"], r["seed"]): r["run_number"] for r in reversed(lake.read("runs", "small").to_pylist())}
    places = {row["run_number"] for row in lake.read("images", "small").to_pylist() if row["sequence_number"] == 0}
    assert places == set(first.values()), "a picture has the place of the first run that has it"


def test_a_picture_gets_the_first_place_even_if_a_later_run_drew_it(tmp_path: Path) -> None:
    lake, small = Lake(tmp_path), experiment(prompts=["b"], models=_with_states(1), seeds=[3])
    run(lake, small)
    run(lake, experiment(prompts=["a", "b"], models=_with_states(1), seeds=[3]))
    rows = lake.read("invocations", "small").to_pylist()
    for picture in lake.read("images", "small").to_pylist():
        found = [(r["run_number"], r["sequence_number"]) for r in rows if r["image_hash"] == picture["image_hash"]]
        assert (picture["run_number"], picture["sequence_number"]) == min(found)


def test_what_went_wrong_is_an_event_that_names_its_runs(tmp_path: Path) -> None:
    asked = experiment(
        prompts=["good", "bad"], models={"DummyT2I": SMALL | {"parameters": {"side": 8, "fail_on": "bad"}}}
    )
    lake = Lake(tmp_path)
    summary = run(lake, asked)
    events = lake.read("events", "small").to_pylist()
    assert [(e["number"], e["kind"], e["model"], e["device"], e["run_numbers"]) for e in events] == [
        (0, "error", "DummyT2I", "cpu", [0, 1]),
        (1, "error", "DummyT2I", "cpu", [1]),
        (2, "error", "DummyT2I", "cpu", [1]),
    ]
    assert "fails on purpose" in events[0]["message"]
    assert summary.events == 3
    assert {number: row["events"] for number, row in outcomes(lake).items()} == {0: 1, 1: 3}
    run(lake, asked)
    assert [e["number"] for e in lake.read("events", "small").to_pylist()] == [0, 1, 2, 3, 4, 5]


def test_invocations_say_what_computed_them(tmp_path: Path) -> None:
    rows = fresh(tmp_path, experiment()).read("invocations", "small")
    assert set(rows.column("device").to_pylist()) == {"cpu"}


@pytest.mark.parametrize("length", [1, 7, 8])
def test_a_finished_experiment_is_told_as_finished_whatever_its_length(tmp_path: Path, length: int) -> None:
    last: list[tuple[int, int]] = []
    run(
        Lake(tmp_path),
        experiment(max_length=length, models=_with_states(3), seeds=[1, -1]),
        on_progress=lambda progress: last.append((progress.done, progress.total)),
    )
    assert last[-1][0] == last[-1][1] == sum(map(len, outputs(Lake(tmp_path)).values()))
