"""Codecs in Dagster: the job from pictures to page, its checks, what it tells, and that nothing else starts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from panic_assets.definitions import build_defs
from panic_assets.defs.automation import experiment_job
from panic_assets.defs.checks import CODEC_CHECKS
from panic_assets.defs.codec import CODEC_ASSETS
from panic_assets.defs.launch import execute
from panic_assets.lake.codec_rules import CODEC_RULES
from panic_assets_tests.laboratory import lake_of, materialise, resources, write

Ran = tuple[Path, dg.DagsterInstance, dict[str, int]]
LOOP = ["runs", "invocations", "images", "outcomes"]


def _facts(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """An experiment of which two pictures are kept without loss, and another of which none is, both measured."""
    data = tmp_path_factory.mktemp("data")
    write(data, "small", max_length=2)
    write(data, "lossy", max_length=2, image_format="webp-50")
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(resources(data)).resolve_job_def("codec")
        for name in ("lossy", "small"):
            materialise(data, instance, name, LOOP, checks=False)
            computed = execute(job, instance, name)
        yield data, instance, computed


def test_the_job_goes_from_pictures_to_a_page(ran: Ran) -> None:
    data, instance, computed = ran
    lake = lake_of(data)
    settings = lake.read("codec_rates", "small").num_rows
    assert computed == {"codec_rate_distortion": settings}
    rates = _facts(instance, "codec_rate_distortion")
    assert (rates["pictures"], rates["pictures_without_loss"]) == (4, 4)
    assert rates["embedding_model"] == "DummyVision"
    assert rates["dagster/partition_row_count"] == settings > 40
    assert rates["figure"].startswith("![Likeness against bytes](data:image/png;base64,")
    report = _facts(instance, "codec_report")
    sentences = [row["sentence"] for row in lake.read("codec_comparisons", "small").to_pylist()]
    assert report["headline"] in sentences
    assert report["found"].count("\n- ") + 1 == len(sentences) / 2
    page = data / "reports" / "small.codec.html"
    assert report["path"] == str(page)
    assert report["headline"] in page.read_text()


def test_an_experiment_without_originals_is_told_so_and_nothing_fails(ran: Ran) -> None:
    data, _, _ = ran
    lake = lake_of(data)
    assert lake.read("codec_rates", "lossy").num_rows == 0
    why = lake.properties("codec_rates", "lossy")["why_not"]
    assert "stored as webp-50" in why
    assert why in (data / "reports" / "lossy.codec.html").read_text()


def test_a_second_run_measures_nothing(ran: Ran) -> None:
    data, instance, _ = ran
    generation = lake_of(data).generation("codec_rates", "small")
    job = build_defs(resources(data)).resolve_job_def("codec")
    assert execute(job, instance, "small") == {"codec_rate_distortion": 0}
    assert lake_of(data).generation("codec_rates", "small") == generation


def test_both_tables_are_checked(ran: Ran) -> None:
    _, instance, _ = ran
    for check in CODEC_CHECKS:
        (key,) = check.check_keys
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
        assert latest[key].status.value == "SUCCEEDED"
    assert {key.name for check in CODEC_CHECKS for key in check.check_keys} == {rule.name for rule in CODEC_RULES}


def test_no_other_job_and_no_condition_starts_it() -> None:
    defs = build_defs()
    graph = defs.resolve_asset_graph()
    ours = {asset.key for asset in CODEC_ASSETS}
    for job in (experiment_job.name, "nightly", "study"):
        assert not ours & set(defs.resolve_job_def(job).asset_layer.executable_asset_keys), job
    for key in ours:
        assert graph.get(key).automation_condition is None
        assert graph.get(key).group_name == "codec"
