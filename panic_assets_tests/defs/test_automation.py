"""What starts by itself: the sensor over files, the conditions of assets, the nightly schedule."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetKey, evaluate_automation_conditions
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.instigation_logger import get_instigation_log_records
from dagster._core.definitions.sensor_definition import SensorEvaluationContext
from dagster._core.test_utils import instance_for_test

from panic_assets.definitions import build_defs
from panic_assets.defs import automation as automation_module
from panic_assets.defs import notify, watching
from panic_assets.defs.automation import experiment_files
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.defs.watching import Memory, look
from panic_assets_tests.laboratory import ANALYSED, PARTITIONED, lake_of, materialise, metadata, write


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


# The sensor -----------------------------------------------------------------------------------------------------------


class Watcher:
    """Ticks of the sensor over one folder, each with the cursor and the partitions that the last one left."""

    def __init__(self, data: Path, instance: dg.DagsterInstance) -> None:
        self.data, self.instance = data, instance
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        resources = {"laboratory": Laboratory(data=str(self.data)), "models": Models()}
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources=resources) as context:
            result = experiment_files(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            assert request.partitions_def_name == "experiment"
            self.instance.add_dynamic_partitions("experiment", list(request.partition_keys))
        return result

    def skipped(self) -> str:
        """Why the next tick starts nothing."""
        result = self.tick()
        assert not result.run_requests
        assert result.skip_reason is not None
        return str(result.skip_reason.skip_message)

    def notices(self) -> list[dict[str, object]]:
        path = self.data / notify.LOG_NAME
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def launched(self) -> list[str]:
        """Partitions that the next tick starts."""
        return [str(request.partition_key) for request in self.tick().run_requests or []]


@pytest.fixture
def watcher(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """Over files that count as settled at once."""
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 0.0)
    monkeypatch.delenv("PANIC_WEBHOOK", raising=False)
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))
    return Watcher(tmp_path, instance)


def test_no_folder_is_no_reason_to_start(watcher: Watcher) -> None:
    assert watcher.skipped() == "0 experiments, none new or changed."


def test_a_new_file_is_registered_and_started(watcher: Watcher) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    assert watcher.instance.get_dynamic_partitions("experiment") == ["one"]
    assert watcher.launched() == []
    write(watcher.data, "two")
    assert watcher.launched() == ["two"]
    assert sorted(watcher.instance.get_dynamic_partitions("experiment")) == ["one", "two"]
    assert watcher.skipped() == "2 experiments, none new or changed."


def test_a_registered_experiment_is_started_and_not_registered_again(watcher: Watcher) -> None:
    watcher.instance.add_dynamic_partitions("experiment", ["one"])
    write(watcher.data, "one")
    result = watcher.tick()
    assert not result.dynamic_partitions_requests
    assert [request.partition_key for request in result.run_requests or []] == ["one"]


def test_a_changed_file_is_started_each_time_and_when_it_is_changed_back(watcher: Watcher) -> None:
    keys = []
    for length in (10, 12, 10):
        write(watcher.data, "one", max_length=length)
        result = watcher.tick()
        keys += [request.run_key for request in result.run_requests or []]
    # Dagster starts each run key but once.
    assert keys == [None] * 3


def test_comments_and_order_of_fields_are_no_change(watcher: Watcher) -> None:
    path = write(watcher.data, "one")
    watcher.tick()
    path.write_text("# a remark\n" + path.read_text() + "name: one\n")
    assert watcher.launched() == []


def test_a_file_that_went_and_came_again_is_started(watcher: Watcher) -> None:
    path = write(watcher.data, "one")
    write(watcher.data, "two")
    watcher.tick()
    path.unlink()
    write(watcher.data, "two", max_length=4)
    assert watcher.launched() == ["two"]
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]


def test_a_file_that_is_renamed_is_the_same_experiment_if_it_says_so(watcher: Watcher) -> None:
    path = write(watcher.data, "one", name="stays")
    assert watcher.launched() == ["stays"]
    path.rename(path.with_name("another.yaml"))
    assert watcher.launched() == []


def test_a_broken_file_is_told_once_for_each_change_and_does_not_hold_up_the_others(
    watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    write(watcher.data, "broken", max_length=-3)
    write(watcher.data, "good")
    assert watcher.launched() == ["good"]
    warning = capsys.readouterr().err
    assert "broken.yaml: max_length: -3 must be greater than 0" in warning
    assert "good" not in warning
    for _ in range(2):
        reason = watcher.skipped()
        assert reason.startswith("1 experiments, none new or changed. broken.yaml is broken: max_length: -3 must be")
    assert capsys.readouterr().err == ""
    (notice,) = watcher.notices()
    assert notice["kind"] == "broken_files"
    assert notice["files"] == {"broken.yaml": "max_length: -3 must be greater than 0"}
    write(watcher.data, "broken", max_length=-4)
    watcher.skipped()
    assert [str(notice["text"])[-37:] for notice in watcher.notices()][1:] == ["max_length: -4 must be greater than 0"]
    write(watcher.data, "broken", max_length=3)
    assert watcher.launched() == ["broken"]
    assert len(watcher.notices()) == 2


def test_a_good_file_that_breaks_and_is_mended_is_started_again(watcher: Watcher) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    write(watcher.data, "one", max_length=0)
    assert watcher.launched() == []
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]  # its run may have met the broken file


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("networks: [", "is not YAML"),
        ("", "an experiment is a mapping"),
        ("name: 3", "name"),
        (b"\xff\xfe", "can't be read"),
    ],
)
def test_what_is_no_experiment_is_told(content: str | bytes, told: str, watcher: Watcher) -> None:
    folder = watcher.data / "experiments"
    folder.mkdir()
    (folder / "bad.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    assert f"bad.yaml is broken: {told}" in watcher.skipped()


def test_what_the_registry_does_not_know_is_told_and_started_when_it_does(watcher: Watcher) -> None:
    write(watcher.data, "one", networks=[["Mine", "DummyI2T"]], models={})
    assert "one.yaml is broken: networks[0]: there is no model 'Mine'" in watcher.skipped()
    entry = {"name": "Mine", "adapter": "dummy", "source": {"kind": "builtin"}, "kind": "generator", "input": "text"}
    entry |= {"output": "image", "batch": 4, "seed_behaviour": "seeded", "memory_gb": 0, "licence": "MIT"}
    (watcher.data / "models.yaml").write_text(json.dumps({"models": [entry]}))
    assert watcher.launched() == ["one"]


def test_an_override_that_a_model_does_not_take_is_told(watcher: Watcher) -> None:
    write(watcher.data, "one", models={"DummyT2I": {"parameters": {"sides": 3}}})
    assert "one.yaml is broken: " in watcher.skipped()


def test_a_broken_registry_is_told_and_nothing_is_forgotten(watcher: Watcher) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    (watcher.data / "models.yaml").write_text("models: [")
    write(watcher.data, "two")
    assert watcher.skipped().startswith("The model registry is broken: ")
    (watcher.data / "models.yaml").unlink()
    assert watcher.launched() == ["two"]


def test_two_files_of_one_name(watcher: Watcher) -> None:
    write(watcher.data, "a_first", name="same")
    write(watcher.data, "b_second", name="same", max_length=4)
    assert watcher.launched() == ["same"]
    assert watcher.skipped().endswith("b_second.yaml is broken: name: 'same' is taken by a_first.yaml; rename one.")
    assert len(watcher.notices()) == 1
    (watcher.data / "experiments" / "a_first.yaml").unlink()
    assert watcher.launched() == ["same"]


def test_a_file_that_is_being_written_is_left_in_peace(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 60.0)
    path = write(watcher.data, "one")
    whole = path.read_text()
    for content in (whole[:30], whole[:60], whole):
        path.write_text(content)
        assert watcher.skipped() == "0 experiments, none new or changed. 1 files are still being written: one.yaml."
    assert watcher.notices() == []
    # A copy that keeps the time of its original is as new as any.
    os.utime(path, (1e9, 1e9))
    assert watcher.launched() == []
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 0.0)
    assert watcher.launched() == ["one"]


def test_a_known_file_that_is_being_written_stays_what_it_was(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 60.0)
    path = write(watcher.data, "one", max_length=10)
    path.write_text(path.read_text()[:20])
    reason = "1 experiments, none new or changed. 1 files are still being written: one.yaml."
    assert [watcher.skipped() for _ in range(2)] == [reason] * 2
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 0.0)
    write(watcher.data, "one", max_length=10)
    assert watcher.launched() == ["one"]


def test_clocks_that_differ_hold_up_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "one")
    found = look([path], {}, lambda experiment: None, now=time.time() - 3600)
    assert list(found.ready) == ["one"]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_an_experiment_that_is_running_is_started_once_afterwards(
    status: dg.DagsterRunStatus, watcher: Watcher
) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    job = build_defs().resolve_job_def("experiment")
    run = watcher.instance.create_run_for_job(job, status=status, tags={"dagster/partition": "one"})
    for length in (10, 12):
        write(watcher.data, "one", max_length=length)
        assert watcher.skipped() == "1 experiments; changed, and started when their run is over: one."
    write(watcher.data, "two")
    assert watcher.launched() == ["two"]
    watcher.instance.report_run_failed(run)
    assert watcher.launched() == ["one"]
    assert watcher.launched() == []


def test_many_files_are_started_in_turns_and_read_once(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automation_module, "STARTS_AT_ONCE", 3)
    for number in range(7):
        write(watcher.data, f"e{number}")
    assert [len(watcher.launched()) for _ in range(4)] == [3, 3, 1, 0]
    monkeypatch.setattr(watching.Experiment, "load", None)  # nothing is read again
    assert watcher.launched() == []


def test_what_there_is_no_time_to_read_is_read_later(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "READING_SECONDS", -1.0)
    write(watcher.data, "one")
    assert watcher.launched() == []
    monkeypatch.setattr(watching, "READING_SECONDS", 2.0)
    assert watcher.launched() == ["one"]


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"one": "00"}', "[99, {}, {}, {}, 0]", '[1, {"a": 3}, {}, {}, ""]'])
def test_a_cursor_that_cannot_be_understood_counts_as_none(cursor: str) -> None:
    assert Memory.parse(cursor) == Memory()


def test_a_tick_as_the_code_server_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that is registered in the same tick is known to the job, and the UI shows what was logged."""
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 0.0)
    write(tmp_path, "one")
    broken = write(tmp_path, "broken", max_length=-3)
    repository = build_defs({"laboratory": Laboratory(data=str(tmp_path))}).get_repository_def()
    with instance_for_test() as instance:
        with SensorEvaluationContext(
            instance_ref=instance.get_ref(),
            last_tick_completion_time=None,
            last_run_key=None,
            cursor=None,
            log_key=["ticks", "first"],
            repository_name=repository.name,
            repository_def=repository,
            sensor_name="experiment_files",
            resources=repository.get_top_level_resources(),
        ) as context:
            data = repository.get_sensor_def("experiment_files").evaluate_tick(context)
        logged = get_instigation_log_records(instance, ["ticks", "first"])
    assert [request.partition_key for request in data.run_requests or []] == ["one"]
    assert [list(request.partition_keys) for request in data.dynamic_partitions_requests or []] == [["one"]]
    (record,) = logged
    assert record["levelname"] == "WARNING"
    assert broken.name in record["msg"]


