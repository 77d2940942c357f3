from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panic_assets.models.entry import DEFAULT_DTYPE, OVERRIDABLE, ModelEntry, parse_entry
from panic_assets.models.errors import RegistryError

DRAWER: dict[str, Any] = {
    "name": "Drawer",
    "adapter": "diffusers",
    "source": {"kind": "hub", "repo": "someone/drawer"},
    "revision": "main",
    "kind": "generator",
    "input": "text",
    "output": "image",
    "parameters": {"num_inference_steps": 4},
    "batch": 4,
    "seed_behaviour": "seeded",
    "memory_gb": 3.0,
    "licence": "MIT",
}
WRITER = {
    **DRAWER,
    "name": "Writer",
    "adapter": "captioner",
    "input": "image",
    "output": "text",
    "parameters": {"style": "bare"},
    "seed_behaviour": "deterministic",
}
CHAT = {
    **WRITER,
    "name": "Chat",
    "adapter": "chat",
    "input": "text",
    "parameters": {"instruction": "Rephrase: {text}"},
    "max_text_tokens": 64,
}
EMBEDDER = {
    **{key: value for key, value in DRAWER.items() if key not in {"input", "output", "parameters"}},
    "name": "Embedder",
    "adapter": "sentence-transformers",
    "kind": "embedder",
    "inputs": ["text"],
    "dimension": 8,
    "normalised": True,
    "seed_behaviour": "deterministic",
}


def test_takes_and_gives() -> None:
    drawer, embedder = parse_entry(DRAWER, "x"), parse_entry(EMBEDDER, "x")
    assert (drawer.takes, drawer.gives) == (frozenset({"text"}), "image")
    assert (embedder.takes, embedder.gives) == (frozenset({"text"}), None)


@pytest.mark.parametrize(
    ("base", "change", "message"),
    [
        (DRAWER, {"guidance": 3}, "guidance: is not a field"),
        (DRAWER, {"licens": "MIT"}, "did you mean licence?"),
        (DRAWER, {"batch": 0}, "batch: 0 should be greater than 0"),
        (EMBEDDER, {"batch": None}, "batch: is needed for embedders"),
        (DRAWER, {"largest_gb": 4}, "largest_gb: 4 is more than memory_gb, 3"),
        (DRAWER, {"verified": "it", "not_verified": "why"}, "not_verified: contradicts verified"),
        (DRAWER, {"timings": [{"device": "GPU", "source": "x"}]}, "holds no seconds"),
        (DRAWER, {"timings": [{"device": "GPU", "second": 1, "source": "x"}]}, "timings.0.second: is not a field"),
        (DRAWER, {"adapter": "diffuser"}, "did you mean diffusers?"),
        (DRAWER, {"output": None}, "output: is needed for generators"),
        (DRAWER, {"dimension": 3}, "dimension: is not a field of generators"),
        (DRAWER, {"revision": None}, "revision: is needed for a hub repository"),
        (DRAWER, {"source": {"kind": "folder", "path": "x"}}, "revision: only a hub repository has one"),
        (DRAWER, {"parameters": {"generator": 3}}, "generator: is set by the adapter itself"),
        (DRAWER, {"load": {"varient": "fp16"}}, "did you mean variant?"),
        (DRAWER, {"unverified": ["licenze"]}, "'licenze' is not a field"),
        (WRITER, {"parameters": {"style": "bare", "max_new_token": 3}}, "did you mean max_new_tokens?"),
        (WRITER, {"parameters": {}}, "parameters.style: is missing"),
        (WRITER, {"parameters": {"style": "bare", "do_sample": True}}, "a captioner with do_sample is seeded"),
        (WRITER, {"parameters": {"style": "bare", "temperature": 0.5}}, "act only with do_sample"),
        (
            WRITER,
            {"parameters": {"style": "bare", "do_sample": True, "num_beams": 2}, "seed_behaviour": "seeded"},
            "do_sample and num_beams > 1 exclude each other",
        ),
        (CHAT, {"parameters": {"instruction": "Rephrase."}}, "has no {text}, the place of the text that comes in"),
        (CHAT, {"parameters": {}}, "parameters.instruction: is missing"),
        (CHAT, {"max_text_tokens": None}, "max_text_tokens: is needed for a chat model"),
        (CHAT, {"seed_behaviour": "seeded"}, "a chat model with do_sample is seeded"),
        (EMBEDDER, {"dimension": None}, "dimension: is needed for embedders"),
        (EMBEDDER, {"parameters": {"truncate_dim": 4}}, "dimension: 8 is not parameters.truncate_dim, 4"),
    ],
)
def test_what_is_wrong_is_named(base: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistryError) as error:
        parse_entry({**base, **change}, "models.yaml")
    assert message in str(error.value)
    assert "models.yaml" in str(error.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RegistryError) as error:
        parse_entry({**DRAWER, "input": None, "output": None}, "x")
    assert len(error.value.problems) == 2


