from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from panic_assets.devices.local import LocalDevice
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.engine import run_experiment
from panic_assets.loop.planning import register, resolve_models
from panic_assets.models.adapters import load_model
from panic_assets.models.adapters.common import LoadedModel
from panic_assets.models.errors import ModelLoadError
from panic_assets.models.pool import ModelPool
from panic_assets.models.registry import Registry, load_registry
from panic_assets_tests.models import files, tiny

CHATS = [e.name for e in load_registry().values() if e.adapter == "chat" and e.verified]
TEXTS = ["a cat", "two red circles over a long blue line", "", "\N{SNOWMAN} caf\N{LATIN SMALL LETTER E WITH ACUTE}"]
OTHERS = ["x", "something else altogether", "another one", "no"]
SAMPLED = {"do_sample": True, "max_new_tokens": 24, "min_new_tokens": 0}


def answers(model: LoadedModel, texts: list[str], seeds: list[int]) -> list[str]:
    return [str(output.value) for output in model.invoke(texts, seeds)]


@pytest.fixture(scope="module")
def loaded(registry: Registry, checkpoint: Callable[[str], Path]) -> Callable[..., LoadedModel]:
    """Registry entries on tiny checkpoints, loaded once in this module."""
    models: dict[str, LoadedModel] = {}

    def get(name: str = "Qwen3", **overrides: Any) -> LoadedModel:
        key = json.dumps([name, overrides], sort_keys=True)
        if key not in models:
            entry = registry[name]
            models[key] = load_model(tiny.entry(entry, checkpoint(str(entry.model_class)), **overrides), "cpu")
        return models[key]

    return get


def sampled(model: LoadedModel) -> LoadedModel:
    return model.for_entry(model.entry.with_overrides({"seed_behaviour": "seeded", "parameters": SAMPLED}))


@pytest.mark.parametrize("name", [name for name in CHATS if name != "Qwen3Sampled"])
def test_greedy_answers_depend_on_the_text_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    model = loaded(name)
    first = answers(model, TEXTS, [1, 2, 3, 4])
    assert len(set(first)) > 1
    assert answers(model, TEXTS, [5, 6, 7, 8]) == first
    moved = answers(model, [OTHERS[0], TEXTS[0], "word " * 100, TEXTS[1]], [1, 2, 3, 4])
    assert [moved[1], moved[3]] == first[:2]
    assert not any("Say the following" in text for text in first)


@pytest.mark.parametrize("name", ["Qwen3", "Llama32"])
def test_sampled_answers_depend_on_text_and_seed_alone(name: str, loaded: Callable[..., LoadedModel]) -> None:
    model = sampled(loaded(name))
    first = answers(model, TEXTS, [1, 2, 3, 4])
    assert answers(model, TEXTS, [1, 2, 3, 4]) == first
    moved = answers(model, [OTHERS[1], TEXTS[3], TEXTS[0], TEXTS[1]], [9, 4, 1, 7])
    assert moved[1:3] == [first[3], first[0]]
    assert moved[3] != first[1]


def test_the_sampled_entry_shares_weights_with_the_greedy_one(loaded: Callable[..., LoadedModel]) -> None:
    registry = load_registry()
    assert registry["Qwen3Sampled"].load_identity == registry["Qwen3"].load_identity
    model = loaded("Qwen3Sampled")
    assert answers(model, TEXTS, [1, 2, 3, 4]) != answers(model, TEXTS, [5, 6, 7, 8])


def test_scores_are_the_same_to_the_bit_whatever_the_companions(loaded: Callable[..., LoadedModel]) -> None:
    """Texts alone would hide a difference in the last bit, which a model of bfloat16 weights would not."""
    model: Any = loaded()
    seen: list[torch.Tensor] = []
    handle = model._model.register_forward_hook(lambda module, inputs, output: seen.append(output.logits[:, -1]))
    answers(model, [TEXTS[0], TEXTS[1], "a", "b"], [0] * 4)
    alone, seen[:] = torch.stack(seen), []
    answers(model, [TEXTS[0], TEXTS[1], "word " * 12, "b c d"], [0] * 4)
    handle.remove()
    assert torch.equal(torch.stack(seen)[:, :2], alone[:, :2])


