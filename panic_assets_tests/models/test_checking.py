from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.lake import images
from panic_assets.models import checking
from panic_assets.models.errors import ModelCallError, ModelError, ModelLoadError, UnknownModel
from panic_assets.models.registry import Registry
from panic_assets_tests.models import tiny


def typed(*arguments: str) -> str:
    """What a command prints; raises what `main` prints as an error."""
    result = CliRunner().invoke(cli.app, ["models", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def own(data: Path, entry: Any, **changes: Any) -> None:
    """Put an entry into the data directory's own registry, in the place of the shipped one."""
    values = entry.model_dump(mode="json") | {"replaces": True} | changes
    (data / "models.yaml").write_text(yaml.safe_dump({"models": [values]}))


def test_a_text_to_image_model_is_tried(data: Path) -> None:
    shown = typed("check", "DummyT2I")
    assert shown.startswith("DummyT2I: loaded from this package in ")
    path = data / "cache" / "checks" / "DummyT2I.png"
    assert f"a picture of 256 x 256 pixels, written to {path}" in shown
    assert images.decode(path.read_bytes()).shape == (256, 256, 3)
    assert "text: 32 items in a batch, " in shown
    assert "flags   none" in shown
    assert "the registry says 0\n" in shown


def test_the_picture_is_what_the_model_gives_for_the_first_seed(data: Path, registry: Registry) -> None:
    from panic_assets.models.adapters import load_model

    check = checking.check_model(registry["DummyT2I"])
    [output] = load_model(registry["DummyT2I"]).invoke([checking.EXAMPLE_TEXT], [0])
    [trial] = check.trials
    assert trial.picture is not None
    assert (images.decode(trial.picture.read_bytes()) == output.value).all()
    assert trial.seconds_per_item == trial.seconds / 32 > 0


@pytest.mark.parametrize("name", ["TinyCaption", "Qwen3"])
def test_a_model_that_writes_is_tried(
    name: str, data: Path, checkpoint: Callable[[str], Path], registry: Registry
) -> None:
    own(data, tiny.entry(registry[name], checkpoint(str(registry[name].model_class))))
    shown = typed("check", name, "--device", "cpu")
    [line] = [line for line in shown.splitlines() if line.startswith("  output  ")]
    assert line[10] in "\"'"
    assert "4 items in a batch" in shown
    assert not (data / "cache").exists()


def test_an_embedder_of_two_media_is_tried_with_both(
    data: Path, checkpoint: Callable[[str], Path], registry: Registry
) -> None:
    entry = tiny.entry(registry["TinyCLIP"], checkpoint("CLIPModel"), dimension=16)
    trials = checking.check_model(entry, "cpu").trials
    assert [trial.medium for trial in trials] == ["text", "image"]
    assert all(trial.output.shape == (16,) for trial in trials if isinstance(trial.output, np.ndarray))
    own(data, entry)
    assert typed("check", "TinyCLIP").count("a vector of 16 numbers and length 1.000") == 2


def test_flags_are_told(data: Path, checkpoint: Callable[[str], Path], registry: Registry) -> None:
    entry = tiny.entry(registry["Qwen3"], checkpoint("Qwen3ForCausalLM"), max_text_tokens=8)
    own(data, entry)
    assert "flags   truncated_input" in typed("check", "Qwen3")


def test_the_example_picture_is_what_the_example_text_says() -> None:
    picture = checking.example_picture()
    assert picture.shape == (256, 256, 3)
    assert picture[72, 128].argmax() == 0
    assert picture[188, 128].argmax() == 2
    assert (picture[0, 0] == 255).all()


def test_what_goes_wrong_is_told(data: Path, registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(UnknownModel, match=r"did you mean .*DummyT2I"):
        typed("check", "DummyT2")
    with pytest.raises(ModelLoadError, match="HF_HUB_OFFLINE is set"):
        typed("check", "BLIPBase")
    own(data, registry["DummyT2I"], parameters={"fail_on": "red circle"})
    with pytest.raises(ModelCallError, match="fails on purpose"):
        typed("check", "DummyT2I")
    tiny_entry = tiny.entry(registry["SD15"], checkpoint("StableDiffusionPipeline"))
    own(data, tiny_entry)
    with pytest.raises(ModelError, match="device: there is no 'gpu'; auto, cpu"):
        typed("check", "SD15", "--device", "gpu")
    own(data, tiny_entry, parameters={**tiny_entry.parameters, "height": 33})
    with pytest.raises(ModelCallError, match=r"SD15 was loaded .* call failed: ValueError: .*divisible by 8.*33"):
        typed("check", "SD15", "--device", "cpu")


@pytest.mark.parametrize("name", ["FluxDev", "BLIPBase", "Mpnet", "Qwen3Instruct", "OpenCLIPLarge"])
def test_downloading_offline_is_told(name: str, data: Path) -> None:
    with pytest.raises(ModelLoadError, match="HF_HUB_OFFLINE is set and the files of revision main") as error:
        typed("download", name)
    assert name in str(error.value)


def test_what_need_not_be_downloaded(data: Path, registry: Registry, checkpoint: Callable[[str], Path]) -> None:
    assert typed("download", "DummyT2I") == "DummyT2I: nothing has to be fetched; it comes with this package\n"
    folder = checkpoint("StableDiffusionPipeline")
    own(data, tiny.entry(registry["SD15"], folder))
    shown = typed("download", "SD15")
    assert shown.startswith(f"SD15: nothing has to be fetched; it comes with the folder {folder}\n")
    assert f"MiB in {folder}" in shown
    own(data, tiny.entry(registry["SD15"], data / "nowhere"))
    with pytest.raises(ModelLoadError, match="there is no such folder"):
        typed("download", "SD15")


def test_a_downloaded_model_is_found_in_the_cache(
    data: Path, registry: Registry, checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache as the hub's library lays it out: what is in it needs no network."""
    commit = "0" * 40
    snapshot = data / "hub" / "models--someone--captioner" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(checkpoint("BlipForConditionalGeneration"), target_is_directory=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(data / "hub"))
    source = {"kind": "hub", "repo": "someone/captioner"}
    entry = registry["BLIPBase"].with_overrides({"source": source, "revision": commit})
    files = checking.download(entry)
    assert files.folder == snapshot
    assert files.size > 10_000
    own(data, entry)
    assert typed("download", "BLIPBase").startswith("BLIPBase: its files are here\n")
