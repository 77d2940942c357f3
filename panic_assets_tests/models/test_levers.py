from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from panic_assets.models.adapters import load_model, speed
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.errors import ModelLoadError, RegistryError
from panic_assets.models.levers import EFFECTS, LEVERS, as_table, levers_of
from panic_assets.models.parameters import PipelineLoad, Quantisation, WritingLoad
from panic_assets.models.registry import Registry
from panic_assets.paths import project_dir
from panic_assets_tests.models import tiny

PROMPTS = ["a red cat", "two dogs", "x", "the longest of them all"]
OTHERS = ["zz", "q", "a red cat", "uu uuu"]
RATIOS = [1.0] * 12

Load = Callable[..., LoadedModel]


@pytest.fixture
def load(registry: Registry, checkpoint: Callable[[str], Path]) -> Load:
    """Loads a pipeline or writer of the registry, as a tiny checkpoint, with load options."""

    def get(
        name: str = "FluxSchnell", steps: int = 2, seed_behaviour: str | None = None, **options: Any
    ) -> LoadedModel:
        model = registry[name]
        more: dict[str, Any] = {} if seed_behaviour is None else {"seed_behaviour": seed_behaviour}
        if model.adapter == "diffusers":
            more["parameters"] = {"num_inference_steps": steps}
        folder = checkpoint(str(model.model_class))
        return load_model(tiny.entry(model, folder, load={**model.load, **options}, **more), "cpu")

    return get


def pictures(model: LoadedModel, prompts: list[str] = PROMPTS, seeds: tuple[int, ...] = (1, 2, 3, 4)) -> np.ndarray:
    return np.stack([np.asarray(output.value) for output in model.invoke(prompts, seeds)]).astype(int)


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first - second).max())


class Counting:
    """Counts the calls of a layer in a block of what denoises."""

    def __init__(self, model: LoadedModel, blocks: str = "transformer_blocks") -> None:
        layer = getattr(model._pipeline.transformer, blocks)[0].attn.to_q  # type: ignore[attr-defined]
        self.calls = 0
        layer.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.calls += 1


# Compilation


