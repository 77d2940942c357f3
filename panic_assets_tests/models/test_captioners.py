from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel, without_thoughts
from panic_assets.models.adapters.writing import SeededSampling
from panic_assets.models.errors import ModelLoadError
from panic_assets.models.parameters import CaptionParameters
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models import files, tiny

WRITERS = [
    e.name for e in load_registry().values() if e.adapter == "captioner" and e.source.kind == "hub" and e.verified
]
SAMPLED = {"seed_behaviour": "seeded", "parameters": {"do_sample": True}}
STYLES = ["BLIPBase", "Florence2", "Qwen25VL"]


def captions(model: LoadedModel, pictures: list[np.ndarray], seeds: list[int]) -> list[str]:
    return [str(output.value) for output in model.invoke(pictures, seeds)]


@pytest.mark.parametrize("name", WRITERS)
def test_greedy_captions_depend_on_the_picture_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    model, pictures = loaded(name), tiny.pictures(4)
    before = [picture.copy() for picture in pictures]
    first = captions(model, pictures, [1, 2, 3, 4])
    assert all((a == b).all() for a, b in zip(before, pictures, strict=True))
    assert captions(model, pictures, [5, 6, 7, 8]) == first
    # Shapes differ, so that chats are padded; a reference alone in its batch is not.
    others = tiny.pictures(4, seed=1)
    moved = captions(model, [others[1], pictures[0], others[2], pictures[1]], [1, 2, 3, 4])
    assert [moved[1], moved[3]] == first[:2]
    assert captions(model, pictures[1:2], [1]) == first[1:2]
    assert not any(model.entry.parameters.get("instruction", "IMAGE") in text for text in first)


@pytest.mark.parametrize("name", WRITERS)
def test_sampled_captions_depend_on_picture_and_seed_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    # No least length: rows end at different steps, so that companions pad one another.
    own = {"do_sample": True, "max_new_tokens": 24, "min_new_tokens": 0}
    model = loaded(name).for_entry(loaded(name).entry.with_overrides({"seed_behaviour": "seeded", "parameters": own}))
    pictures, others = tiny.pictures(4), tiny.pictures(4, seed=1)
    first = captions(model, pictures, [1, 2, 3, 4])
    assert captions(model, pictures, [1, 2, 3, 4]) == first
    moved = captions(model, [others[1], pictures[3], pictures[0], pictures[1]], [9, 4, 1, 7])
    assert moved[1:3] == [first[3], first[0]]
    assert moved[3] != first[1]


def test_torch_random_state_is_left_alone(loaded: Callable[..., LoadedModel]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    captions(loaded("BLIPBase", **SAMPLED), tiny.pictures(2), [1, 2])
    assert (torch.rand(3) == expected).all()


def test_padding_is_no_part_of_a_task_caption(loaded: Callable[..., LoadedModel]) -> None:
    own = {"do_sample": True, "max_new_tokens": 60, "min_new_tokens": 0}
    model = loaded("Florence2", seed_behaviour="seeded", parameters=own)
    written = captions(model, tiny.pictures(4) * 4, list(range(16)))
    assert not any(special in text for text in written for special in ("<pad>", "<s>", "</s>"))
    lengths = {len(text) for text in written}
    assert len(lengths) > 3, "rows must end at different steps, or there is no padding to see"


def test_gumbel_noise_samples_the_distribution() -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    count = 4000
    noise = SeededSampling(range(count), CaptionParameters(style="bare", do_sample=True))
    scores = probabilities.log().repeat(count, 1)
    drawn = noise(torch.zeros(count, 1, dtype=torch.long), scores).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / count
    # Four standard deviations of a share of one half.
    assert (shares - probabilities).abs().max() < 4 * (0.25 / count) ** 0.5
    second = noise(torch.zeros(count, 1, dtype=torch.long), scores).argmax(1)
    assert 0.3 < (second == drawn).float().mean() < 0.43  # independent steps agree with the sum of squares, 0.365


def test_temperature_and_cuts_come_before_the_noise() -> None:
    scores, ids = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).repeat(500, 1), torch.zeros(500, 1, dtype=torch.long)

    def drawn(**parameters: Any) -> set[int]:
        own = CaptionParameters(style="bare", do_sample=True, **parameters)
        return set(SeededSampling(range(500), own)(ids, scores).argmax(1).tolist())

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_p=0.5) == {0}
    assert drawn(temperature=0.01) == {0}


