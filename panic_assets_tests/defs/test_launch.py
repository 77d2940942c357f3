"""Running the job from a shell: what it returns, what it says, and what a killed run leaves behind."""

# Dagster reads the annotations of assets as objects, so they can't be postponed.
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.test_utils import instance_for_test

from panic_assets.clustering.density import ClusteringError
from panic_assets.defs.assets import GPU_POOL
from panic_assets.defs.launch import JobFailed, execute
from panic_assets.lake.locks import acquire, release


@dg.asset(pool=GPU_POOL, partitions_def=dg.DynamicPartitionsDefinition(name="experiment"))
def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Stands for a stage: three items in the partition `good`, errors in the others."""
    if context.partition_key == "bad":
        try:
            raise ValueError("the ink is dry")
        except ValueError as error:
            raise RuntimeError("could not write") from error
    if context.partition_key == "described":
        raise ClusteringError("row 3 has no length")
    if context.partition_key == "interrupted":
        raise DagsterExecutionInterruptedError
    return dg.MaterializeResult(metadata={"computed": 3})


JOB = dg.Definitions(assets=[counted], jobs=[dg.define_asset_job("job", [counted])]).resolve_job_def("job")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on disk with a pool of one slot."""
    overrides = {"concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}
    with instance_for_test(overrides=overrides, temp_dir=str(tmp_path)) as made:
        made.add_dynamic_partitions("experiment", ["good", "bad", "described", "interrupted"])
        yield made


def claim(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.event_log_storage.initialize_concurrency_limit_to_default(GPU_POOL)
    assert instance.event_log_storage.claim_concurrency_slot(GPU_POOL, run_id, "step").is_claimed


def claimed(instance: dg.DagsterInstance) -> set[str]:
    return {slot.run_id for slot in instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots}


def test_what_was_computed_by_asset(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert execute(JOB, instance, "good") == {"counted": 3}
    assert claimed(instance) == set()
    assert list((tmp_path / "running").iterdir()) == []


def test_a_failed_step_is_told_by_its_first_cause(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="experiment bad: step counted: ValueError: the ink is dry"):
        execute(JOB, instance, "bad")
    assert claimed(instance) == set()
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("partition", "told"),
    [
        ("described", "experiment described: step counted: row 3 has no length\n"),
        ("interrupted", "experiment interrupted: interrupted; the same command goes on from here\n"),
    ],
)
def test_people_are_told_no_names_of_classes(partition: str, told: str, instance: dg.DagsterInstance) -> None:
    with pytest.raises(JobFailed) as caught:
        execute(JOB, instance, partition)
    assert str(caught.value).startswith(told)


def test_a_killed_run_does_not_keep_the_device(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = instance.create_run_for_job(JOB)
    claim(instance, run.run_id)
    (tmp_path / "running").mkdir()
    held = (
        "import sys, time; from pathlib import Path; from panic_assets.lake.locks import acquire;"
        "acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", held, str(tmp_path / "running" / run.run_id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        child.kill()
    assert execute(JOB, instance, "good") == {"counted": 3}
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert claimed(instance) == set()


def test_a_run_that_is_at_work_is_waited_for(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = instance.create_run_for_job(JOB)
    claim(instance, run.run_id)
    lock = acquire(tmp_path / "running" / run.run_id)
    done: list[dict[str, int]] = []
    waiting = threading.Thread(target=lambda: done.append(execute(JOB, instance, "good")))
    waiting.start()
    waiting.join(3)
    assert done == []
    assert claimed(instance) == {run.run_id}
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    release(lock)
    waiting.join(120)
    assert done == [{"counted": 3}]
