"""What starts by itself: the sensor over files, the conditions of assets, the nightly schedule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import AssetKey, evaluate_automation_conditions
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.instigation_logger import get_instigation_log_records
from dagster._core.definitions.sensor_definition import SensorEvaluationContext
from dagster._core.test_utils import instance_for_test

from panic_assets.definitions import build_defs
from panic_assets.defs.automation import experiment_files
from panic_assets.defs.resources import Laboratory
from panic_assets_tests.laboratory import ANALYSED, PARTITIONED, write


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

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = experiment_files(context, laboratory=Laboratory(data=str(self.data)))
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        if isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
            for request in result.dynamic_partitions_requests or []:
                assert isinstance(request, dg.AddDynamicPartitionsRequest)
                assert request.partitions_def_name == "experiment"
                self.instance.add_dynamic_partitions("experiment", list(request.partition_keys))
        return result

    def launched(self) -> list[str]:
        """Partitions that the next tick starts."""
        result = self.tick()
        return [] if isinstance(result, dg.SkipReason) else [str(r.partition_key) for r in result.run_requests or []]


@pytest.fixture
def watcher(tmp_path: Path, instance: dg.DagsterInstance) -> Watcher:
    return Watcher(tmp_path, instance)


def test_no_folder_is_no_reason_to_start(watcher: Watcher) -> None:
    result = watcher.tick()
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "0 experiment files, none new or changed; 0 broken"


def test_a_new_file_is_registered_and_started(watcher: Watcher) -> None:
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]
    assert watcher.instance.get_dynamic_partitions("experiment") == ["one"]
    assert isinstance(watcher.tick(), dg.SkipReason)
    write(watcher.data, "two")
    assert watcher.launched() == ["two"]
    assert sorted(watcher.instance.get_dynamic_partitions("experiment")) == ["one", "two"]
    assert isinstance(watcher.tick(), dg.SkipReason)


def test_a_registered_experiment_is_started_and_not_registered_again(watcher: Watcher) -> None:
    watcher.instance.add_dynamic_partitions("experiment", ["one"])
    write(watcher.data, "one")
    result = watcher.tick()
    assert isinstance(result, dg.SensorResult)
    assert not result.dynamic_partitions_requests
    assert [request.partition_key for request in result.run_requests or []] == ["one"]


def test_a_changed_file_is_started_each_time_and_when_it_is_changed_back(watcher: Watcher) -> None:
    keys = []
    for length in (10, 12, 10):
        write(watcher.data, "one", max_length=length)
        result = watcher.tick()
        assert isinstance(result, dg.SensorResult)
        keys += [request.run_key for request in result.run_requests or []]
    # Dagster starts each run key but once.
    assert keys == [None] * 3


def test_comments_and_order_of_fields_are_no_change(watcher: Watcher) -> None:
    path = write(watcher.data, "one")
    watcher.tick()
    path.write_text("# a remark\n" + path.read_text() + "name: one\n")
    assert isinstance(watcher.tick(), dg.SkipReason)


def test_a_file_that_went_and_came_again_is_started(watcher: Watcher) -> None:
    path = write(watcher.data, "one")
    write(watcher.data, "two")
    watcher.tick()
    path.unlink()
    write(watcher.data, "two", max_length=4)
    assert watcher.launched() == ["two"]
    write(watcher.data, "one")
    assert watcher.launched() == ["one"]


def test_a_broken_file_is_told_and_does_not_hold_up_the_others(
    watcher: Watcher, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write(watcher.data, "broken", max_length=-3)
    write(watcher.data, "good")
    assert watcher.launched() == ["good"]
    warning = capsys.readouterr().err
    assert f"WARNING - {broken}: 1 problem" in warning
    assert "max_length: -3 must be greater than 0" in warning
    assert "good" not in warning
    skipped = watcher.tick()
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "1 experiment files, none new or changed; 1 broken"
    write(watcher.data, "broken", max_length=3)
    assert watcher.launched() == ["broken"]


def test_a_file_that_is_not_yaml_is_told(watcher: Watcher, capsys: pytest.CaptureFixture[str]) -> None:
    (watcher.data / "experiments").mkdir()
    (watcher.data / "experiments" / "bad.yaml").write_text("networks: [")
    assert watcher.launched() == []
    assert "is not YAML" in capsys.readouterr().err


def test_two_files_of_one_name(watcher: Watcher, capsys: pytest.CaptureFixture[str]) -> None:
    write(watcher.data, "a_first", name="same")
    write(watcher.data, "b_second", name="same", max_length=4)
    assert watcher.launched() == ["same"]
    warning = capsys.readouterr().err
    assert "b_second.yaml: 1 problem" in warning
    assert "'same' is taken by" in warning
    assert "a_first.yaml" in warning


def test_a_tick_as_the_code_server_makes_it(tmp_path: Path) -> None:
    """A partition that is registered in the same tick is known to the job, and the UI shows what was logged."""
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
    assert str(broken) in record["msg"]


# Conditions -----------------------------------------------------------------------------------------------------------


class Automation:
    """Evaluations of all conditions, one after the other, as the daemon makes them."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: AssetDaemonCursor | None = None
        self.definitions = build_defs()

    def fired(self) -> dict[str, set[str | None]]:
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


def test_nothing_fires_for_what_was_there_before(automation: Automation) -> None:
    automation.complete("one")
    assert automation.fired() == {}
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


def test_new_runs_start_the_loop_of_their_experiment(automation: Automation) -> None:
    automation.complete("one")
    automation.complete("two")
    automation.fired()
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


def test_a_whole_run_fires_nothing_more(automation: Automation) -> None:
    automation.complete("one")
    automation.fired()
    automation.complete("one")
    assert automation.fired() == {}


# The schedule ---------------------------------------------------------------------------------------------------------


def test_the_nightly_job_clusters_and_rebuilds_the_catalog() -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("recluster")
    assert schedule.cron_schedule == "0 4 * * *"
    assert schedule.job_name == "clusters_and_catalog"
    (request,) = schedule.evaluate_tick(dg.build_schedule_context()).run_requests or []
    assert request.run_config == {"ops": {"clusters": {"config": {"anew": True}}}}
    job = definitions.resolve_job_def(schedule.job_name)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {"clusters", "catalog"}


def test_the_nightly_job_runs_without_a_partition(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    definitions = build_defs({"laboratory": Laboratory(data=str(tmp_path))})
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = definitions.resolve_job_def("clusters_and_catalog").execute_in_process(instance=instance, run_config=quiet)
    assert result.success
    assert (tmp_path / "catalog.duckdb").exists()
    assert len(result.get_asset_check_evaluations()) == 3


def test_the_job_of_an_experiment_is_the_whole_graph() -> None:
    job = build_defs().resolve_job_def("experiment")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {
        *PARTITIONED,
        *ANALYSED,
        "clusters",
        "catalog",
    }
