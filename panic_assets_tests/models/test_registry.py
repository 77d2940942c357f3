from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from panic_assets.models.adapters import ADAPTERS
from panic_assets.models.entry import ModelEntry
from panic_assets.models.errors import RegistryError, UnknownModel
from panic_assets.models.parameters import LOAD, PARAMETERS
from panic_assets.models.registry import SHIPPED, Registry, load_registry
from panic_assets_tests.models.test_entry import DRAWER, EMBEDDER

ROOMS = {"diffusers", "captioner", "chat", "sentence-transformers", "encoder", "open-clip"}
"""The adapters whose models are loaded without code from a repository; their tests run over all that are verified."""


def _write(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump({"models": list(entries)}))
    return path


def _made(entry: ModelEntry) -> str:
    return "embedder" if entry.kind == "embedder" else f"{entry.input} to {entry.output}"


def test_shipped_models(registry: Registry) -> None:
    raw = yaml.safe_load(SHIPPED.read_text())["models"]
    assert [entry["name"] for entry in raw] == list(registry)
    made = Counter(_made(entry) for entry in registry.values() if entry.source.kind == "hub")
    assert made["text to image"] >= 20
    assert made["image to text"] >= 20
    assert made["text to text"] >= 6
    assert made["embedder"] >= 20


def test_enough_classes_are_verified(registry: Registry) -> None:
    verified = {
        (_made(entry), entry.model_class)
        for entry in registry.values()
        if entry.source.kind == "hub" and entry.verified and entry.adapter in ROOMS
    }
    classes = Counter(made for made, _ in verified)
    assert classes["text to image"] >= 12
    assert classes["image to text"] >= 10
    assert classes["embedder"] >= 8
    assert classes["text to text"] >= 1


def test_the_models_of_panic_tda_are_here(registry: Registry) -> None:
    python_era = {"FluxDev", "FluxSchnell", "SDXLTurbo", "BLIP2", "STSBMpnet", "STSBRoberta", "STSBDistilRoberta"}
    drawers = {"SD35Medium", "ZImageTurbo", "Flux2Klein", "Flux2Dev", "HunyuanImage", "GLMImage", "QwenImage"}
    writers = {"Qwen25VL", "Gemma3n", "Pixtral", "LLaMA32Vision", "Florence2", "InstructBLIP"}
    assert python_era | drawers | writers | {"Qwen3Embed"} <= set(registry)


def test_no_two_names_stand_for_the_same_model(registry: Registry) -> None:
    identities = [entry.identity for entry in registry.values()]
    assert len(set(identities)) == len(identities)


def test_what_is_called_verified_is_what_the_tests_build(registry: Registry) -> None:
    from panic_assets_tests.models.tiny import builders, checkpoint_of

    made = builders()
    for entry in registry.values():
        if entry.source.kind == "builtin" or entry.adapter not in ROOMS:
            continue
        assert entry.model_class, entry.name
        if entry.verified:
            assert checkpoint_of(entry) in made, f"{entry.name} is called verified, but no tiny checkpoint is built"
        else:
            assert entry.model_class not in made, f"{entry.name}: its class is built; let the tests load it"


def test_what_is_called_verified_is_what_the_tests_call(registry: Registry) -> None:
    """Each room's tests run over these names; together they must be all that claim it."""
    from panic_assets_tests.models import test_captioners, test_chat, test_embedders, test_pipelines

    called = {*test_pipelines.DRAWN, *test_captioners.WRITERS, *test_chat.CHATS, *test_embedders.KINDS}
    claimed = {e.name for e in registry.values() if e.verified and e.source.kind == "hub" and e.adapter in ROOMS}
    assert claimed <= called


