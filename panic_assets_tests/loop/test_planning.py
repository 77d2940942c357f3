"""Planning: numbers that stay when an experiment grows, and what an experiment may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panic_assets.lake import Lake
from panic_assets.loop.planning import ChangedExperiment, RunPlan, register, resolve_models
from panic_assets_tests.loop.parts import SMALL, content, experiment, registry


def _register(lake: Lake, **values: Any) -> list[RunPlan]:
    asked = experiment(**values)
    return register(lake, asked, resolve_models(asked, registry()))


def _numbers(plans: list[RunPlan]) -> dict[bytes, int]:
    return {plan.run_id: plan.run_number for plan in plans}


def test_runs_come_network_by_network_prompt_by_prompt_seed_by_seed(tmp_path: Path) -> None:
    plans = _register(Lake(tmp_path), networks=[["DummyT2T"], ["DummyT2I", "DummyI2T"]], seeds=[3, -1, 4, -1])
    assert [plan.run_number for plan in plans] == list(range(16))
    assert [(p.network, p.prompt, p.seed, p.replicate) for p in plans[:5]] == [
        ("DummyT2T", "a boat", 3, 0),
        ("DummyT2T", "a boat", -1, 0),
        ("DummyT2T", "a boat", 4, 0),
        ("DummyT2T", "a boat", -1, 1),
        ("DummyT2T", "a hill", 3, 0),
    ]
    assert plans[8].network == "DummyT2I -> DummyI2T"
    assert len(_numbers(plans)) == 16


def test_the_identity_of_a_run_stays_from_release_to_release(tmp_path: Path) -> None:
    plans = _register(Lake(tmp_path), networks=[["DummyT2T"]])
    assert [plan.run_id.hex() for plan in plans] == [
        "8179bea9cf912502532e8b9ff26bc67d",
        "4bd064f9cf8d83c99a7bef0646b6ceb7",
    ]


GROWTH: list[dict[str, Any]] = [
    {"prompts": ["a new one", "a hill", "a boat"]},
    {"seeds": [-1, 9, 7, -1]},
    {"networks": [["DummyT2T"], ["DummyT2I", "DummyI2T"]]},
    {"max_length": 99},
    {"embedding_models": ["DummyVision", "DummyText2"]},
]


@pytest.mark.parametrize("change", GROWTH, ids=lambda change: next(iter(change)))
def test_growing_keeps_every_number(tmp_path: Path, change: dict[str, Any]) -> None:
    lake = Lake(tmp_path)
    before = _numbers(_register(lake))
    after = _numbers(_register(lake, **change))
    assert before.items() <= after.items()
    assert sorted(after.values()) == list(range(len(after)))
    runs = lake.read("runs", "small").to_pylist()
    assert [row["run_number"] for row in runs] == sorted(after.values())


def test_growing_in_steps_keeps_numbers_all_along(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    values: dict[str, Any] = {}
    seen: dict[bytes, int] = {}
    for change in GROWTH:
        values |= change
        plans = _numbers(_register(lake, **values))
        assert seen.items() <= plans.items()
        seen = plans


def test_removed_prompts_are_kept_with_their_tags_and_come_back_under_their_number(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    tagged = [{"text": "a boat", "tags": {"kind": "water"}}, "a hill"]
    first = _numbers(_register(lake, prompts=tagged))
    left = _register(lake, prompts=["a hill", "a cave"])
    assert [(plan.run_number, plan.prompt_number) for plan in left] == [(1, 1), (2, 2)]
    prompts = lake.read("prompts", "small").to_pylist()
    assert [(row["prompt"], row["tags"]) for row in prompts] == [
        ("a boat", '{"kind": "water"}'),
        ("a hill", None),
        ("a cave", None),
    ]
    assert lake.read("runs", "small").num_rows == 3
    assert first.items() <= _numbers(_register(lake, prompts=[*tagged, "a cave"])).items()


def test_registering_the_same_again_writes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    _register(lake)
    before = {table: lake.generation(table, "small") for table in ("experiments", "prompts", "runs")}
    created = lake.read("experiments", "small")["created_at"][0].as_py()
    _register(lake)
    assert {table: lake.generation(table, "small") for table in before} == before
    _register(lake, description="now with words")
    assert lake.read("experiments", "small")["created_at"][0].as_py() == created


def test_other_model_settings_are_refused_by_the_name_of_the_model(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    _register(lake)
    tables = {table: content(lake, table) for table in ("experiments", "prompts", "runs")}
    with pytest.raises(ChangedExperiment) as caught:
        _register(lake, models={"DummyT2I": {"parameters": {"side": 9}}}, seeds=[7, 8])
    text = str(caught.value)
    assert "experiment small: the lake holds run 0 (DummyT2I -> DummyI2T) made with other settings of DummyT2I" in text
    assert "DummyI2T and" not in text
    assert "Give the file a new name" in text
    assert "panic delete small" in text
    assert {table: content(lake, table) for table in tables} == tables


def test_all_changed_models_are_named(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    _register(lake)
    with pytest.raises(ChangedExperiment, match="other settings of DummyT2I and DummyI2T than"):
        _register(lake, models={"DummyT2I": {"batch": 3}, "DummyI2T": {"batch": 3}})


def test_a_changed_model_is_named_even_if_the_file_left_it_out_in_between(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    _register(lake, networks=[["DummyT2T"], ["DummyT2I", "DummyI2T"]])
    _register(lake, networks=[["DummyT2T"]])
    with pytest.raises(ChangedExperiment, match="other settings of DummyT2I than"):
        _register(lake, networks=[["DummyT2I", "DummyI2T"]], models={"DummyT2I": {"batch": 3}})


def test_a_lossy_archive_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lossless = _numbers(_register(lake))
    assert _numbers(_register(lake, image_format="png")) == lossless
    with pytest.raises(ChangedExperiment, match="image_format png, not webp-90"):
        _register(lake, image_format="webp-90")
    texts = {"name": "texts", "networks": [["DummyT2T"]]}
    assert _numbers(_register(lake, **texts)) == _numbers(_register(lake, **texts, image_format="webp-90"))


def test_settings_that_no_output_depends_on_may_change(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    before = _numbers(_register(lake))
    changed = _register(lake, cycle="continue", quality="stop", models={"DummyT2I": SMALL | {"memory_gb": 3}})
    assert _numbers(changed) == before
