"""The chain on a small experiment of dummies, in one process, with an event log in memory."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from PIL import Image

from panic_assets.defs import progress
from panic_assets.defs.assets import ASSETS
from panic_assets.defs.resources import Laboratory, Models
from panic_assets.lake import TABLES
from panic_assets_tests.laboratory import PARTITIONED, lake_of, materialise, metadata, write

DERIVED = [*PARTITIONED, "clusters"]
FIGURES = {"images", "embeddings", "persistence_diagrams", "clusters"}
Ran = tuple[Path, dg.DagsterInstance, dg.ExecuteInProcessResult]


#: Tables that an experiment without trouble leaves empty, those of analyses, which have tests of their own, and those
#: of codecs, which nothing but a person asks for.
CALM = {"events", "sounds", "run_statistics", "dynamics", "curves", "transitions", "codec_rates", "codec_comparisons"}
CALM |= {table for table, spec in TABLES.items() if table.startswith("imported_") or spec.of_study}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """One experiment, materialised once, with an observation at every step."""
    data = tmp_path_factory.mktemp("data")
    # One ring of few states, whose seeded runs cycle, and one of so many that they wander and clusters are found.
    rings = [["DummyT2I", "DummyI2T"], ["DummyT2I2", "DummyI2T2"]]
    write(data, "small", networks=rings, max_length=24, prompts=["a cat", "a dog"], seeds=[1, 2, -1, -1, -1])
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(progress, "_SECONDS_BETWEEN", 0.0)
            result = materialise(data, instance, "small")
        yield data, instance, result


def test_all_tables_are_there(ran: Ran) -> None:
    lake = lake_of(ran[0])
    for table, spec in TABLES.items():
        if table in CALM:
            continue
        assert lake.read(table).num_rows > 0, table
        if spec.of_experiment:
            assert lake.experiments(table) == ["small"]


def test_every_check_was_made_and_passed(ran: Ran) -> None:
    evaluations = ran[2].get_asset_check_evaluations()
    assert len(evaluations) == len({check.check_name for check in evaluations}) > 10
    assert all(check.passed for check in evaluations)


@pytest.mark.parametrize("asset", DERIVED)
def test_metadata_tells_rows_bytes_columns_and_time(ran: Ran, asset: str) -> None:
    data, _, result = ran
    told = metadata(result, asset)
    lake, experiment = lake_of(data), None if asset == "clusters" else "small"
    manifest = lake.manifest(asset, experiment)
    assert manifest is not None
    row_count = told["dagster/row_count" if experiment is None else "dagster/partition_row_count"]
    assert row_count == lake.read(asset, experiment).num_rows > 0
    assert told["bytes"] == sum(part.bytes for part in manifest.parts) > 0
    assert told["dagster/uri"] == str(lake.folder(asset, experiment))
    assert told["seconds"] > 0
    columns = told["dagster/column_schema"].columns
    assert [column.name for column in columns] == TABLES[asset].names
    assert all(column.description and column.type for column in columns)
    nullable = [column.name for column in columns if column.constraints.nullable]
    assert nullable == [column.name for column in TABLES[asset].columns if column.nullable]
    if asset != "runs":
        assert told["computed"] > 0
        assert told["per_second"] == pytest.approx(told["computed"] / told["seconds"], rel=0.05)


@pytest.mark.parametrize("asset", DERIVED)
def test_pictures_are_small_and_can_be_shown(ran: Ran, asset: str) -> None:
    figure = metadata(ran[2], asset).get("figure")
    assert (figure is not None) == (asset in FIGURES)
    if figure is not None:
        assert len(figure) < 100_000
        encoded = figure.split("base64,")[1].removesuffix(")")
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert min(image.size) >= 48


def test_metadata_fits_the_event_log(ran: Ran) -> None:
    for event in ran[2].get_asset_materialization_events():
        assert sum(len(str(value.value)) for value in event.materialization.metadata.values()) < 150_000


def test_numbers_of_the_loop_and_of_the_stages(ran: Ran) -> None:
    data, _, result = ran
    outcomes = lake_of(data).read("outcomes", "small").to_pylist()
    reasons = [row["stop_reason"] for row in outcomes]
    assert metadata(result, "outcomes")["stop_reasons"] == {name: reasons.count(name) for name in set(reasons)}
    assert set(reasons) == {"cycle", "length"}
    assert metadata(result, "runs")["invocations_at_most"] == 20 * 24
    assert set(metadata(result, "embeddings")["embedding_models"]) == {"DummyText", "DummyVision"}
    assert metadata(result, "persistence_diagrams")["trajectories"] == 2 * 20
    pooled = metadata(result, "clusters")["clusterings"]
    assert sum(kind["points"] for kind in pooled.values()) == sum(row["length"] for row in outcomes)


def test_the_catalog_can_be_opened(ran: Ran) -> None:
    told = metadata(ran[2], "catalog")
    assert told["path"] == str(ran[0] / "catalog.duckdb")
    with duckdb.connect(told["path"], read_only=True) as connection:
        rows = connection.execute("SELECT count(*) FROM runs").fetchall()
    assert rows == [(20,)]


@pytest.mark.parametrize("asset", ["invocations", "embeddings", "persistence_diagrams"])
def test_a_running_step_is_observed(ran: Ran, asset: str) -> None:
    _, instance, result = ran
    log = instance.all_logs(result.run_id)
    observed = [
        (place, entry.dagster_event.asset_observation_data.asset_observation)
        for place, entry in enumerate(log)
        if entry.dagster_event is not None and entry.dagster_event.is_asset_observation
    ]
    own = [(place, o) for place, o in observed if o.asset_key == dg.AssetKey(asset)]
    (materialised,) = [
        place
        for place, entry in enumerate(log)
        if entry.dagster_event is not None
        and entry.dagster_event.is_step_materialization
        and entry.dagster_event.asset_key == dg.AssetKey(asset)
    ]
    assert own
    assert all(place < materialised for place, _ in own)
    assert {o.partition for _, o in own} == {"small"}
    for _, observation in own:
        values: dict[str, Any] = {name: value.value for name, value in observation.metadata.items()}
        assert 0 <= values["done"] <= values["total"]
        assert values.get("seconds_left", 0.0) >= 0


def test_a_short_step_is_not_observed(tmp_path: Path) -> None:
    write(tmp_path, "small", max_length=4)
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialise(tmp_path, instance, "small", ["runs", "invocations", "images", "outcomes"], checks=False)
        assert not [event for event in result.all_events if event.is_asset_observation]


def test_listeners_hear_every_step_until_they_leave(tmp_path: Path) -> None:
    write(tmp_path, "small", max_length=4)
    heard: list[tuple[str, int, int, dict[str, Any]]] = []
    chosen = ["runs", "invocations", "images", "outcomes"]
    with dg.DagsterInstance.ephemeral() as instance:
        with progress.listening(lambda asset, done, total, facts: heard.append((asset, done, total, dict(facts)))):
            materialise(tmp_path, instance, "small", chosen, checks=False)
        last = heard[-1]
        assert last[:3] == ("invocations", 16, 16)
        assert last[3]["network"] == "DummyT2I -> DummyI2T"
        count = len(heard)
        materialise(tmp_path, instance, "small", chosen, checks=False)
    assert len(heard) == count


def test_again_then_a_second_experiment(tmp_path: Path) -> None:
    write(tmp_path, "small")
    lake = lake_of(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        materialise(tmp_path, instance, "small")
        generations = {table: lake.generation(table, "small") for table, spec in TABLES.items() if spec.of_experiment}
        again = materialise(tmp_path, instance, "small")
        for asset in DERIVED:
            if asset != "runs":
                assert metadata(again, asset)["computed"] == 0, asset
        assert generations == {t: lake.generation(t, "small") for t, s in TABLES.items() if s.of_experiment}
        before = {row["clustering_id"] for row in lake.read("clusterings").to_pylist()}

        write(tmp_path, "other", prompts=["a fish"], seeds=[5, -1])
        second = materialise(tmp_path, instance, "other")
        for table, spec in TABLES.items():
            if spec.of_experiment and table not in CALM:
                assert lake.experiments(table) == ["other", "small"]
        # Clusters are over both, and those of one experiment alone are gone.
        after = lake.read("clusterings").to_pylist()
        assert not before & {row["clustering_id"] for row in after}
        lengths = sum(row["length"] for row in lake.read("outcomes").to_pylist())
        assert sum(row["points"] for row in after) == lengths
        assert set(lake.read("cluster_assignments").column("experiment").to_pylist()) == {"other", "small"}
        assert metadata(second, "clusters")["computed"] == lengths
        assert generations == {t: lake.generation(t, "small") for t, s in TABLES.items() if s.of_experiment}


def test_a_grown_experiment_computes_only_what_is_new(tmp_path: Path) -> None:
    write(tmp_path, "small", seeds=[-1])
    with dg.DagsterInstance.ephemeral() as instance:
        materialise(tmp_path, instance, "small", PARTITIONED, checks=False)
        write(tmp_path, "small", seeds=[-1], prompts=["a cat", "a dog", "a bird"])
        grown = materialise(tmp_path, instance, "small", PARTITIONED)
        told = metadata(grown, "invocations")
        assert (told["computed"], told["dagster/partition_row_count"]) == (24, 72)
        assert metadata(grown, "persistence_diagrams")["computed"] == 2
        assert metadata(grown, "persistence_diagrams")["trajectories"] == 6


def test_of_an_imported_experiment_nothing_is_run_and_no_device_is_opened(tmp_path: Path) -> None:
    write(tmp_path, "small", max_length=4)
    lake = lake_of(tmp_path)
    chosen = ["runs", "invocations", "images", "outcomes", "embeddings"]
    with dg.DagsterInstance.ephemeral() as instance:
        materialise(tmp_path, instance, "small", chosen, checks=False)
        before = {table: lake.read(table, "small") for table in chosen}
        # The same runs, as if another system had made them with models that are not here.
        write(tmp_path, "small", max_length=4, imported_from="elsewhere", networks=[["Theirs", "Unknown"]], models={})
        result = dg.materialize(
            ASSETS,
            instance=instance,
            partition_key="small",
            resources={"laboratory": Laboratory(data=str(tmp_path)), "models": Models(devices="none such")},
            selection=chosen,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    assert metadata(result, "invocations")["computed"] == 0
    assert metadata(result, "embeddings")["computed"] == 0
    assert {table: lake.read(table, "small") for table in chosen} == before


def test_an_experiment_without_a_file_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "small")
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialise(tmp_path, instance, "absent", ["runs"], checks=False, raise_on_error=False)
    assert not result.success
    (failure,) = [event for event in result.all_node_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert "'absent'; there are: small" in error.cause.message


def test_json_metadata_is_json(ran: Ran) -> None:
    for event in ran[2].get_asset_materialization_events():
        for value in event.materialization.metadata.values():
            if isinstance(value, dg.JsonMetadataValue):
                json.dumps(value.value, allow_nan=False)
