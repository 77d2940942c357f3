from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from panic_assets.models.adapters import ADAPTERS
from panic_assets.models.errors import RegistryError, UnknownModel
from panic_assets.models.parameters import LOAD, PARAMETERS
from panic_assets.models.registry import SHIPPED, Registry, load_registry
from panic_assets_tests.models.test_entry import DRAWER, EMBEDDER


def _write(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text(yaml.safe_dump({"models": list(entries)}))
    return path


def test_shipped_models(registry: Registry) -> None:
    raw = yaml.safe_load(SHIPPED.read_text())["models"]
    assert [entry["name"] for entry in raw] == list(registry)
    made = {"text to image": 0, "image to text": 0, "text to text": 0, "embedder": 0}
    for entry in registry.values():
        if entry.source.kind == "hub":
            made["embedder" if entry.kind == "embedder" else f"{entry.input} to {entry.output}"] += 1
    assert made["text to image"] >= 12
    assert made["image to text"] >= 10
    assert made["text to text"] >= 6
    assert made["embedder"] >= 12


def test_no_two_names_stand_for_the_same_model(registry: Registry) -> None:
    identities = [entry.identity for entry in registry.values()]
    assert len(set(identities)) == len(identities)


def test_what_is_called_verified_is_what_the_tests_build(registry: Registry) -> None:
    from panic_assets_tests.models.tiny import builders

    classes = {name.split("-")[0] for name in builders()}
    for entry in registry.values():
        if entry.source.kind != "builtin":
            assert entry.model_class, entry.name
            assert bool(entry.verified) == (entry.model_class in classes), entry.name


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
