"""What ships does what was trained: ONNX as torch, whole numbers as floating point, streams as bits promised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from panic_assets.codec.latent import LearnedModel
from panic_assets.codec.latent_model import LatentModel, NoCodecModel
from panic_assets.codec.probability import CLASSES, LARGEST_SYMBOL, ONE, TABLE_TOTAL, symbols_for
from panic_assets.codec.training import evaluate, export, images
from panic_assets.codec.training.fit import Codec
from panic_assets.codec.training.transform import BASE, LEVELS


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(3)
    codec = Codec().eval()
    for parameter in codec.parameters():
        if not parameter.any():  # parts that begin at zero would not be seen to be exported
            torch.nn.init.normal_(parameter, std=0.02)
    return codec


@pytest.fixture(scope="module")
def folder(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latent-codec")
    export.export(codec, list(images.drawn("training", 64, 2, 1)), folder)
    return folder


def test_the_files_are_few_megabytes(folder: Path) -> None:
    names = {"encoder.onnx", "decoder.onnx", "transform.npz", "probabilities.npz"}
    assert {path.name for path in folder.iterdir()} == names
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4e6


@pytest.mark.parametrize(("count", "height", "width"), [(1, 64, 64), (2, 8, 40), (1, 136, 72)])
def test_onnx_does_what_torch_does(codec: Codec, folder: Path, count: int, height: int, width: int) -> None:
    import onnxruntime

    pictures = torch.rand(count, 3, height, width) * 2 - 1
    latents = torch.randn(count, codec.gains.lowest.shape[0], height // 8, width // 8)
    quality = torch.rand(count, 1)
    with torch.no_grad():
        encoded, (base, whole) = codec.encoder(pictures), codec.decoder(latents, quality)
    encoder, decoder = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encoder", "decoder"))
    # Weights are stored in half precision: about three digits.
    (found,) = encoder.run(None, {"pictures": pictures.numpy()})
    np.testing.assert_allclose(found, encoded.numpy(), atol=0.02)
    outputs = decoder.run(None, {"latents": latents.numpy(), "quality": quality.numpy()})
    for found, wanted in zip(outputs, (base, whole), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), atol=0.02)


def test_whole_numbers_predict_as_floating_point_did(codec: Codec) -> None:
    latents, level = torch.randn(1, BASE, 9, 12) * 3, 7
    model, seen = export.integer_form(codec.entropy), []
    known = model.base(9, 12, level, symbols_for(latents[0].numpy(), seen))
    with torch.no_grad():
        _, rounded = codec.entropy.base(latents, torch.tensor([level]))
    # A mean that lies a hair from a half rounds either way; such a symbol, and what saw it, may differ.
    same = np.abs(known / ONE - rounded[0].numpy()) < 0.1
    assert same.mean() > 0.95


def test_frequencies_are_whole_and_never_nothing() -> None:
    counts = np.zeros((CLASSES, 2 * LARGEST_SYMBOL + 1))
    counts[5, LARGEST_SYMBOL + 3] = 1e9
    found = export.frequencies(counts)
    assert (found >= 1).all()
    assert (found.sum(1) == TABLE_TOTAL).all()
    assert found[5, LARGEST_SYMBOL + 3] == found[5, LARGEST_SYMBOL - 3] > 0.49 * TABLE_TOTAL
    assert (np.diff(found[:, LARGEST_SYMBOL][6:].astype(float)) <= 0).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 30), (64, 64)])
def test_any_picture_decodes_from_its_bytes(folder: Path, height: int, width: int) -> None:
    picture = images.pattern_pictures(64, 1, height)[0][:height, :width]
    model = LearnedModel(folder)
    for level in (0, LEVELS - 1):
        data, draw = model.encode(picture[None], level)[0]
        made = model.decode([data], height, width, level)[0]
        assert made.shape == picture.shape
        assert np.array_equal(made, draw())


def test_the_comparison_names_every_rival_and_measure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "QUALITIES", (20, 60, 90))
    result = evaluate.compare(folder, list(images.drawn("validation", 64, 2, 4)))
    assert set(result["bd_rate"]) == {"AVIF", "AVIF 4:4:4", "WebP"}
    assert set(result["bd_rate"]["AVIF"]) == set(evaluate.MEASURES)
    files, payloads = ([point[key] for point in result["curves"]["AVIF"]] for key in ("file_bytes", "payload_bytes"))
    assert all(200 < whole - media < 500 for whole, media in zip(files, payloads, strict=True))
    assert [point["payload_bytes"] for point in result["curves"]["latent"]] == sorted(
        point["payload_bytes"] for point in result["curves"]["latent"]
    )


def test_a_folder_without_a_model_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "probabilities.npz").write_bytes((folder / "probabilities.npz").read_bytes())
    with pytest.raises(NoCodecModel, match="export it again"):
        LatentModel(tmp_path)
