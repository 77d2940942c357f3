from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.errors import ModelLoadError
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models import files, tiny

DRAWN = [e.name for e in load_registry().values() if e.adapter == "diffusers" and e.source.kind == "hub" and e.verified]
PROMPTS = ["a red cat", "two dogs " * 4, "x", "the longest of them all"]
OTHERS = ["zz", "q", "a red cat", "uu uuu"]


def pictures(model: LoadedModel, prompts: list[str], seeds: list[int]) -> list[np.ndarray]:
    size = model.entry.batch or 1
    cuts = [slice(start, start + size) for start in range(0, len(prompts), size)]
    return [np.asarray(output.value) for cut in cuts for output in model.invoke(prompts[cut], seeds[cut])]


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_depends_on_prompt_and_seed_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    model = loaded(name)
    prompts = list(PROMPTS)
    first = pictures(model, prompts, [1, 2, 3, 4])
    assert prompts == PROMPTS  # Z-Image writes its templates into the list it is given
    assert all(p.shape == (32, 32, 3) and p.dtype == np.uint8 and p.flags.c_contiguous for p in first)
    assert min(p.std() for p in first) > 1
    again = pictures(model, prompts, [1, 2, 3, 4])
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    moved = pictures(model, OTHERS, [9, 8, 1, 7])
    assert (moved[2] == first[0]).all()
    reseeded = pictures(model, OTHERS, [9, 8, 2, 7])
    assert (reseeded[2] != first[0]).any()
    assert (reseeded[0] == moved[0]).all()


@pytest.mark.parametrize("name", ["CogView4", "GLMImage"])
def test_models_whose_pictures_depend_on_companions_are_called_one_by_one(
    name: str, loaded: Callable[..., LoadedModel], registry: Registry
) -> None:
    assert registry[name].one_by_one
    model = loaded(name)
    alone = pictures(model, ["a red cat"], [2])[0]
    together = model.invoke(["the longest of them all", "a red cat"], [1, 2])
    assert (np.asarray(together[1].value) != alone).any()


def test_random_numbers_of_others_are_left_alone(loaded: Callable[..., LoadedModel]) -> None:
    import torch

    model = loaded("GLMImage")  # seeds torch's own random state
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    pictures(model, ["a red cat"], [1])
    assert (torch.rand(3) == expected).all()


@pytest.mark.parametrize("name", ["ERNIEImage", "LongCatImage"])
def test_prompts_are_not_rewritten(name: str, loaded: Callable[..., LoadedModel], registry: Registry) -> None:
    [switch] = {"use_pe", "enable_prompt_rewrite"} & set(registry[name].parameters)
    assert registry[name].parameters[switch] is False
    drawn = pictures(loaded(name), PROMPTS, [1, 2, 3, 4])
    assert all((a == b).all() for a, b in zip(drawn, pictures(loaded(name), PROMPTS, [1, 2, 3, 4]), strict=True))


def test_the_bundled_entries(loaded: Callable[..., LoadedModel], registry: Registry) -> None:
    import torch

    own = {"height": 64, "width": 64, "num_inference_steps": 12}
    model = loaded("TinyScenes", "StableDiffusionPipeline-bundled", parameters=own)
    parts = model._pipeline.components.values()
    kinds = {p.dtype for part in parts if isinstance(part, torch.nn.Module) for p in part.parameters()}
    assert kinds == {torch.float32}  # the files hold float16
    fast = model.for_entry(model.entry.with_overrides({"parameters": registry["TinyScenesFast"].parameters}))
    slow = pictures(model, PROMPTS, [1, 2, 3, 4])
    quick = pictures(fast, PROMPTS, [1, 2, 3, 4])
    assert slow[0].shape == (64, 64, 3)
    assert (slow[0] != quick[0]).any()
    # The two share a scheduler, which has state: a call of one must leave nothing behind for the other.
    assert all((a == b).all() for a, b in zip(slow, pictures(model, PROMPTS, [1, 2, 3, 4]), strict=True))


def test_batch_size_changes_at_most_the_last_bit(loaded: Callable[..., LoadedModel]) -> None:
    model = loaded("SD15")
    four = pictures(model, PROMPTS, [1, 2, 3, 4])
    for number, prompt in enumerate(PROMPTS):
        alone = pictures(model, [prompt], [number + 1])[0]
        assert np.abs(alone.astype(int) - four[number]).max() <= 1


