"""Checkpoints: what comes back is what was saved, and what is damaged is said to be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from panic_assets.studies.records import Kind
from panic_assets.studies.training.checkpoint import CheckpointError, checksum, load, save
from panic_assets.studies.training.loop import Trained, train
from panic_assets_tests.studies.training.made import blobs, trial, turning


def saved(path: Path, **values: Any) -> Trained:
    asked = trial(epochs=1, **values)
    done = train(asked, blobs(shape=(1, 8, 8)) if values.get("kind") == "cnn" else turning())
    assert done.model is not None
    save(path, done.model, asked, {"test_loss": done.metrics["test_loss"]})
    return done


@pytest.mark.parametrize("kind", ["mlp", "residual", "cnn"])
@pytest.mark.parametrize(
    "values",
    [{}, {"spectral_norm": True, "coefficient": 0.5}, {"dropout": 0.3, "activation": "gelu"}, {"activation": "silu"}],
)
def test_a_model_that_was_saved_gives_equal_outputs(tmp_path: Path, kind: Kind, values: dict[str, Any]) -> None:
    path = tmp_path / "a.safetensors"
    done = saved(path, kind=kind, **values)
    model, asked = load(path)
    assert asked == trial(epochs=1, kind=kind, **values)
    assert asked.trial_id == trial(epochs=1, kind=kind, **values).trial_id
    assert not model.training
    x = torch.randn(7, 1, 8, 8) if kind == "cnn" else torch.randn(7, 6)
    assert done.model is not None
    assert torch.equal(model(x), done.model(x))
    assert [type(layer) for layer in model.modules()] == [type(layer) for layer in done.model.modules()]


def test_equal_models_are_equal_bytes_and_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    one, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    saved(one)
    saved(other)
    saved(other)
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
    assert checksum(one) == (hashlib.sha256(one.read_bytes()).hexdigest(), one.stat().st_size)


def test_other_tools_read_the_weights_and_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    done = saved(path, spectral_norm=True)
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {f"{layer}.{name}" for layer in (0, 2, 4) for name in ("weight", "bias")}
        told = json.loads(file.metadata()["panic"])
    assert told["metrics"] == {"test_loss": done.metrics["test_loss"]}
    assert told["trial"]["hyperparameters"]["spectral_norm"] is True


@pytest.mark.parametrize("place", [4, 40, -1, -100])
def test_one_changed_byte_is_noticed(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="train the trial again") as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [0, 7, 300, -1])
def test_a_file_that_was_cut_off_is_told(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="can't be read"):
        load(path)


def test_a_missing_file_and_files_of_others_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can't be read"):
        load(tmp_path / "none.safetensors")
    path = tmp_path / "a.safetensors"
    for told in (None, {"panic": "{"}, {"panic": "[]"}, {"panic": '{"version": 2}'}, {"panic": '{"version": 1}'}):
        save_file({"w": torch.ones(2)}, path, told)
        with pytest.raises(CheckpointError, match=r"is no checkpoint|is of version 2"):
            load(path)


def test_layers_that_are_not_known_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    saved(path)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["panic"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told["layers"][0] = ["os.system", "true"]
    save_file(weights, path, {"panic": json.dumps(told)})
    with pytest.raises(CheckpointError, match=r"os\.system"):
        load(path)


def test_a_folder_that_can_not_be_written_to_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.safetensors"
    with pytest.raises(FileNotFoundError):
        saved(path)
    blocked = tmp_path / "blocked.safetensors"
    blocked.mkdir()
    with pytest.raises(IsADirectoryError):
        saved(blocked)
    assert [one.name for one in tmp_path.iterdir()] == ["blocked.safetensors"]


def test_metrics_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    done = saved(tmp_path / "a.safetensors")
    assert done.model is not None
    with pytest.raises(ValueError, match="JSON"):
        save(tmp_path / "a.safetensors", done.model, trial(), {"test_loss": float("nan")})
