"""Live runs as Dagster sees them: what starts an ingestion, and the whole analysis of what it brought."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from panic_assets.definitions import build_defs
from panic_assets.defs.live import live_ingestion, live_runs, live_runs_going_on
from panic_assets.defs.resources import Laboratory
from panic_assets.lake import Lake
from panic_assets.reports.page.render import write_report
from panic_assets_tests.laboratory import PARTITIONED, lake_of, materialise, resources
from panic_assets_tests.live.night import open_store, pass_a_night

KEY, LOUD = "live-night-ring-2026-03-01", "live-reveil-2026-03-01"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a live store, never in the lake. Not to be changed."""
    data = tmp_path_factory.mktemp("night")
    asyncio.run(pass_a_night(data))
    return data


@pytest.fixture
def data(night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PANIC_LIVE_EMBEDDINGS", "DummyText,DummyVision,NoSuchModel")
    monkeypatch.setenv("PANIC_LIVE_TIMEZONE", "UTC")
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))
    shutil.copytree(night, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def bring(data: Path, instance: dg.DagsterInstance, include_running: bool = False) -> dict[str, object]:
    """Run the job; what it told of itself."""
    result = live_ingestion.execute_in_process(
        instance=instance,
        resources={"laboratory": Laboratory(data=str(data))},
        run_config={
            "ops": {"bring_live_runs": {"config": {"include_running": include_running}}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )
    (output,) = [event.step_output_data for event in result.all_node_events if event.is_successful_output]
    return {name: value.value for name, value in output.metadata.items()}


def test_the_whole_analysis_works_on_a_night(data: Path, instance: dg.DagsterInstance) -> None:
    told = bring(data, instance, include_running=True)
    lake = lake_of(data)
    assert told["invocations"] == lake.read("invocations").num_rows
    assert lake.read("invocations").num_rows >= 500
    assert told["cut"] == 0
    assert set(instance.get_dynamic_partitions("experiment")) == set(lake.experiments("runs")) >= {KEY, LOUD}
    again = bring(data, instance, include_running=True)
    assert (again["experiments"], again["invocations"]) == ([], 0)
    whole = (
        build_defs(resources(data))
        .resolve_job_def("experiment")
        .execute_in_process(
            instance=instance,
            partition_key=KEY,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    )
    # Sounds are embedded by no model; the texts beside them are.
    of_sounds = materialise(data, instance, LOUD, PARTITIONED, raise_on_error=False)
    for result, key in ((whole, KEY), (of_sounds, LOUD)):
        failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
        assert (result.success, failed) == (True, [])
        assert key in write_report(lake, key, data / "reports" / f"{key}.html").read_text()
    embedded = lake.read("embeddings", KEY, where={"embedding_model": "DummyText"})
    texts = lake.read("invocations", KEY, where={"type": "text"}).num_rows
    assert embedded.num_rows == texts + lake.read("runs", KEY).num_rows
    assert lake.read("persistence_diagrams", KEY).num_rows > 0
    assert set(lake.read("invocations", LOUD).column("type").to_pylist()) == {"text", "audio"}


def test_the_sensor_starts_an_ingestion_when_runs_have_ended(data: Path, instance: dg.DagsterInstance) -> None:
    def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        given = {"laboratory": Laboratory(data=str(data))}
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources=given) as context:
            result = live_runs(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    store = open_store(data)
    ended = store.count_ended()
    store.close()
    assert ended > 10
    first = tick(None)
    assert isinstance(first, dg.SensorResult)
    assert len(first.run_requests or []) == 1
    assert first.cursor == str(ended)
    bring(data, instance)
    second = tick(first.cursor)
    assert isinstance(second, dg.SkipReason)
    assert second.skip_message == f"{ended} live runs are over, none new."


def test_nothing_is_started_where_there_is_no_live_store(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))
    given = {"laboratory": Laboratory(data=str(tmp_path))}
    with dg.build_sensor_context(instance=instance, resources=given) as context:
        assert isinstance(live_runs(context), dg.SkipReason)
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=given) as context:
        assert isinstance(live_runs_going_on(context), dg.SkipReason)
    assert bring(tmp_path, instance) == {}
    assert not (tmp_path / "lake").exists()


def test_every_hour_what_goes_on_is_taken_too(data: Path, instance: dg.DagsterInstance) -> None:
    given = {"laboratory": Laboratory(data=str(data))}
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=at, resources=given) as context:
        request = live_runs_going_on(context)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config == {"ops": {"bring_live_runs": {"config": {"include_running": True}}}}
    before = bring(data, instance)
    after = bring(data, instance, include_running=True)
    assert after["runs"] == 1
    lake = Lake(data / "lake")
    assert lake.read("invocations").num_rows == sum(int(str(told["invocations"])) for told in (before, after))