@pytest.mark.parametrize(
    ("name", "words", "cut"),
    [("SD15", 74, False), ("SD15", 76, True), ("SDXL", 76, True), ("SD35Medium", 76, True), ("FluxSchnell", 76, False)],
)
def test_cut_prompts_are_flagged(name: str, words: int, cut: bool, loaded: Callable[..., LoadedModel]) -> None:
    outputs = loaded(name).invoke(["b" * words, "b"], [1, 2])
    assert ["truncated_input" in output.flags for output in outputs] == [cut, False]


def test_the_limit_of_the_call_counts(loaded: Callable[..., LoadedModel]) -> None:
    model = loaded("FluxSchnell")
    shorter = model.for_entry(model.entry.with_overrides({"parameters": {"max_sequence_length": 16}}))
    assert "truncated_input" in shorter.invoke(["b" * 20], [1])[0].flags


def test_safety_checker(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("StableDiffusionPipeline-safety"), folder)
    with_checker = {"load": {"without": []}}
    entry = tiny.entry(registry["SD15"], folder, **with_checker)
    passed = load_model(entry, "cpu").invoke(PROMPTS, [1, 2, 3, 4])
    # The tiny checker's thresholds are ones, which no cosine passes; at -1 everything does.
    files.change(
        folder / "safety_checker", lambda name, tensor: -tensor if name == "concept_embeds_weights" else tensor
    )
    flagged = load_model(entry, "cpu").invoke(PROMPTS, [1, 2, 3, 4])
    left_out = load_model(tiny.entry(registry["SD15"], folder), "cpu").invoke(PROMPTS, [1, 2, 3, 4])
    assert not any(output.flags for output in [*passed, *left_out])
    assert all("flagged_by_safety_checker" in output.flags for output in flagged)
    assert not any(np.asarray(output.value).any() for output in flagged)
    assert all(np.asarray(output.value).any() for output in left_out)


def test_numbers_that_are_none_are_flagged(
    checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("StableDiffusionPipeline"), folder)
    files.change(folder / "vae", lambda name, t: t * float("nan") if name == "decoder.conv_out.bias" else t)
    for output in load_model(tiny.entry(registry["SD15"], folder, load={"without": ["safety_checker"]}), "cpu").invoke(
        ["a", "b"], [1, 2]
    ):
        assert output.flags == {"non_finite"}
        assert not np.asarray(output.value).any()


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_lost_weights_are_refused(
    part: str, checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("StableDiffusionPipeline"), folder)
    lost = files.lose(folder / part)
    with pytest.raises(ModelLoadError, match=f"the files of {part} lack 1 parameters") as error:
        load_model(tiny.entry(registry["SD15"], folder), "cpu")
    assert lost.split(".")[-2] in str(error.value)
    assert "SD15" in str(error.value)


def test_pickles_are_refused(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("StableDiffusionPipeline"), folder)
    files.pickle(folder / "unet", "diffusion_pytorch_model.bin")
    with pytest.raises(ModelLoadError, match=r"pickle only \(diffusion_pytorch_model.bin\)"):
        load_model(tiny.entry(registry["SD15"], folder), "cpu")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"parameters": {"guidence_scale": 3}}, "did you mean guidance_scale"),
        ({"parameters": {"true_cfg_scale": 3}}, "StableDiffusionPipeline takes no parameter true_cfg_scale"),
        ({"load": {"without": ["text_encoder_3"]}}, "load.without names text_encoder_3"),
    ],
)
def test_wrong_options_are_refused(
    overrides: dict[str, Any], message: str, checkpoint: Callable[[str], Path], registry: Registry
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        load_model(tiny.entry(registry["SD15"], checkpoint("StableDiffusionPipeline"), **overrides), "cpu")


def test_a_folder_of_another_kind(checkpoint: Callable[[str], Path], registry: Registry) -> None:
    with pytest.raises(ModelLoadError, match=r"it has no model_index.json"):
        load_model(tiny.entry(registry["SD15"], checkpoint("StableDiffusionPipeline") / "unet"), "cpu")


def test_bfloat16_on_request(checkpoint: Callable[[str], Path], registry: Registry) -> None:
    entry = tiny.entry(registry["Sana"], checkpoint("SanaPipeline"), dtype="bfloat16")
    model = load_model(entry, "cpu")
    first, again = pictures(model, PROMPTS[:2], [1, 2]), pictures(model, PROMPTS[:2], [1, 2])
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
