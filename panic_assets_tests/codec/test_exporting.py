"""VAEs of diffusers as files of ONNX that do the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from panic_assets.codec.errors import MissingModel
from panic_assets.codec.exporting import ExportFailed, export_vae
from panic_assets.codec.models import load_vae
from panic_assets_tests.codec.vaes import BUNDLED, exported, kl, picture, tiny


@pytest.mark.parametrize(("kind", "made", "stride"), [("tiny", tiny, 4), ("kl", kl, 2)])
def test_latents_and_pictures_are_those_of_the_original(kind: str, made: object, stride: int) -> None:
    vae, told = made().eval(), exported(kind)  # type: ignore[operator]
    assert (told.kind, told.stride, told.latent_channels) == (type(vae).__name__, stride, 4)
    assert told.deviation < 1e-4
    shown = np.stack([picture(12, 20, seed) for seed in range(3)])
    planes = torch.from_numpy(shown.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)
    with torch.no_grad():
        found = vae.encode(planes)
        raw = found.latents if kind == "tiny" else found.latent_dist.mode()
        scaled = (raw - told.latent_shift) * told.latent_scale
        drawn = ((vae.decode(raw).sample + 1) * 127.5).round().clamp(0, 255).numpy().transpose(0, 2, 3, 1)
    ours = load_vae(told.folder)
    latents = ours.encode(shown)
    np.testing.assert_allclose(latents, scaled.numpy(), atol=1e-4)
    assert np.abs(ours.decode(latents).astype(int) - drawn).max() <= 1


def test_the_vae_of_a_pipeline_is_found_in_its_folder() -> None:
    told = exported("bundled")
    assert (told.kind, told.stride, told.latent_channels) == ("AutoencoderTiny", 8, 8)
    config = json.loads((BUNDLED / "vae" / "config.json").read_text())
    assert load_vae(told.folder).settings.table.latent_scale == config["scaling_factor"]
    assert str(BUNDLED) in load_vae(told.folder).settings.table.description


def test_names_of_all_kinds_stand_in_the_configuration(tmp_path: Path) -> None:
    told = export_vae(tiny(2), tmp_path / "out", name='a "b"\\ ü')
    assert told.name == load_vae(told.folder).settings.name == 'a "b"\\ ü'


def test_nothing_is_written_over_and_nothing_left_behind(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    with pytest.raises(ExportFailed, match="is there already"):
        export_vae(tiny(), tmp_path / "full")

    broken = tiny()
    with torch.no_grad():
        next(broken.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(ExportFailed, match="decoder"):
        export_vae(broken, tmp_path / "broken")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["kept"]


def test_what_is_no_vae_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="a Linear can't be exported; give an AutoencoderKL or an AutoencoderTiny"):
        export_vae(torch.nn.Linear(2, 2), tmp_path / "out")
    with pytest.raises(MissingModel, match="no folder of a VAE"):
        export_vae(tmp_path, tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"_class_name": "VQModel"}')
    with pytest.raises(ExportFailed, match="has a VQModel"):
        export_vae(other, tmp_path / "out")
    (other / "config.json").write_text('{"_class_name": "AutoencoderTiny"}')
    with pytest.raises(MissingModel, match="has no weights"):
        export_vae(other, tmp_path / "out")


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "vae"
    tiny().save_pretrained(folder)
    path = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    gone = sorted(weights)[0]
    del weights[gone]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(MissingModel, match="lacks weights"):
        export_vae(folder, tmp_path / "out")
