"""Everything that starts by itself, under a real daemon: a file is dropped, and nobody clicks.

One daemon serves the tests of this module in their order.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator

import dagster as dg
import duckdb
import pytest
from dagster._utils.concurrency import ClaimedSlotInfo

from panic_assets.defs.assets import GPU_POOL
from panic_assets_tests.defs.daemon import ROOT, Daemon, running
from panic_assets_tests.defs.webhook import Taken, serving
from panic_assets_tests.laboratory import ANALYSED, PARTITIONED, lake_of

pytestmark = pytest.mark.xdist_group("daemon")
#: Calls that take so long that there is time to interfere before they are made: few of them, with large pictures.
LONG = {"seeds": [-1] * 8, "max_length": 100, "models": {"DummyT2I": {"parameters": {"side": 2048}}}}


@pytest.fixture(scope="module")
def webhook() -> Iterator[Taken]:
    with serving() as taken:
        yield taken


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, webhook: Taken) -> Iterator[Daemon]:
    with running(Daemon(tmp_path_factory.mktemp("daemon"), PANIC_WEBHOOK=webhook.address)) as made:
        yield made


@pytest.fixture(scope="module")
def instance(daemon: Daemon) -> dg.DagsterInstance:
    return daemon.instance


def made_by(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Counter[str]:
    """How often a run made each asset."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    return Counter(event.asset_key.to_user_string() for event in events if event.asset_key)


def slots(instance: dg.DagsterInstance) -> list[ClaimedSlotInfo]:
    """Those of the device that are taken."""
    return instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots


def notices(daemon: Daemon) -> list[dict[str, object]]:
    path = daemon.data / "notifications.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def worker(daemon: Daemon, run: dg.DagsterRun) -> int:
    """The process of a run, as its lock names it."""
    path = daemon.state / "running" / run.run_id
    return int(daemon.until("the run's process", lambda: path.exists() and path.read_text()))


def test_a_dropped_file_becomes_results_and_its_edits_extend_them(daemon: Daemon, instance: dg.DagsterInstance) -> None:
    daemon.write("first")
    before = daemon.until("the first loop", lambda: daemon.invocations("first"))
    daemon.write("first", max_length=10)
    daemon.write("first", seeds=[1, -1, -1], max_length=12, prompts=["a red apple", "a blue boat"])
    daemon.ended("first", 2)
    # Edits of a running experiment lead to one more run, after it.
    first, second = (instance.get_run_record_by_id(run.run_id) for run in daemon.runs("first"))
    assert first is not None
    assert second is not None
    assert (first.end_time or 0) <= (second.start_time or 0)
    for record in (first, second):
        assert record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
        # Each asset once, though assets have conditions, too.
        everything = [*PARTITIONED, *ANALYSED, "clusters", "catalog"]
        assert made_by(instance, record.dagster_run) == Counter(everything)
    after = daemon.invocations("first")
    assert {place: after[place] for place in before} == before
    assert len({run for run, _ in after}) == 6
    assert max(number for _, number in after) == 11
    lake = lake_of(daemon.data)
    assert lake.read("outcomes", "first").num_rows == 6
    assert lake.read("clusterings").num_rows > 0
    with duckdb.connect(str(daemon.data / "catalog.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(6,)]


def test_a_broken_file_is_told_once_and_its_reason_can_be_read(
    daemon: Daemon, instance: dg.DagsterInstance, webhook: Taken
) -> None:
    path = daemon.write("broken", max_length=-3, networks=[["DummyT2", "DummyI2T"]])
    daemon.until("a notice", lambda: notices(daemon))
    (notice,) = notices(daemon)
    assert notice["kind"] == "broken_files"
    assert "broken.yaml: max_length: -3 must be greater than 0" in str(notice["text"])
    daemon.until("a message", lambda: webhook.messages)
    assert webhook.messages[0]["text"] == notice["text"]

    def reasons() -> list[str]:
        (state,) = [s for s in instance.all_instigator_state() if s.instigator_name == "experiment_files"]
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
        return [tick.skip_reason for tick in ticks if tick.skip_reason and "broken.yaml is broken" in tick.skip_reason]

    daemon.until("two ticks with a reason", lambda: len(reasons()) >= 2)
    assert "max_length: -3 must be greater than 0" in reasons()[0]
    assert len(notices(daemon)) == 1
    daemon.write("broken", networks=[["DummyT2", "DummyI2T"]])
    daemon.until("a second notice", lambda: len(notices(daemon)) == 2)
    assert "there is no model 'DummyT2'; did you mean DummyT2T" in str(notices(daemon)[1]["text"])
    assert daemon.runs("broken") == []
    path.unlink()


def test_one_of_two_is_cancelled_and_the_other_gets_the_device(daemon: Daemon, instance: dg.DagsterInstance) -> None:
    daemon.write("a_long", **LONG | {"max_length": 5000})
    daemon.until("the loop of a_long", lambda: daemon.invocations("a_long"))
    daemon.write("killed", **LONG)
    daemon.until("the other one to wait for the device", lambda: lake_of(daemon.data).experiments("runs")[2:])
    (long,) = daemon.runs("a_long")
    assert [slot.run_id for slot in slots(instance)] == [long.run_id]
    assert daemon.invocations("killed") == {}
    assert instance.run_launcher.terminate(long.run_id)
    assert daemon.ended("a_long").status == dg.DagsterRunStatus.CANCELED
    daemon.until("a commit of the other one", lambda: daemon.invocations("killed"))
    assert len(notices(daemon)) == 2  # who cancels knows


def test_killed_runs_go_on_from_their_last_commit(daemon: Daemon, instance: dg.DagsterInstance, webhook: Taken) -> None:
    (first,) = daemon.runs("killed")
    os.kill(worker(daemon, first), signal.SIGKILL)
    committed = daemon.invocations("killed")
    daemon.until("a retry", lambda: len(daemon.runs("killed")) == 2)
    worker(daemon, daemon.runs("killed")[-1])
    daemon.kill_everything()  # the machine goes down: nobody is left who could report this run
    daemon.start()
    third = daemon.ended("killed", 3)
    statuses = [run.status for run in daemon.runs("killed")]
    assert statuses == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert third.tags["dagster/retry_number"] == "2"
    after = daemon.invocations("killed")
    assert len(after) == 8 * 100
    assert 0 < len(committed) < len(after)
    assert {place: after[place] for place in committed} == committed
    assert slots(instance) == []
    failed = daemon.until("both notices", lambda: [n for n in notices(daemon) if n["kind"] == "run_failed"][1:])
    assert {notice["experiment"] for notice in failed} == {"killed"}
    assert len(failed) == len({notice["run_id"] for notice in failed})
    assert list((daemon.state / "running").iterdir()) == []
    assert failed[0]["will_retry"] is True
    assert [m["kind"] for m in webhook.messages if m["kind"] == "run_failed"]


def test_nothing_is_written_elsewhere(daemon: Daemon) -> None:
    assert [path.name for path in daemon.home.iterdir()] == ["dagster.yaml"]
    known = {"experiments", "lake", "cache", "catalog.duckdb", "notifications.log", ".dagster"}
    assert {path.name for path in daemon.data.iterdir() if path.suffix != ".lock"} <= known
    assert not [name for name in ("logs", ".logs_queue", ".nux", "history", "storage") if (ROOT / name).exists()]
