"""Telling a run that is at work from a dead one, and waiting for a partition that another run writes."""

# Dagster reads the annotations of assets as objects, so they can't be postponed.
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.test_utils import instance_for_test

from panic_assets.defs import alive, launcher, patience
from panic_assets.defs.launcher import WatchedRunLauncher
from panic_assets.defs.patience import patient
from panic_assets.defs.resources import Laboratory
from panic_assets.lake import Lake

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = {"module": "panic_assets.defs.launcher", "class": "WatchedRunLauncher"}
    (tmp_path / "state").mkdir()
    with instance_for_test(overrides={"run_launcher": settings}, temp_dir=str(tmp_path / "state")) as made:
        yield made


def health(instance: dg.DagsterInstance, run_id: str) -> WorkerStatus:
    watcher = instance.run_launcher
    assert isinstance(watcher, WatchedRunLauncher)
    assert watcher.supports_check_run_worker_health
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return watcher.check_run_worker_health(run).status


@dg.asset
def watched(context: dg.AssetExecutionContext, laboratory: Laboratory) -> dg.MaterializeResult:
    """Tells what others see of this run while it goes on."""
    path = Path(context.instance.root_directory) / "running" / context.run_id
    other = f"from panic_assets.lake.locks import acquire; from pathlib import Path; acquire(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
    return dg.MaterializeResult(metadata={"locked": "PartitionLocked" in done.stderr})


def test_a_run_holds_its_lock_and_leaves_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    laboratory = Laboratory(data=str(tmp_path))
    result = dg.materialize([watched], instance=instance, resources={"laboratory": laboratory}, run_config=QUIET)
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["locked"].value is True
    assert list((Path(instance.root_directory) / "running").iterdir()) == []


def test_a_dead_process_is_noticed_and_a_run_that_has_none_yet_is_let_be(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = dg.Definitions(assets=[watched], resources={"laboratory": Laboratory()}, jobs=[dg.define_asset_job("job")])
    run = instance.create_run_for_job(job.resolve_job_def("job"))
    assert health(instance, run.run_id) == WorkerStatus.RUNNING
    held = (
        "import sys, time; from pathlib import Path; from panic_assets.lake.locks import acquire;"
        "acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    path = Path(instance.root_directory) / "running" / run.run_id
    with subprocess.Popen([sys.executable, "-c", held, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        assert health(instance, run.run_id) == WorkerStatus.RUNNING
        os.kill(child.pid, signal.SIGKILL)
    assert health(instance, run.run_id) == WorkerStatus.RUNNING  # its code server may be about to report it
    monkeypatch.setattr(launcher, "_GRACE_SECONDS", 0.0)
    assert health(instance, run.run_id) == WorkerStatus.FAILED
    alive.clear_away(instance)
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert not path.exists()


def test_a_step_waits_for_a_partition_that_is_being_written(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_SECONDS", 0.1)
    lake = Lake(tmp_path / "lake")
    tries: list[float] = []
    others = [lake.writer("prompts", "small")]
    others[0].__enter__()

    def write() -> None:
        tries.append(time.monotonic())
        if len(tries) == 3:
            others.pop().__exit__(None, None, None)
        with lake.writer("prompts", "small") as writer:
            writer.commit()

    @dg.asset
    @patient
    def plain(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Has a description."""
        write()
        return dg.MaterializeResult()

    @dg.multi_asset(specs=[dg.AssetSpec("a"), dg.AssetSpec("b")])
    @patient
    def several(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        write()
        yield dg.MaterializeResult(asset_key="a")
        yield dg.MaterializeResult(asset_key="b")

    for asset in (plain, several):
        assert dg.materialize([asset], instance=instance, run_config=QUIET).success
        assert len(tries) == 3
        tries.clear()
        others.append(lake.writer("prompts", "small"))
        others[0].__enter__()
    others.pop().__exit__(None, None, None)


def test_another_error_is_not_waited_for(instance: dg.DagsterInstance) -> None:
    @dg.asset
    @patient
    def broken() -> None:
        raise ValueError("the ink is dry")

    result = dg.materialize([broken], instance=instance, raise_on_error=False, run_config=QUIET)
    assert not [event for event in result.all_node_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert not result.success