# Conditions -----------------------------------------------------------------------------------------------------------


class Automation:
    """Evaluations of all conditions, one after the other, as the daemon makes them."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: AssetDaemonCursor | None = None
        self.definitions = build_defs()

    def fired(self) -> dict[str, set[str | None]]:
        with pytest.MonkeyPatch.context() as patch:
            # Asked thousands of times in one evaluation, in which they stay the same.
            patch.setattr(self.instance, "get_dynamic_partitions", cache(self.instance.get_dynamic_partitions))
            result = evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        graph = self.definitions.resolve_asset_graph()
        found = {}
        for key in graph.get_all_asset_keys():
            if graph.get(key).partitions_def is None:
                subset: set[str | None] = {None} if result.get_num_requested(key) else set()
            else:
                subset = set(result.get_requested_partitions(key))
            if subset:
                found[key.to_user_string()] = subset
        return found

    def made(self, *assets: str, partition: str | None = None) -> None:
        for asset in assets:
            event = dg.AssetMaterialization(AssetKey(asset), partition=partition)
            self.instance.report_runless_asset_event(event)

    def complete(self, partition: str) -> None:
        """As after a run of the whole job."""
        self.made(*PARTITIONED, partition=partition)
        self.made("clusters")
        self.made(*ANALYSED, partition=partition)
        self.made("catalog")


@pytest.fixture
def automation(instance: dg.DagsterInstance) -> Automation:
    instance.add_dynamic_partitions("experiment", ["one", "two"])
    return Automation(instance)


def test_neither_what_was_there_before_nor_a_whole_run_fires(automation: Automation) -> None:
    automation.complete("one")
    assert automation.fired() == {}
    assert automation.fired() == {}
    automation.complete("one")
    assert automation.fired() == {}


def test_what_is_downstream_follows_within_its_experiment(automation: Automation) -> None:
    automation.complete("one")
    automation.complete("two")
    automation.fired()
    automation.made("invocations", "images", partition="one")
    fired = automation.fired()
    assert fired["embeddings"] == {"one"}
    # And with it, in the same run, what depends on it.
    assert fired["persistence_diagrams"] == {"one"}
    assert "runs" not in fired
    assert "invocations" not in fired
    # New runs start the loop of theirs.
    automation.made("runs", partition="two")
    fired = automation.fired()
    assert {name: fired[name] for name in ("invocations", "images", "outcomes")} == {
        "invocations": {"two"},
        "images": {"two"},
        "outcomes": {"two"},
    }


def test_clusters_and_catalog_follow_one_experiment_though_another_is_incomplete(automation: Automation) -> None:
    automation.made(*PARTITIONED, partition="one")  # of "two" there is nothing, and clusters were never made
    automation.fired()
    automation.made("embeddings", partition="one")
    fired = automation.fired()
    assert fired["clusters"] == {None}
    assert fired["catalog"] == {None}


def test_clusters_fire_once_for_each_update(automation: Automation) -> None:
    automation.complete("one")
    automation.fired()
    automation.made("embeddings", partition="one")
    assert automation.fired()["clusters"] == {None}
    assert "clusters" not in automation.fired()
    automation.made("clusters")
    assert "clusters" not in automation.fired()
    automation.made("embeddings", partition="two")
    assert automation.fired()["clusters"] == {None}


# The schedule ---------------------------------------------------------------------------------------------------------


NIGHTLY = {"clusters", "compaction", "catalog", "examination"}


def test_the_nightly_job_is_thorough() -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("nightly")
    assert schedule.cron_schedule == "0 4 * * *"
    (request,) = schedule.evaluate_tick(dg.build_schedule_context()).run_requests or []
    assert request.run_config["ops"] == {
        "clusters": {"config": {"anew": True}},
        "examination": {"config": {"quick": False}},
    }
    job = definitions.resolve_job_def(schedule.job_name)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == NIGHTLY


def test_what_is_on_from_the_start() -> None:
    definitions = build_defs()
    names = ("experiment_files", "study_files", "failures", "follow_updates")
    sensors = {name: definitions.resolve_sensor_def(name) for name in names}
    on = {name for name, sensor in sensors.items() if sensor.default_status == dg.DefaultSensorStatus.RUNNING}
    assert on == {"experiment_files", "study_files", "failures"}
    assert definitions.resolve_schedule_def("nightly").default_status == dg.DefaultScheduleStatus.RUNNING
    repository = definitions.get_repository_def()
    # No default one beside them; that over live runs is on where there is a live store.
    assert {sensor.name for sensor in repository.sensor_defs} == {*sensors, "live_runs"}


def nightly(data: Path, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    definitions = build_defs({"laboratory": Laboratory(data=str(data))})
    (request,) = (
        definitions.resolve_schedule_def("nightly").evaluate_tick(dg.build_schedule_context()).run_requests or []
    )
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = definitions.resolve_job_def("nightly")
    return job.execute_in_process(instance=instance, run_config={**request.run_config, **quiet}, raise_on_error=False)


def test_a_night_over_an_empty_lake(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    result = nightly(tmp_path, instance)
    assert result.success
    assert (tmp_path / "catalog.duckdb").exists()
    assert metadata(result, "examination")["broken"] == 0


def test_a_night_compacts_and_then_says_what_is_broken(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write(tmp_path, "one", max_length=4)
    materialise(tmp_path, instance, "one", PARTITIONED, checks=False)
    lake = lake_of(tmp_path)
    rows = lake.read("runs", "one").to_pylist()
    with lake.writer("runs", "one") as writer:
        writer.replace([], {})
        for row in rows:
            writer.append([row])
            writer.commit()
    assert lake.manifest("runs", "one").parts[3:]  # type: ignore[union-attr]
    result = nightly(tmp_path, instance)
    assert result.success, result.get_run_failure_event()
    assert metadata(result, "compaction")["compacted"] >= 1
    assert len(lake.manifest("runs", "one").parts) == 1  # type: ignore[union-attr]
    assert lake.read("runs", "one").to_pylist() == rows

    folder = lake.folder("outcomes", "one")
    part = folder / lake.manifest("outcomes", "one").parts[0].file  # type: ignore[union-attr]
    part.write_bytes(part.read_bytes()[:-9])
    broken = nightly(tmp_path, instance)
    assert not broken.success
    (failure,) = [e for e in broken.all_node_events if e.is_step_failure and e.step_key == "examination"]
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert told.description is not None
    assert "outcomes/one" in told.description
    assert told.metadata["broken"].value >= 1


def test_the_job_of_an_experiment_is_the_whole_graph() -> None:
    job = build_defs().resolve_job_def("experiment")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
        *PARTITIONED,
        *ANALYSED,
        "clusters",
        "catalog",
    }