def test_the_bundled_entries(loaded: Callable[..., LoadedModel], registry: Registry) -> None:
    model = loaded("TinyCaption", "BlipForConditionalGeneration-bundled")
    assert model._model.dtype == torch.float32  # the files hold float16
    sampled = registry["TinyCaptionSampled"]
    source = {"source": model.entry.source.model_dump(), "batch": 4}
    twin = model.for_entry(sampled.with_overrides(source))
    pictures = tiny.pictures(4)
    assert captions(twin, pictures, [1, 2, 3, 4]) != captions(twin, pictures, [5, 6, 7, 8])
    assert captions(model, pictures, [1, 2, 3, 4]) == captions(model, pictures, [5, 6, 7, 8])


def test_thoughts_are_left_out() -> None:
    assert without_thoughts("<think>a dog?</think>\nA cat. ") == "A cat."
    assert without_thoughts(" A cat.") == "A cat."
    assert without_thoughts("<think>a dog, or") == ""


@pytest.mark.parametrize("name", STYLES)
def test_odd_pictures(name: str, loaded: Callable[..., LoadedModel]) -> None:
    wide, flat = np.zeros((2, 300, 3), np.uint8), np.full((40, 40, 3), 255, np.uint8)
    if name == "Qwen25VL":  # its processor refuses an aspect ratio over 200
        wide = np.zeros((2, 100, 3), np.uint8)
    strided = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)[::2, ::-2]
    assert all(captions(loaded(name), [wide, flat, strided], [1, 2, 3]))


@pytest.mark.parametrize("name", STYLES)
def test_lost_weights_are_refused(
    name: str, checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint(str(registry[name].model_class)), folder)
    files.lose(folder)
    with pytest.raises(ModelLoadError, match="the files of the model lack"):
        load_model(tiny.entry(registry[name], folder), "cpu")


def test_pickles_are_refused(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("BlipForConditionalGeneration"), folder)
    files.pickle(folder, "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match="pickle only"):
        load_model(tiny.entry(registry["BLIPBase"], folder), "cpu")


def test_remote_code_is_not_run(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("BlipForConditionalGeneration"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForImageTextToText": "own.Model", "AutoConfig": "own.Config"}
    config["model_type"] = "own"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("import pathlib\npathlib.Path(__file__ + '.ran').touch()\nclass Config: pass\n")
    with pytest.raises(ModelLoadError):
        load_model(tiny.entry(registry["BLIPBase"], folder), "cpu")
    assert not (folder / "own.py.ran").exists()


@pytest.mark.parametrize(
    ("name", "style", "message"),
    [("BLIPBase", "chat", "have no chat template"), ("Qwen25VL", "task", "has no task tokens")],
)
def test_a_style_that_does_not_fit(name: str, style: str, message: str, loaded: Callable[..., LoadedModel]) -> None:
    with pytest.raises(ModelLoadError, match=message):
        loaded(name, parameters={"style": style})


def test_a_tokenizer_without_padding(checkpoint: Callable[[str], Path], registry: Registry) -> None:
    assert registry["Pixtral"].load == {"pad_with_eos": True}
    model = load_model(tiny.entry(registry["Pixtral"], checkpoint("LlavaForConditionalGeneration-pixtral")), "cpu")
    tokenizer = model._processor.tokenizer
    assert tokenizer.pad_token == tokenizer.eos_token
