"""How an experiment stands: not begun, at work, killed half-way, finished, failed; exact to the last invocation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.dynamics.stage import analyse
from panic_assets.experiment import ExperimentError
from panic_assets.files import ExperimentFiles, UnknownExperiment
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.paths import project_dir
from panic_assets.reports.overview import BROKEN, experiments_of
from panic_assets.reports.status import (
    FAILED_RUNS,
    FINISHED,
    RUNNING,
    STALLED,
    WAITING,
    DagsterRun,
    ExperimentStatus,
    status_of,
)
from panic_assets.reports.status_words import ago, print_list, print_status
from panic_assets.topology.distance_stage import relate_experiment
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.loop.parts import plain_pool, registry, run

VALUES: dict[str, Any] = {
    "networks": [["DummyT2I", "DummyI2T"]],
    "prompts": ["a boat", "a hill"],
    "seeds": [7, -1],
    "max_length": 12,
    "embedding_models": ["DummyText", "DummyVision"],
    "models": {"DummyT2I": {"parameters": {"side": 8, "states": 4}}, "DummyI2T": {"parameters": {"states": 4}}},
}


def write(data: Path, name: str = "small", **values: Any) -> Path:
    path = data / "experiments" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(VALUES | values))
    return path


def loops(data: Path, name: str = "small") -> Lake:
    lake = Lake(data / "lake")
    run(lake, ExperimentFiles(data / "experiments").experiment(name))
    return lake


def later(lake: Lake, data: Path, name: str = "small") -> None:
    """Every stage after the loop."""
    asked = ExperimentFiles(data / "experiments").experiment(name)
    embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    persist_experiment(lake, name, workers=1)
    relate_experiment(lake, name, workers=1)
    cluster_lake(lake)
    for analysis in ANALYSES:
        analyse(lake, name, analysis)


def counts(status: ExperimentStatus) -> dict[str, tuple[int, int]]:
    return {f"{stage.name} {stage.of}".strip(): (stage.done, stage.total) for stage in status.stages}


def lines_of(status: ExperimentStatus) -> list[str]:
    console = Console(width=80, file=StringIO(), highlight=False, markup=False)
    print_status(status, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@contextmanager
def engine(data: Path, name: str = "small") -> Iterator[subprocess.Popen[bytes]]:
    """A slow engine at work, that has committed something."""
    command = [sys.executable, "-m", "panic_assets_tests.reports.slow_engine", str(data), name]
    process = subprocess.Popen(command, cwd=project_dir())
    try:
        until = time.monotonic() + 60
        lake = Lake(data / "lake")
        while lake.read("invocations", name, columns=["run_number"]).num_rows < 6:
            assert process.poll() is None, "the engine ended too soon"
            assert time.monotonic() < until, "the engine committed nothing"
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("finished")
    write(data)
    later(loops(data), data)
    return data


def test_not_begun(tmp_path: Path) -> None:
    file = write(tmp_path)
    status = status_of(tmp_path, "small")
    assert (status.state, status.file, status.runs, status.runs_ended) == (WAITING, file, 4, 0)
    assert "panic run small" in status.explanation
    # At most: of each of 4 runs 12 invocations, half of them texts; and the prompts, which are texts.
    assert counts(status) == {
        "loop": (0, 48),
        "embeddings DummyText": (0, 24 + 4),
        "embeddings DummyVision": (0, 24),
        "persistence diagrams": (0, 8),
        "distances": (0, 24),
        "clusters": (0, 48),
        "analyses": (0, len(ANALYSES)),
    }
    assert (status.last_activity, status.bytes, status.workers) == (None, 0, ())


def test_a_finished_experiment_is_done_to_the_last_item(finished: Path) -> None:
    """Runs that stopped at a cycle are over, and count with the invocations that they have."""
    status = status_of(finished, "small")
    assert status.state == FINISHED
    assert status.stop_reasons == {"cycle": 2, "length": 2}
    made = Lake(finished / "lake").read("invocations", "small").num_rows
    assert 24 < made < 48
    assert counts(status)["loop"] == (made, made)
    assert all(stage.done == stage.total > 0 and stage.share == 1 for stage in status.stages)
    assert status.bytes > 0
    assert status.last_activity is not None
    shown = lines_of(status)
    assert shown[0] == "small: finished - all of it is done"
    assert sum("100 %" in line for line in shown) == len(status.stages)
    assert max(map(len, shown)) <= 80


def test_at_work_and_then_killed(tmp_path: Path) -> None:
    write(tmp_path, max_length=400, models={"DummyT2I": {"parameters": {"side": 8}}}, seeds=[-1])
    with engine(tmp_path) as process:
        status = status_of(tmp_path, "small")
        assert status.state == RUNNING
        assert [(worker.stage, worker.process) for worker in status.workers] == [("loop", process.pid)]
        done, total = counts(status)["loop"]
        assert (total, status.runs_ended) == (800, 0)
        assert 0 < done < total
        assert status.invocations_per_second is not None
        assert status.seconds_left == pytest.approx((total - done) / status.invocations_per_second)
        assert any(f"process {process.pid}" in line for line in lines_of(status))
        assert experiments_of(tmp_path)[0].state == RUNNING
        late = status_of(tmp_path, "small", now=datetime.now(UTC) + timedelta(hours=1))
        assert late.state == STALLED
        assert "has committed nothing for 60 min" in late.explanation
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    status = status_of(tmp_path, "small")
    assert (status.state, status.workers, status.invocations_per_second) == (STALLED, (), None)
    assert "panic resume small" in status.explanation
    done, total = counts(status)["loop"]
    assert done == Lake(tmp_path / "lake").read("invocations", "small").num_rows
    assert total == 800
    assert experiments_of(tmp_path)[0].state == STALLED


def test_cycles_are_known_before_outcomes_are_written(finished: Path, tmp_path: Path) -> None:
    """An engine that was killed at the end of its loop has written no outcomes."""
    write(tmp_path)
    lake = loops(tmp_path)
    lake.delete("outcomes", "small")
    status = status_of(tmp_path, "small")
    assert status.stop_reasons == {"cycle": 2, "length": 2}
    assert counts(status)["loop"] == counts(status_of(finished, "small"))["loop"]
    assert counts(status)["embeddings DummyText"][0] == 0
    assert status.state == STALLED


def test_another_process_that_holds_the_lock_of_a_stage(finished: Path) -> None:
    code = (
        "import sys; from panic_assets.lake import Lake\n"
        "with Lake(sys.argv[1]).writer('embeddings', 'small') as writer:\n"
        "    print('held', flush=True); sys.stdin.readline(); writer.commit()\n"
    )
    command = [sys.executable, "-c", code, str(finished / "lake")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project_dir()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        status = status_of(finished, "small")
        process.communicate(b"\n")
    assert (status.state, [(w.stage, w.process) for w in status.workers]) == (RUNNING, [("embeddings", process.pid)])
    assert status_of(finished, "small").state == FINISHED


def test_failed_runs_are_told_with_their_errors(tmp_path: Path) -> None:
    write(
        tmp_path,
        networks=[["DummyT2T"]],
        seeds=[1],
        embedding_models=["DummyText"],
        models={"DummyT2T": {"parameters": {"fail_on": "boat"}}},
    )
    lake = loops(tmp_path)
    status = status_of(tmp_path, "small")
    assert status.state == STALLED  # the stages after the loop are still to be made
    (failure,) = status.failures
    assert (failure.runs, failure.run_numbers) == (1, (0,))
    assert "boat" in failure.error
    assert status.stop_reasons["failed"] == 1
    assert status.events_in_all == len(lake.read("events", "small")) > 0
    assert status.events[0].model == "DummyT2T"
    later(lake, tmp_path)
    status = status_of(tmp_path, "small")
    assert status.state == FAILED_RUNS
    assert "1 runs failed" in status.explanation
    assert counts(status)["loop"] == (12, 12)
    (line,) = experiments_of(tmp_path)
    assert (line.state, line.runs_failed) == (FAILED_RUNS, 1)
    assert any(line.startswith("  1 run (0): ") for line in lines_of(status))


def test_a_file_that_grew_is_not_done(finished: Path, tmp_path: Path) -> None:
    write(tmp_path)
    loops(tmp_path)
    done = counts(status_of(tmp_path, "small"))["loop"][0]
    # Longer: the runs that went to their length go on, those in a cycle do not.
    write(tmp_path, max_length=20)
    status = status_of(tmp_path, "small")
    assert counts(status)["loop"] == (done, done + 2 * 8)
    assert (status.runs, status.runs_ended) == (4, 2)
    # One prompt more: two runs that the lake does not know yet.
    write(tmp_path, prompts=["a boat", "a hill", "a cave"])
    status = status_of(tmp_path, "small")
    assert counts(status)["loop"] == (done, done + 2 * 12)
    assert (status.runs, status.runs_ended) == (6, 4)
    # Cycles are no reason to stop any more.
    write(tmp_path, cycle="continue")
    assert counts(status_of(tmp_path, "small"))["loop"] == (done, 48)
    # Fewer: what the file names no more is kept, and done.
    write(tmp_path, prompts=["a boat"])
    status = status_of(tmp_path, "small")
    assert counts(status)["loop"] == (done, done)
    assert (status.runs, status.runs_ended) == (4, 4)


def test_an_experiment_without_a_file_is_what_the_lake_remembers(finished: Path) -> None:
    file = finished / "experiments" / "small.yaml"
    text = file.read_text()
    file.unlink()
    try:
        status = status_of(finished, "small")
        assert (status.state, status.file) == (FINISHED, None)
        (line,) = experiments_of(finished)
        assert (line.state, line.file, line.is_in_lake) == (FINISHED, None, True)
    finally:
        file.write_text(text)


def test_runs_of_dagster_are_told(finished: Path) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    alive = DagsterRun("0123456789ab", "STARTED", begun)
    status = status_of(finished, "small", [alive])
    assert (status.state, status.dagster_runs) == (RUNNING, (alive,))
    assert any("run 01234567 is started since" in line for line in lines_of(status))
    dead = DagsterRun("0123456789ab", "STARTED", begun, is_alive=False)
    status = status_of(finished, "small", [dead])
    assert status.state == FINISHED
    assert "its process is gone" in " ".join(" ".join(lines_of(status)).split())


def test_unknown_and_broken_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownExperiment, match=r"neither .* holds an experiment 'absent'"):
        status_of(tmp_path, "absent")
    write(tmp_path, "good")
    write(tmp_path, "bad", max_length="many")
    with pytest.raises(ExperimentError, match="max_length"):
        status_of(tmp_path, "bad")
    lines = {line.experiment: line for line in experiments_of(tmp_path)}
    assert {name: line.state for name, line in lines.items()} == {"good": WAITING, "bad": BROKEN}
    assert "max_length" in lines["bad"].problem
    console = Console(width=80, file=StringIO(), highlight=False)
    print_list(list(lines.values()), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "0/4" in shown
    assert "bad: " in shown


def test_the_list_is_exact_and_latest_first(finished: Path) -> None:
    file = write(finished, "a-second")
    try:
        small, second = experiments_of(finished)
    finally:
        file.unlink()
    made = Lake(finished / "lake").read("invocations", "small").num_rows
    assert (small.experiment, small.state, small.runs, small.runs_ended) == ("small", FINISHED, 4, 4)
    assert (small.invocations, small.invocations_in_all) == (made, made)
    assert small.bytes == status_of(finished, "small").bytes
    assert (second.experiment, second.state, second.last_activity, second.is_in_lake) == (
        "a-second",
        WAITING,
        None,
        False,
    )


def test_an_empty_directory_says_what_to_do(tmp_path: Path) -> None:
    assert experiments_of(tmp_path) == []
    console = Console(width=80, file=StringIO(), highlight=False)
    print_list([], console)
    assert "panic run FILE" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s ago"), (59, "59 s ago"), (61, "1 min ago"), (7200, "2 h ago"), (2e5, "2 d ago")]
)
def test_how_long_ago(seconds: float, words: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert ago(now - timedelta(seconds=seconds), now) == words