@pytest.mark.parametrize(("name", "how"), [("FluxSchnell", "regional"), ("FluxSchnell", "whole"), ("SD15", "whole")])
def test_compiled(name: str, how: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same graphs as with the compiler that generates C++, which takes half a minute for these.
    monkeypatch.setattr(speed, "COMPILER", "aot_eager")
    torch._dynamo.utils.counters.clear()
    compiled = load(name, compile=how)
    drawn = pictures(compiled)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert distance(drawn, pictures(load(name))) <= 1
    assert distance(drawn, pictures(compiled)) == 0


def test_regions_are_refused_where_there_are_none(load: Load) -> None:
    with pytest.raises(ModelLoadError, match=r"SD3Transformer2DModel names no repeated blocks.*whole"):
        load("SD35Medium", compile="regional")


# Attention


def test_the_attention_of_one_model_is_not_that_of_the_next(load: Load) -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Backends

    before, _ = Backends.get_active_backend()
    plain, chosen = load(), load(attention="_native_math")
    assert Backends.get_active_backend()[0] == before
    backends = {
        m.processor._attention_backend for m in chosen._pipeline.transformer.modules() if hasattr(m, "processor")
    }  # type: ignore[attr-defined]
    assert {str(getattr(b, "value", b)) for b in backends} == {"_native_math"}
    assert distance(pictures(plain), pictures(chosen)) <= 1


def test_attention_that_cannot_be_chosen(load: Load) -> None:
    with pytest.raises(ModelLoadError, match="attention of UNet2DConditionModel can't be chosen"):
        load("SD15", attention="_native_math")
    with pytest.raises(ModelLoadError, match="must be one of the following"):
        load(attention="nativ")


@pytest.mark.parametrize("name", ["flash_hub", "_flash_3_hub", "sage_hub", "kernels-community/flash-attn"])
def test_kernels_from_the_hub_are_refused(name: str, load: Load) -> None:
    with pytest.raises(RegistryError, match="downloads compiled code from the hub"):
        load(attention=name)


@pytest.mark.parametrize("name", ["Qwen3VL", "Qwen3"])
def test_attention_of_writers(name: str, load: Load) -> None:
    inputs: list[Any] = tiny.pictures(4) if name == "Qwen3VL" else PROMPTS
    written = [load(name, attention=way).invoke(inputs, [0] * 4) for way in ("sdpa", "eager")]
    assert written[0] == written[1]


def test_flash_attention_is_not_downloaded(load: Load) -> None:
    with pytest.raises(ModelLoadError, match="flash-attn is not installed"):
        load("Qwen3", attention="flash_attention_2")
    with pytest.raises(RegistryError, match=r"load.attention"):
        load("Qwen3", attention="kernels-community/flash-attn")


# Quantisation


@pytest.mark.parametrize("kind", ["torchao_int8", "torchao_fp8"])
def test_quantised_pipeline(kind: str, load: Load) -> None:
    pytest.importorskip("torchao")
    model = load(quantisation={"kind": kind, "components": ["transformer", "text_encoder_2"]})
    parts = model._pipeline.components  # type: ignore[attr-defined]
    kinds = {
        name: {type(p.data).__name__ for p in part.parameters() if p.ndim == 2}
        for name, part in parts.items()
        if isinstance(part, torch.nn.Module)
    }
    form = "Int8Tensor" if kind == "torchao_int8" else "Float8Tensor"
    assert form in kinds["transformer"]
    assert form in kinds["text_encoder_2"]
    assert form not in kinds["text_encoder"] | kinds["vae"]
    drawn = pictures(model)
    assert 0 < distance(drawn, pictures(load())) <= 16
    assert distance(drawn, pictures(model)) == 0


def test_what_denoises_is_quantised_unless_told(load: Load) -> None:
    pytest.importorskip("torchao")
    parts = load(quantisation={"kind": "torchao_int8"})._pipeline.components  # type: ignore[attr-defined]
    quantised = [
        name
        for name, part in parts.items()
        if isinstance(part, torch.nn.Module) and any(type(p.data).__name__ == "Int8Tensor" for p in part.parameters())
    ]
    assert quantised == ["transformer"]


@pytest.mark.parametrize("kind", ["torchao_int8", "bitsandbytes_int8"])
@pytest.mark.parametrize("name", ["BLIPBase", "Qwen3"])
def test_quantised_writers(kind: str, name: str, load: Load) -> None:
    pytest.importorskip(kind.split("_")[0])
    model = load(name, quantisation={"kind": kind})
    weights = {str(p.dtype) if p.dtype == torch.int8 else type(p.data).__name__ for p in model._model.parameters()}  # type: ignore[attr-defined]
    assert weights & {"Int8Tensor", "torch.int8"}
    inputs: list[Any] = tiny.pictures(4) if name == "BLIPBase" else PROMPTS
    assert model.invoke(inputs, [0] * 4) == model.invoke(inputs, [0] * 4)


def test_wrong_quantisation(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelLoadError, match=r"components names unet.*text_encoder, text_encoder_2, transformer, vae"):
        load(quantisation={"kind": "torchao_int8", "components": ["unet"]})
    with pytest.raises(RegistryError, match="quantised as a whole"):
        load("Qwen3", quantisation={"kind": "torchao_int8", "components": ["model"]})
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelLoadError, match="pip install bitsandbytes"):
        load(quantisation={"kind": "bitsandbytes_nf4"})


# Step caches


@pytest.mark.parametrize(
    ("cache", "most"),
    [
        # 12 steps: 0, 1 and 2 are computed, then 4, 8
        ({"kind": "taylorseer", "cache_interval": 4, "disable_cache_before_step": 3}, 5),
        ({"kind": "pyramid_attention", "block_skip_range": 3, "timestep_range": [0, 1000]}, 6),
        ({"kind": "magcache", "mag_ratios": RATIOS, "num_inference_steps": 12, "max_skip_steps": 2}, 8),
    ],
)
def test_step_caches_skip_and_keep_a_picture_its_own(cache: dict[str, Any], most: int, load: Load) -> None:
    model, plain = load(steps=12, step_cache=cache), load(steps=12)
    cached, computed = Counting(model), Counting(plain)
    drawn, reference = pictures(model), pictures(plain)
    assert computed.calls == 12
    assert cached.calls <= most
    assert distance(drawn, reference) > 0
    assert distance(drawn, pictures(model)) == 0
    moved = pictures(model, OTHERS, (9, 8, 1, 7))
    assert distance(moved[2], drawn[0]) == 0


