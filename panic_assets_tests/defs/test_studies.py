"""Studies in Dagster: the job from file to report with its checks and observations, and the sensor over study files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from panic_assets.definitions import build_defs
from panic_assets.defs import watching
from panic_assets.defs.launch import execute
from panic_assets.defs.resources import Laboratory
from panic_assets.defs.study_automation import study_files
from panic_assets.lake.study_rules import STUDY_RULES
from panic_assets.studies.bench import Bench
from panic_assets.studies.from_lake import study_comparison, study_trials
from panic_assets_tests.laboratory import materialise, resources
from panic_assets_tests.laboratory import write as write_experiment
from panic_assets_tests.studies.small import write

STEPS = ["study_trials", "trial_metrics", "lipschitz", "robustness", "study_comparison", "study_report"]
Ran = tuple[Path, dg.DagsterInstance, list[dg.DagsterEvent]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A study with MLflow, run once by its job."""
    data = tmp_path_factory.mktemp("data")
    write(data, "small", tracking={"mlflow": True})
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("PANIC_DATA", str(data))
        instance.add_dynamic_partitions("study", ["small"])
        job = build_defs(resources(data)).resolve_job_def("study")
        doubts: list[str] = []
        computed = execute(job, instance, "small", doubts.append)
        assert computed["study_trials"] == 4
        assert doubts == []
        (run,) = instance.get_runs()
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        yield data, instance, events


def materialised(events: list[dg.DagsterEvent]) -> dict[str, dict[str, Any]]:
    found = [event.materialization for event in events if event.is_step_materialization]
    return {
        one.asset_key.to_user_string(): {name: value.value for name, value in one.metadata.items()} for one in found
    }


def test_the_job_goes_from_the_file_to_the_report(ran: Ran) -> None:
    data, _, events = ran
    told = materialised(events)
    assert set(told) == {*STEPS, "catalog"}
    assert told["study_trials"]["states"] == {"completed": 4}
    assert told["study_trials"]["left"] == 0
    lake = Bench(data).lake
    assert {row.state for row in study_trials(lake, "small")} == {"completed"}
    assert told["study_comparison"]["dagster/partition_row_count"] == len(study_comparison(lake, "small")) > 10
    assert "spectral normalisation" in told["study_comparison"]["found"]
    report = Path(told["study_report"]["path"])
    assert report == data / "reports" / "study-small.html"
    assert "spectral normalisation" in report.read_text()
    assert told["study_report"]["figure"].startswith("![")


def test_every_trial_is_observed_while_the_step_goes_on(ran: Ran) -> None:
    data, _, events = ran
    observed = [e.asset_observation_data.asset_observation for e in events if e.is_asset_observation]
    assert [(o.asset_key.to_user_string(), o.partition) for o in observed] == [("study_trials", "small")] * 4
    told = [{name: value.value for name, value in o.metadata.items()} for o in observed]
    assert {one["trial_id"] for one in told} == {row.trial_id for row in study_trials(Bench(data).lake, "small")}
    assert [one["done"] for one in told] == [1, 2, 3, 4]
    assert {(one["arm"], one["spectral_norm"]) for one in told} == {("none", False), ("spectral_norm", True)}
    assert all(one["mlflow_run_id"] and one["test_loss"] > 0 for one in told)


def test_every_check_is_made_and_mlflow_agrees(ran: Ran) -> None:
    _, _, events = ran
    made = {
        e.asset_check_evaluation_data.check_name: e.asset_check_evaluation_data
        for e in events
        if e.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    }
    assert set(made) == {rule.name for rule in STUDY_RULES} | {"mlflow_agrees"}
    assert all(check.passed for check in made.values())
    agreement = {name: value.value for name, value in made["mlflow_agrees"].metadata.items()}
    assert (agreement["trials"], agreement["share"]) == (4, 1.0)