def test_one_dtype_stands_for_all_devices() -> None:
    assert set(parse_entry({**DRAWER, "dtype": "float16"}, "x").dtype.values()) == {"float16"}
    assert parse_entry({**DRAWER, "dtype": {"cuda": "float16"}}, "x").dtype == {**DEFAULT_DTYPE, "cuda": "float16"}


def test_overrides_merge_parameters_and_leave_the_entry_alone() -> None:
    entry = parse_entry(DRAWER, "x")
    changed = entry.with_overrides({"parameters": {"guidance_scale": 2.0}, "batch": 2, "revision": "0" * 40})
    assert changed.parameters == {"num_inference_steps": 4, "guidance_scale": 2.0}
    assert (changed.batch, changed.revision) == (2, "0" * 40)
    assert entry == parse_entry(DRAWER, "x")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_inference_steps": 8}, "write it under parameters"),
        ({"bach": 8}, "did you mean batch?"),
        ({"name": "Other"}, "can't be overridden"),
        ({"batch": -1}, "batch: -1"),
        ({"parameters": 3}, "parameters: 3 is not a mapping"),
        ({"load": {"offload": "all"}}, "load.offload"),
    ],
)
def test_wrong_overrides_are_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(RegistryError) as error:
        parse_entry(DRAWER, "x").with_overrides(overrides)
    assert message in str(error.value)
    assert "Drawer" in str(error.value)


def test_no_overrides_change_nothing() -> None:
    for base in (DRAWER, WRITER, CHAT, EMBEDDER):
        entry = parse_entry(base, "x")
        assert entry.with_overrides({}) == entry


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 50), batch=st.integers(1, 64))
def test_identity_depends_on_what_an_output_depends_on(steps: int, batch: int) -> None:
    entry = parse_entry(DRAWER, "x")
    changed = entry.with_overrides({"parameters": {"num_inference_steps": steps}, "batch": batch})
    assert (changed.identity == entry.identity) == (steps == 4 and batch == 4)
    assert changed.load_identity == entry.load_identity


def test_identity_ignores_name_and_notes() -> None:
    entry = parse_entry(DRAWER, "x")
    other = parse_entry({**DRAWER, "name": "Other", "notes": "z", "licence": "Apache-2.0"}, "x")
    assert other.identity == entry.identity
    assert entry.with_overrides({"dtype": "float16"}).load_identity != entry.load_identity


def test_memory_follows_the_dtype() -> None:
    entry = parse_entry({**DRAWER, "largest_gb": 2}, "x")
    assert entry.memory_in("bfloat16") == 3
    assert entry.memory_in("float32") == 6
    wide = entry.with_overrides({"dtype": "float32"})
    assert (wide.memory_gb, wide.largest_gb, wide.memory_in("float16")) == (6, 4, 3)
    assert entry.with_overrides({"dtype": "float32", "memory_gb": 5}).memory_gb == 5


def test_a_batch_may_be_left_to_be_found() -> None:
    left_open = parse_entry({key: value for key, value in DRAWER.items() if key != "batch"}, "x")
    assert left_open.batch is None
    assert left_open.identity != parse_entry(DRAWER, "x").identity


def test_what_is_known_of_a_model_is_not_part_of_it() -> None:
    timing = {"device": "GPU", "batch": 4, "seconds": 1.5, "source": "x"}
    entry = parse_entry({**DRAWER, "largest_gb": 2, "timings": [timing], "not_verified": "why"}, "x")
    assert entry.identity == parse_entry(DRAWER, "x").identity


def test_overridable_names_are_fields() -> None:
    assert set(OVERRIDABLE) <= set(ModelEntry.model_fields)