def test_padding_is_not_read(loaded: Callable[..., LoadedModel]) -> None:
    model: Any = loaded()
    seen: list[torch.Tensor] = []
    handle = model._model.register_forward_hook(lambda module, inputs, output: seen.append(output.logits[:, -1]))
    model.invoke(TEXTS, [0] * 4)
    handle.remove()
    for row, text in enumerate(TEXTS):
        bare = model._tokenizer(model._conversation(text), return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            alone = model._model(input_ids=bare).logits[0, -1]
        assert torch.allclose(seen[0][row], alone, atol=1e-6)


def test_long_texts_are_cut_and_flagged(loaded: Callable[..., LoadedModel]) -> None:
    model = loaded(max_text_tokens=16)
    long, same_beginning, exact = "abcdefghijklmnop and more", "abcdefghijklmnop, or not", "abcdefghijklmnop"
    outputs = model.invoke([long, same_beginning, exact, "short"], [0] * 4)
    assert [bool(output.flags) for output in outputs] == [True, True, False, False]
    assert outputs[0].flags == {"truncated_input"}
    assert outputs[0].value == outputs[1].value == outputs[2].value
    # A letter of three bytes, of which two would still fit, is left out whole.
    cut = model.invoke(["abcdefghijklmn\N{SNOWMAN}", "abcdefghijklmn", "", ""], [0] * 4)
    assert cut[0].flags == {"truncated_input"}
    assert cut[0].value == cut[1].value


def test_instruction_and_system_change_the_answer(loaded: Callable[..., LoadedModel]) -> None:
    model = loaded()
    first = answers(model, TEXTS[:2], [0, 0])
    for changed in ({"instruction": "{text}? Why {text}?"}, {"system": "You are a poet."}):
        twin: Any = model.for_entry(model.entry.with_overrides({"parameters": changed}))
        assert answers(twin, TEXTS[:2], [0, 0]) != first
    asked = {"instruction": "{text}? Why {text}?", "system": "S.", "thinking": True}
    twin = model.for_entry(model.entry.with_overrides({"parameters": asked}))
    assert twin._conversation("{x}") == "S.{x}? Why {x}? :"


def _saying(folder: Path, target: Path, entry: Any, spoken: str, template_end: str = "") -> LoadedModel:
    """A model made to say one thing, whatever it is asked: its tokens are forced one after the other."""
    shutil.copytree(folder, target)
    if template_end:
        template = target / "chat_template.jinja"
        template.write_text(template.read_text() + template_end)
    model: Any = load_model(tiny.entry(entry, target, parameters={"max_new_tokens": 40, "min_new_tokens": 0}), "cpu")
    script = [*model._tokenizer(spoken)["input_ids"], model._tokenizer.eos_token_id]
    step = iter(script)

    def speak(module: Any, inputs: Any, output: Any) -> Any:
        output.logits[:, -1] = 0
        output.logits[:, -1, next(step)] = 1
        return output

    model._model.register_forward_hook(speak)
    return model


@pytest.mark.parametrize(
    ("spoken", "template_end", "heard"),
    [
        ("<think>a dog?</think> A cat. ", "", "A cat."),
        ("a dog?</think> A cat.", "<think>", "A cat."),
        ("a dog? or", "<think>\n", ""),
        ("<think>a dog? or", "", ""),
        ("A cat.", "", "A cat."),
    ],
)
def test_thoughts_are_no_part_of_the_answer(
    spoken: str,
    template_end: str,
    heard: str,
    checkpoint: Callable[[str], Path],
    registry: Registry,
    tmp_path: Path,
) -> None:
    folder = checkpoint("Qwen3ForCausalLM")
    model = _saying(folder, tmp_path / "model", registry["Qwen3"], spoken, template_end)
    assert answers(model, ["x", "a longer one"], [0, 0]) == [heard, heard]


def test_torch_random_state_is_left_alone(loaded: Callable[..., LoadedModel]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    answers(sampled(loaded()), TEXTS[:2], [1, 2])
    assert (torch.rand(3) == expected).all()


def test_what_cannot_be_a_chat_model(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    unpadded = checkpoint("LlamaForCausalLM-unpadded")
    with pytest.raises(ModelLoadError, match=r"no padding token\. Set load: \{pad_with_eos: true\}"):
        load_model(tiny.entry(registry["SmolLM2"], unpadded), "cpu")
    model: Any = load_model(tiny.entry(registry["Llama32"], unpadded), "cpu")
    assert len(set(answers(model, TEXTS, [0] * 4))) > 1
    with pytest.raises(ModelLoadError, match=r"make \d+; it reads 512\. Lower max_text_tokens by \d+"):
        load_model(tiny.entry(registry["Qwen3"], checkpoint("Qwen3ForCausalLM"), max_text_tokens=480), "cpu")
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("Qwen3ForCausalLM"), folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelLoadError, match="no chat template"):
        load_model(tiny.entry(registry["Qwen3"], folder), "cpu")


def test_lost_weights_are_refused(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint("Qwen3ForCausalLM"), folder)
    files.lose(folder)
    with pytest.raises(ModelLoadError, match="the files of the model lack"):
        load_model(tiny.entry(registry["Qwen3"], folder), "cpu")


def test_a_ring_of_text_text_picture(checkpoint: Callable[[str], Path], registry: Registry, tmp_path: Path) -> None:
    """Chat model, painter and captioner in a ring, through the engine; each writes what its medium says."""
    ring = ["Qwen3Sampled", "SD15", "BLIPBase"]
    own = {name: tiny.entry(registry[name], checkpoint(str(registry[name].model_class))) for name in ring}
    models = Registry({**registry, **own}.values())
    values = {
        "name": "ring",
        "networks": [ring],
        "prompts": ["a boat", "a hill in the rain"],
        "seeds": [7],
        "max_length": 7,
        "cycle": "continue",
        "embedding_models": ["DummyText"],
    }
    asked = Experiment.parse(values)
    asked.check(models)
    made = []
    with ModelPool("cpu") as pool:
        for place in ("first", "second"):
            lake = Lake(tmp_path / place)
            entries = resolve_models(asked, models)
            run_experiment(lake, asked, register(lake, asked, entries), entries, [LocalDevice(pool)])
            rows = lake.read("invocations", "ring").to_pylist()
            made.append([(r["run_number"], r["sequence_number"], r["model"], r["text"], r["image_hash"]) for r in rows])
    assert made[0] == made[1]
    assert [model for _, _, model, _, _ in made[0][:7]] == [*ring, *ring, ring[0]]
    for _, number, _, text, picture in made[0]:
        assert (text is None, picture is None) == ((True, False) if number % 3 == 1 else (False, True))