def test_a_shipped_model_is_verified_or_says_why_not(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(bool(entry.verified) != bool(entry.not_verified) for entry in registry.values())
    shipped = _write(tmp_path / "shipped.yaml", DRAWER)
    monkeypatch.setattr("panic_assets.models.registry.SHIPPED", shipped)
    with pytest.raises(RegistryError, match="Drawer: not_verified: is needed where verified is empty"):
        load_registry()


def test_models_that_need_a_batch_of_one_have_it(registry: Registry) -> None:
    assert {e.name for e in registry.values() if e.one_by_one} == {"CogView4", "GLMImage"}
    with pytest.raises(RegistryError, match="batch: 4 for a model whose outputs depend on companions"):
        registry["GLMImage"].with_overrides({"batch": 4})


def test_memory(registry: Registry) -> None:
    for entry in registry.values():
        if entry.adapter == "diffusers" and entry.load.get("offload") == "model":
            assert entry.largest_gb, f"{entry.name}: nobody can tell what its largest part needs"
        if entry.largest_gb is not None:
            assert 0 < entry.largest_gb <= entry.memory_gb
    # 12 billion parameters of two bytes.
    assert registry["FluxDev"].largest_gb == pytest.approx(12e9 * 2 / 2**30, abs=0.05)


def test_timings_name_what_they_were_measured_on(registry: Registry) -> None:
    timed = [timing for entry in registry.values() for timing in entry.timings]
    assert timed
    assert all(timing.device and timing.source for timing in timed)
    by_batch = {timing.batch: timing.seconds for timing in registry["Flux2Dev"].timings if timing.batch}
    assert by_batch == {1: 113, 2: 80, 4: 71}


def test_hub_models_say_what_was_not_checked(registry: Registry) -> None:
    for entry in registry.values():
        if entry.source.kind == "hub":
            assert entry.unverified, entry.name
            assert entry.revision == "main", f"{entry.name}: a commit must be one that was seen"


def test_every_adapter_has_its_parameters() -> None:
    assert set(ADAPTERS) == set(PARAMETERS) == set(LOAD)


def test_lookup(registry: Registry) -> None:
    assert registry["FluxDev"].name == "FluxDev"
    assert "FluxDev" in registry
    assert "FluxDave" not in registry
    with pytest.raises(UnknownModel, match="there is no model 'FluxDave'; did you mean FluxDev"):
        registry["FluxDave"]


def test_reading_the_registry_needs_no_heavy_library() -> None:
    import subprocess

    code = "import sys, panic_assets.models.pool as p; p.load_model; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_own_models_are_added(data: Path, tmp_path: Path) -> None:
    _write(data / "models.yaml", DRAWER)
    extra = _write(tmp_path / "more.yaml", EMBEDDER)
    found = load_registry(extra)
    assert {"Drawer", "Embedder", "TinyScenes"} <= set(found)
    assert "Embedder" not in load_registry()


def test_a_taken_name_needs_replaces(data: Path) -> None:
    taken = {**DRAWER, "name": "TinyScenes"}
    _write(data / "models.yaml", taken)
    with pytest.raises(RegistryError, match="TinyScenes: the name is taken"):
        load_registry()
    _write(data / "models.yaml", {**taken, "replaces": True})
    assert load_registry()["TinyScenes"].source.kind == "hub"
    _write(data / "models.yaml", {**DRAWER, "replaces": True})
    with pytest.raises(RegistryError, match="replaces nothing"):
        load_registry()


def test_relative_folders_start_at_the_file(data: Path) -> None:
    mine = {**DRAWER, "source": {"kind": "folder", "path": "weights/mine"}}
    del mine["revision"]
    _write(data / "models.yaml", mine)
    source = load_registry()["Drawer"].source
    assert source.kind == "folder"
    assert source.resolve() == data / "weights" / "mine"


def test_shipped_folders_lie_in_the_project(registry: Registry) -> None:
    source = registry["TinyScenes"].source
    assert source.kind == "folder"
    assert source.resolve().parts[-3:] == ("data", "models", "tiny-scenes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("models: [", "is not YAML"),
        ("- a", "must hold one field"),
        ("models: []\nmore: 1", "must hold one field"),
        ("models: [a]", "'a' is not a mapping"),
        ("models: [{name: A}]", "A: adapter: is missing"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(content)
    with pytest.raises(RegistryError) as error:
        load_registry(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_a_name_twice_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="Drawer: is there twice"):
        load_registry(_write(tmp_path / "models.yaml", DRAWER, DRAWER))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="can't be read"):
        load_registry(tmp_path / "none.yaml")


def test_overrides_of_an_experiment(registry: Registry) -> None:
    changed = registry.with_overrides({"FluxDev": {"batch": 1}})
    assert changed["FluxDev"].batch == 1
    assert registry["FluxDev"].batch == 4
    with pytest.raises(UnknownModel):
        registry.with_overrides({"FluxDave": {}})