def test_a_call_that_failed_leaves_no_steps_behind(load: Load) -> None:
    model = load(steps=12, step_cache={"kind": "taylorseer"})
    reference = pictures(model)
    norm = model._pipeline.transformer.norm_out  # type: ignore[attr-defined]
    calls = iter(range(99))

    def fail(*_: Any) -> None:
        if next(calls) == 5:
            raise RuntimeError("lost")

    handle = norm.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="lost"):
        pictures(model)
    handle.remove()
    assert distance(pictures(model), reference) == 0


def test_a_cache_and_a_compiler(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "COMPILER", "eager")
    cache = {"kind": "taylorseer", "cache_interval": 3}
    both = load(steps=6, step_cache=cache, compile="regional")
    assert distance(pictures(both), pictures(load(steps=6, step_cache=cache))) <= 1


def test_caches_that_look_at_the_batch_want_it_said(load: Load) -> None:
    cache = {"kind": "first_block", "threshold": 9.0}
    with pytest.raises(RegistryError, match=r"depends on its companions; say seed_behaviour: none"):
        load(steps=12, step_cache=cache)
    model = load(steps=12, step_cache=cache, seed_behaviour="none")
    first, rest = Counting(model), Counting(model, "single_transformer_blocks")
    pictures(model)
    assert first.calls == 12
    assert rest.calls < 12


@pytest.mark.parametrize("name", ["SD15", "ZImageTurbo"])
def test_pipelines_without_step_caches(name: str, load: Load) -> None:
    with pytest.raises(ModelLoadError, match="has no step caches"):
        load(name, step_cache={"kind": "taylorseer"})


def test_the_table_of_magcache_is_of_a_number_of_steps(load: Load) -> None:
    with pytest.raises(RegistryError, match="must be that of parameters, 6"):
        load(steps=6, step_cache={"kind": "magcache", "mag_ratios": RATIOS, "num_inference_steps": 12})


# Layout and offloading


def test_channels_last(load: Load) -> None:
    model = load("SD15", channels_last=True)
    kernel = model._pipeline.unet.conv_in.weight  # type: ignore[attr-defined]
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert distance(pictures(model), pictures(load("SD15"))) <= 1


def test_group_offload(load: Load) -> None:
    model = load()
    reference = pictures(model)
    moved = load()
    speed.place(moved._pipeline, "group", torch.device("cpu"))  # type: ignore[attr-defined]
    assert distance(pictures(moved), reference) == 0


# The table


def test_every_value_has_a_label() -> None:
    for lever in LEVERS:
        assert lever.effect in EFFECTS
    labelled = {(lever.option, lever.value) for lever in LEVERS}
    for shape, field in ((PipelineLoad, "compile"), (PipelineLoad, "offload")):
        values = set(shape.model_fields[field].annotation.__args__) - {"none"}  # type: ignore[union-attr]
        assert values == {value for option, value in labelled if option == field}
    kinds = set(Quantisation.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]
    assert kinds == {value for option, value in labelled if option == "quantisation.kind"}
    caches = PipelineLoad.model_json_schema()["properties"]["step_cache"]["anyOf"][0]["discriminator"]["mapping"]
    assert set(caches) == {value for option, value in labelled if option == "step_cache.kind"}
    ways = WritingLoad.model_json_schema()["properties"]["attention"]["anyOf"][0]["enum"]
    assert all(levers_of({"attention": way}) for way in ways)


def test_every_backend_of_diffusers_has_a_label() -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName

    foreign = {"_native_npu", "_native_xla"}
    for name in {backend.value for backend in AttentionBackendName} - foreign:
        if not name.endswith("_hub"):
            assert len(levers_of({"attention": name})) == 1, name


def test_what_is_pulled() -> None:
    load = {"compile": "regional", "offload": "none", "attention": "sage_varlen", "channels_last": True}
    load["step_cache"] = {"kind": "taylorseer"}
    pulled = [(lever.option, lever.effect) for lever in levers_of(load)]
    assert sorted(pulled) == [
        ("attention", "lossy"),
        ("channels_last", "last bits"),
        ("compile", "last bits"),
        ("step_cache.kind", "lossy"),
    ]
    assert levers_of({}) == levers_of({"compile": "none", "channels_last": False, "step_cache": None}) == []


def test_no_shipped_entry_pulls_a_lever_that_changes_outputs(registry: Registry) -> None:
    for entry in registry.values():
        assert all(lever.effect == "exact" for lever in levers_of(entry.load)), entry.name


def test_the_documentation_shows_the_table() -> None:
    assert as_table() in (project_dir() / "docs" / "models.md").read_text(encoding="utf-8")
