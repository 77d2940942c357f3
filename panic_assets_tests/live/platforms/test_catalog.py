from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from panic_assets.live.catalog import CatalogError, load_catalog
from panic_assets.live.platforms import open_platforms
from panic_assets.live.platforms.settings import KEY_NAMES, SETTINGS
from panic_assets.models.registry import load_registry
from panic_assets_tests.live.platforms.conftest import NOWHERE
from panic_assets_tests.live.platforms.parts import run

HOSTED = {
    ("audio", "text"): "gemini-audio-description gemini-audio-description-pro whisper",
    ("text", "text"): "gpt-5-chat claude-4-sonnet meta-llama-3-8b-instruct meta-llama-3-8b-songifier",
    ("image", "text"): "bunny-phi-2-siglip florence-2-large uform-gen molmo-7b moondream2 blip-2 blip-3 llava-13b "
    "qwen2-vl-7b-instruct llama-4-scout-instruct claude-4-sonnet-caption image-reproducer-ii-flux",
    ("text", "image"): "stable-diffusion flux-schnell sdxl icons sticker-maker sdxl-lightning-4step kandinsky-2.2 "
    "proteus-v0.2 imagen-4-fast photon-flash seedream-3 flux-2-klein-4b seedream-4.5 z-image-turbo dreamina-3.1 "
    "ideogram-v3-turbo image-reproducer-i-flux",
    ("text", "audio"): "musicgen magnet flux-music riffusion lyria-2",
}
DEPRECATED_NAMES = (
    "bunny-phi-2-siglip florence-2-large uform-gen blip-2 blip-3 llava-13b flux-schnell sdxl icons sticker-maker "
    "sdxl-lightning-4step kandinsky-2.2 proteus-v0.2 seedream-3 meta-llama-3-8b-instruct meta-llama-3-8b-songifier "
    "musicgen riffusion image-reproducer-i-flux image-reproducer-ii-flux"
)


def test_the_hosted_models_are_those_that_are_known() -> None:
    catalog = load_catalog({})
    hosted = {model.id: model for model in catalog.values() if model.platform in KEY_NAMES}
    assert {name: (model.takes, model.gives) for name, model in hosted.items()} == {
        name: media for media, names in HOSTED.items() for name in names.split()
    }
    assert {name for name, model in catalog.items() if model.deprecated} == set(DEPRECATED_NAMES.split())
    assert all(key == model.id for key, model in catalog.items())


def test_every_budget_can_be_kept() -> None:
    """Each hosted model has something that its cost is reckoned by."""
    for model in load_catalog({}).values():
        prices = {"price_per_second", "price_in"} & set(model.settings)
        assert model.cost_per_call is not None or prices, model.id


def test_the_dummies_are_all_pairs() -> None:
    dummies = {(m.takes, m.gives): m.id for m in load_catalog({}).values() if m.platform == "dummy"}
    media = ("text", "image", "audio")
    assert dummies == {(takes, gives): f"dummy-{takes[0]}2{gives[0]}" for takes, gives in product(media, media)}


def test_generators_of_the_registry_are_local_models() -> None:
    registry = load_registry()
    local = {m.id: (m.takes, m.gives) for m in load_catalog(registry).values() if m.platform == "local"}
    assert local == {name: (e.input, e.output) for name, e in registry.items() if e.kind == "generator"}


def test_models_of_ones_own_are_added_and_replace(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "models:\n"
        "- {id: whisper, name: Cheaper, platform: replicate, path: a/b, takes: audio, gives: text, cost_per_call: 1}\n"
        "- {id: mine, name: Mine, platform: local, path: TinyScenes, takes: text, gives: image, settings: {seed: 3}}\n"
    )
    catalog = load_catalog(extra=file)
    assert catalog["whisper"].name == "Cheaper"
    assert catalog["mine"].settings == {"seed": 3}
    assert "gpt-5-chat" in catalog


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "models:\n"
        "- {id: a b, name: A, platform: dummy, path: x, takes: text, gives: text, timeout_seconds: 0}\n"
        "- {id: twice, name: A, platform: dummy, path: x, takes: text, gives: text}\n"
        "- {id: twice, name: A, platform: dummy, path: x, takes: text, gives: smell}\n"
        "- {id: far, name: A, platform: mars, path: x, takes: text, gives: text, cost_per_call: -1}\n"
        "- {id: odd, name: A, platform: openai, path: x, takes: text, gives: text, settings: {temperature: 9, x: 1}}\n"
        "- {id: typo, nam: A, platform: openai, path: x, takes: text, gives: text}\n"
        "- 3\n"
    )
    with pytest.raises(CatalogError) as caught:
        load_catalog({}, file)
    told = str(caught.value)
    for words in (
        "mine.yaml",
        "a b: id",
        "timeout_seconds: 0",
        "twice: gives",
        "twice: is there twice",
        "far: platform: there is no 'mars'",
        "far: cost_per_call",
        "odd: settings.temperature",
        "odd: settings.x",
        "typo: nam: is no field; did you mean name?",
        "typo: name: Field required",
        "models[6]: 3",
    ):
        assert words in told, told


@pytest.mark.parametrize("content", ["{", "models: 3", "- x", "other: []", b"\xff\xfe"])
def test_files_that_are_none(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CatalogError, match=r"mine\.yaml"):
        load_catalog({}, file)
    with pytest.raises(CatalogError, match="can't be read"):
        load_catalog({}, tmp_path / "absent.yaml")


def test_every_platform_can_be_opened_and_nowhere_is_gone_to() -> None:
    platforms = open_platforms({}, "cpu")
    assert set(platforms) == set(SETTINGS)
    assert {name: platform.name for name, platform in platforms.items()} == {name: name for name in SETTINGS}
    assert [platforms[name].url for name in KEY_NAMES] == [NOWHERE] * 3  # type: ignore[attr-defined]

    async def work() -> None:
        for platform in platforms.values():
            await platform.close()

    run(work())