def test_mlflow_has_the_report_a_figure_and_links_back(ran: Ran) -> None:
    from mlflow.tracking import MlflowClient

    data, _, _ = ran
    client = MlflowClient(Bench(data).mlflow_uri)
    experiment = client.get_experiment_by_name("panic/small")
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in found if "trial_id" not in run.data.tags]
    files = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id)}
    assert files >= {"study-small.html", "differences.png"}
    for run in found:
        if run is not parent:
            address = f"http://127.0.0.1:8080/studies/small/trials/{run.data.tags['trial_id']}"
            assert run.data.tags["panic.url"] == address


def test_a_second_run_trains_nothing(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    data, instance, _ = ran
    monkeypatch.setenv("PANIC_DATA", str(data))
    generation = Bench(data).lake.generation("trial_metrics", "small")
    job = build_defs(resources(data)).resolve_job_def("study")
    assert execute(job, instance, "small")["study_trials"] == 0
    assert Bench(data).lake.generation("trial_metrics", "small") == generation
    (run, _) = instance.get_runs()
    assert not [e for e in instance.all_logs(run.run_id) if e.dagster_event and e.dagster_event.is_asset_observation]


# The sensor -----------------------------------------------------------------------------------------------------------


class Watcher:
    """Ticks of the sensor over one folder, each with the cursor that the last one left."""

    def __init__(self, data: Path, instance: dg.DagsterInstance) -> None:
        self.data, self.instance, self.cursor = data, instance, None

    def tick(self) -> tuple[list[str | None], str]:
        """(Partitions that are started, why none is)."""
        laboratory = Laboratory(data=str(self.data))
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"laboratory": laboratory}
        ) as context:
            result = study_files(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or []:
            assert request.partitions_def_name == "study"
            self.instance.add_dynamic_partitions("study", list(request.partition_keys))
        reason = str(result.skip_reason.skip_message) if result.skip_reason else ""
        return [request.partition_key for request in result.run_requests or []], reason


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    monkeypatch.setattr(watching, "SETTLED_SECONDS", 0.0)
    monkeypatch.delenv("PANIC_WEBHOOK", raising=False)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watcher(tmp_path, instance)


def test_new_and_changed_studies_are_started_once(watcher: Watcher) -> None:
    assert watcher.tick() == ([], "0 studies, none new or changed.")
    write(watcher.data, "one")
    assert watcher.tick() == (["one"], "")
    assert watcher.instance.get_dynamic_partitions("study") == ["one"]
    assert watcher.tick() == ([], "1 studies, none new or changed.")
    path = write(watcher.data, "one")
    path.write_text("# a remark\n" + path.read_text())
    assert watcher.tick()[0] == []
    write(watcher.data, "one", comparison={"pairs": 3})
    assert watcher.tick()[0] == ["one"]


def test_a_study_waits_for_the_experiments_that_it_learns_from(watcher: Watcher) -> None:
    data = {"experiments": ["loop"], "embedding_model": "DummyText"}
    write(watcher.data, "one", task="next_step", data=data)
    started, why = watcher.tick()
    assert started == []
    assert "Study one waits for experiment loop." in why
    write_experiment(watcher.data, "loop", max_length=4)
    materialise(watcher.data, watcher.instance, "loop", ["runs", "invocations", "images", "outcomes", "embeddings"])
    assert watcher.tick()[0] == ["one"]


def test_a_broken_study_is_told_and_holds_up_no_other(watcher: Watcher) -> None:
    write(watcher.data, "bad", task="cooking")
    write(watcher.data, "good")
    assert watcher.tick()[0] == ["good"]
    assert "bad.yaml is broken: task: " in watcher.tick()[1]


def test_an_experiment_of_the_same_name_is_another_thing(watcher: Watcher) -> None:
    write(watcher.data, "one")
    defs = build_defs()
    tags = {"dagster/partition": "one"}
    running = dg.DagsterRunStatus.STARTED
    watcher.instance.create_run_for_job(defs.resolve_job_def("experiment"), status=running, tags=tags)
    assert watcher.tick()[0] == ["one"]
    watcher.instance.create_run_for_job(defs.resolve_job_def("study"), status=running, tags=tags)
    write(watcher.data, "one", comparison={"pairs": 3})
    assert watcher.tick() == ([], "1 studies; changed, and started when their run is over: one.")
