"""Checks in the graph: what a broken row stops, and what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from panic_assets.definitions import build_defs
from panic_assets.defs.launch import JobFailed, execute
from panic_assets.lake import Lake
from panic_assets_tests.laboratory import PARTITIONED, lake_of, materialise, resources, write


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    write(data, "small", max_length=8)
    with dg.DagsterInstance.ephemeral() as instance:
        materialise(data, instance, "small", PARTITIONED, checks=False)
    return data


@pytest.fixture
def data(ran: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(ran, tmp_path / "data"))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("experiment", ["small"])
        yield made


def spoil_a_vector(lake: Lake) -> None:
    """Run 1, place 3: a text of the embedding model DummyText, twice as long as it should be."""
    rows = lake.read("embeddings", "small").to_pylist()
    for row in rows:
        if (row["run_number"], row["sequence_number"]) == (1, 3):
            row["vector"] = [2 * value for value in row["vector"]]
    with lake.writer("embeddings", "small") as writer:
        writer.replace(rows, {})
        writer.commit()


def lose_the_diagrams(lake: Lake) -> None:
    """So that the stage would have something to do, and it can be seen that it did nothing."""
    for table in ("persistence_diagrams", "persistence_features"):
        lake.delete(table, "small")


def test_what_is_downstream_of_broken_rows_does_not_run(data: Path, instance: dg.DagsterInstance) -> None:
    lake = lake_of(data)
    spoil_a_vector(lake)
    lose_the_diagrams(lake)
    result = materialise(data, instance, "small", raise_on_error=False)
    assert not result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [check.check_name for check in failed] == ["vectors_are_sound"]
    assert failed[0].blocking
    assert failed[0].description is not None
    assert "run_number 1, sequence_number 3, embedding_model DummyText, dimension 64" in failed[0].description
    assert failed[0].metadata["broken_rows"].value == 1
    examples = failed[0].metadata["examples"].value
    assert examples == [{"run_number": 1, "sequence_number": 3, "embedding_model": "DummyText", "dimension": 64}]
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == {"runs", "invocations", "images", "outcomes", "embeddings"}
    assert lake.experiments("persistence_diagrams") == []
    assert lake.read("clusterings").num_rows == 0
    assert not (data / "catalog.duckdb").exists()


def test_the_command_line_names_the_rows_and_the_run(data: Path, instance: dg.DagsterInstance) -> None:
    spoil_a_vector(lake_of(data))
    job = build_defs(resources(data)).resolve_job_def("experiment")
    with pytest.raises(JobFailed) as caught:
        execute(job, instance, "small")
    said = str(caught.value)
    assert said.startswith(
        "experiment small: check vectors_are_sound: 1 row of embeddings breaks the rule that vectors"
    )
    assert "run_number 1, sequence_number 3, embedding_model DummyText" in said
    (run,) = instance.get_runs()
    assert run.run_id in said
