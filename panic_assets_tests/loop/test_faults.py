"""Faults on purpose in real worker processes: each leaves a finished experiment with the tables of a calm run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from panic_assets.devices.base import Device
from panic_assets.devices.process import ProcessDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop import dispatch
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.loop.progress import Progress
from panic_assets_tests.drills import Drill
from panic_assets_tests.loop.parts import content, experiment, registry, run

TABLES = ("experiments", "prompts", "runs", "invocations", "images", "outcomes", "embeddings")
#: A smaller batch is what is left of a lack of memory: it is on record with every invocation.
KINDS: dict[str, dict[str, Any]] = {
    "out_of_memory": {"at_batch": 3},
    "transient": {"times": 2},
    "poisoned": {"times": 1},
    "hang": {"times": 1},
    "die": {"times": 2},
    "segfault": {"times": 1},
    "non_finite": {"times": 1},
}
EVENTS = {"transient": "error", "poisoned": "device_lost", "hang": "timed_out", "die": "device_lost"}
EVENTS |= {"segfault": "device_lost", "non_finite": "bad_output"}


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    monkeypatch.setattr(dispatch, "LIMIT_SECONDS", 0.5)  # for each item of a call
    return Drill(tmp_path, monkeypatch)


def _asked() -> Experiment:
    small = {"parameters": {"side": 8}, "batch": 4}
    return experiment(
        networks=[["DummyT2I", "DummyI2T"], ["DummyT2I", "DummyI2T", "DummyT2T"]],
        prompts=["a boat", "a hill", "a mill"],
        seeds=[7, -1],
        models={"DummyT2I": small, "DummyI2T": {"batch": 4}, "DummyT2T": {"batch": 4}, "DummyText": {"batch": 4}},
        embedding_models=["DummyText"],
    )


def _materialise(folder: Path, devices: list[Device], on_progress: Any = None) -> tuple[Lake, list[dict[str, Any]]]:
    """Loops and embeddings; the lake and what it says went wrong."""
    lake, asked = Lake(folder), _asked()
    run(lake, asked, devices=devices, commit_seconds=0.05, on_progress=on_progress)
    embed_experiment(lake, asked, resolve_models(asked, registry()), devices)
    return lake, lake.read("events", "small").to_pylist()


def _tables(lake: Lake, without: tuple[str, ...] = ()) -> dict[str, list[dict[str, Any]]]:
    return {table: content(lake, table, without=without) for table in TABLES}


@pytest.fixture
def device() -> Iterator[ProcessDevice]:
    made = ProcessDevice("cpu")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "model"),
    # A text has no values that could be not finite.
    [
        (kind, model)
        for kind in KINDS
        for model in ("DummyT2I", "DummyI2T")
        if (kind, model) != ("non_finite", "DummyI2T")
    ],
)
def test_a_fault_leaves_the_tables_of_a_calm_run(
    tmp_path: Path, drill: Drill, device: ProcessDevice, kind: str, model: str
) -> None:
    calm, nothing = _materialise(tmp_path / "calm", [device])
    assert nothing == []
    device.close()
    drill.order(**{model: {"kind": kind} | KINDS[kind]})
    other = ProcessDevice("cpu")
    try:
        lake, events = _materialise(tmp_path / "troubled", [other])
    finally:
        other.close()
    without = ("batch_size",) if kind == "out_of_memory" else ()
    assert _tables(lake, without) == _tables(calm, without)
    assert {row["stop_reason"] for row in lake.read("outcomes", "small").to_pylist()} <= {"length", "cycle"}
    assert {(event["kind"], event["model"]) for event in events} == {(EVENTS.get(kind, kind), model)}
    assert all(event["run_numbers"] for event in events)
    named = {number for event in events for number in event["run_numbers"]}
    assert {r["run_number"] for r in lake.read("outcomes", "small").to_pylist() if r["events"]} == named
    assert other.restarts == {"poisoned": 1, "hang": 1, "die": 2, "segfault": 1}.get(kind, 0)


@pytest.mark.parametrize("kind", ["out_of_memory", "transient", "poisoned", "hang", "die"])
def test_a_fault_of_an_embedding_model_leaves_the_vectors_of_a_calm_run(
    tmp_path: Path, drill: Drill, device: ProcessDevice, kind: str
) -> None:
    drill.order(DummyText={"kind": kind} | KINDS[kind])
    lake, events = _materialise(tmp_path / "troubled", [device])
    assert {event["model"] for event in events} == {"DummyText"}
    assert {event["kind"] for event in events} == {EVENTS.get(kind, kind)}
    device.close()
    drill.order()
    other = ProcessDevice("cpu")
    try:
        calm, _ = _materialise(tmp_path / "calm", [other])
    finally:
        other.close()
    assert content(lake, "embeddings") == content(calm, "embeddings")


def test_a_worker_that_is_killed_costs_its_batch_and_the_other_goes_on(tmp_path: Path) -> None:
    devices = [ProcessDevice("cpu", name=f"cpu #{number}") for number in (1, 2)]
    killed = threading.Event()

    def kill(progress: Progress) -> None:
        pid = devices[0].pid
        if progress.done >= 20 and pid is not None and not killed.is_set():
            killed.set()
            os.kill(pid, signal.SIGKILL)

    try:
        calm, _ = _materialise(tmp_path / "calm", devices)
        lake, events = _materialise(tmp_path / "troubled", devices, kill)
    finally:
        for device in devices:
            device.close()
    assert killed.is_set()
    assert {event["kind"] for event in events} <= {"device_lost"}
    assert _tables(lake) == _tables(calm)


def test_a_request_that_always_kills_its_worker_ends_its_run_alone(tmp_path: Path, drill: Drill) -> None:
    drill.order(DummyT2I={"kind": "die", "on": "a hill"})
    device = ProcessDevice("cpu")
    try:
        lake, events = _materialise(tmp_path / "lake", [device])
    finally:
        device.close()
    prompts = {row["run_number"]: row["prompt"] for row in lake.read("runs", "small").to_pylist()}
    for row in lake.read("outcomes", "small").to_pylist():
        is_deadly = prompts[row["run_number"]] == "a hill"
        assert (row["stop_reason"] == "failed") == is_deadly
        assert ("DeviceLost" in (row["error"] or "")) == is_deadly
    assert {event["kind"] for event in events} == {"device_lost"}
