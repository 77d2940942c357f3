"""VAEs at work: sizes, ranges, scales, batches, identity, and networks that are not what they should be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.codec.configuration import Runtime, VaeSettings, VaeTable, WrongConfiguration
from panic_assets.codec.errors import MissingModel, UnfitValue
from panic_assets.codec.models import BrokenModel, Vae, load_vae
from panic_assets_tests.codec.vaes import exported, picture


def _network(path: Path, shape: list[Any], op: str = "Identity", **options: Any) -> Path:
    """A network of one operation on a tensor of that shape."""
    import onnx
    from onnx import TensorProto, helper

    kind = options.pop("kind", TensorProto.FLOAT)
    taken, given = (helper.make_tensor_value_info(name, kind, shape) for name in ("in", "out"))
    graph = helper.make_graph([helper.make_node(op, ["in"], ["out"], **options)], "g", [taken], [given])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def _vae(path: Path, runtime: Runtime | None = None, **fields: Any) -> Vae:
    table = VaeTable(**{"encoder": path, "decoder": path, "stride": 1} | fields)
    return Vae(VaeSettings("made", table, runtime or Runtime()))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (17, 30), (5, 64)])
def test_any_size_comes_back(height: int, width: int) -> None:
    vae = load_vae(exported("tiny").folder)
    latents = vae.encode(picture(height, width)[None])
    assert latents.shape == (1, 4, -(-height // 4), -(-width // 4))
    assert vae.decode(latents, height, width).shape == (1, height, width, 3)


def test_the_bundled_vae_knows_its_own_pictures() -> None:
    from panic_assets.codec.metrics import psnr

    vae = load_vae(exported("bundled").folder)
    drawn = vae.decode(vae.encode(picture(64, 64)[None]))
    again = vae.decode(vae.encode(drawn))
    assert psnr(drawn[0], again[0]) > 20  # chance would give about 10
    assert drawn[0].std() > 20


@pytest.mark.parametrize("pixels", ["0_1", "-1_1"])
def test_ranges_and_scales_go_there_and_back(tmp_path: Path, pixels: Any) -> None:
    same = _network(tmp_path / "same.onnx", ["n", "c", "h", "w"])
    vae = _vae(same, input_range=pixels, output_range=pixels, latent_scale=0.25, latent_shift=0.5)
    shown = np.arange(256 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    latents = vae.encode(shown)
    low = 0 if pixels == "0_1" else -1
    assert latents.min() == pytest.approx((low - 0.5) * 0.25)
    assert latents.max() == pytest.approx((1 - 0.5) * 0.25)
    assert (vae.decode(latents) == shown).all()


def test_pictures_of_a_batch_are_coded_as_if_alone() -> None:
    vae = load_vae(exported("kl").folder)
    shown = np.stack([picture(20, 12, seed) for seed in range(3)])
    together = vae.encode(shown)
    for number in range(3):
        np.testing.assert_allclose(together[number], vae.encode(shown[number : number + 1])[0], atol=1e-5)
    assert vae.encode(shown[:0]).shape[0] == 0


def test_a_network_of_fixed_number_and_size(tmp_path: Path) -> None:
    vae = _vae(_network(tmp_path / "fixed.onnx", [2, 3, 4, 6]))
    shown = np.stack([picture(4, 6, seed) for seed in range(5)])
    assert (vae.decode(vae.encode(shown)) == shown).all()
    with pytest.raises(UnfitValue, match=r"takes 4 for height and nothing else, and is given 5.*free sides"):
        vae.encode(picture(5, 6)[None])


def test_a_network_of_half_precision(tmp_path: Path) -> None:
    from onnx import TensorProto

    vae = _vae(_network(tmp_path / "half.onnx", ["n", 3, "h", "w"], kind=TensorProto.FLOAT16))
    shown = picture(6, 8)[None]
    made = vae.encode(shown)
    assert made.dtype == np.float32
    assert np.abs(vae.decode(made).astype(int) - shown).max() <= 1


def test_variances_beside_the_latents_are_left_out(tmp_path: Path) -> None:
    vae = _vae(_network(tmp_path / "same.onnx", ["n", "c", "h", "w"]), latent_channels=2)
    assert vae.encode(picture(4, 4)[None]).shape == (1, 2, 4, 4)


def test_equal_bytes_in_any_number_of_runs() -> None:
    shown = picture(33, 21)[None]
    first = load_vae(exported("kl").folder).encode(shown)
    settings = load_vae(exported("kl").folder).settings
    again = Vae(VaeSettings(settings.name, settings.table, Runtime(threads=1))).encode(shown)
    assert first.tobytes() == again.tobytes()


def test_identity_is_of_what_decoding_needs(tmp_path: Path) -> None:
    source = exported("tiny").folder
    copy = tmp_path / "renamed"
    shutil.copytree(source, copy)
    vae = load_vae(copy)
    assert vae.identity.hex() == exported("tiny").identity
    (copy / "encoder.onnx").write_bytes((exported("kl").folder / "encoder.onnx").read_bytes())
    assert vae.identity.hex() == exported("tiny").identity
    scaled = vae.settings.table.model_copy(update={"latent_scale": 2.0})
    assert Vae(VaeSettings("x", scaled)).identity != vae.identity
    (copy / "decoder.onnx").write_bytes((exported("kl").folder / "decoder.onnx").read_bytes())
    assert vae.identity.hex() != exported("tiny").identity
    (copy / "decoder.onnx").unlink()
    with pytest.raises(MissingModel, match=r"decoder\.onnx is not there"):
        _ = load_vae(copy).identity


def test_weights_outside_of_the_file_belong_to_the_identity(tmp_path: Path) -> None:
    import onnx

    folder = tmp_path / "split"
    shutil.copytree(exported("tiny").folder, folder)
    model = onnx.load(folder / "decoder.onnx")
    onnx.save(model, folder / "decoder.onnx", save_as_external_data=True, location="weights.bin", size_threshold=64)
    vae = load_vae(folder)
    latents = np.zeros((1, 4, 2, 2), np.float32)
    assert (vae.decode(latents) == load_vae(exported("tiny").folder).decode(latents)).all()
    before = vae.identity
    weights = bytearray((folder / "weights.bin").read_bytes())
    weights[1] ^= 1
    (folder / "weights.bin").write_bytes(weights)
    assert vae.identity != before


def test_what_is_wrong_with_a_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(BrokenModel, match=r"broken\.onnx is no network"):
        _vae(tmp_path / "broken.onnx").encode(picture(4, 4)[None])
    same = _network(tmp_path / "same.onnx", ["n", "c", "h", "w"])
    with pytest.raises(BrokenModel, match="correct `stride` of made"):
        _vae(same, stride=2).encode(picture(4, 4)[None])
    with pytest.raises(BrokenModel, match="correct `stride` of made"):
        _vae(same).decode(np.zeros((1, 4, 4, 4), np.float32))
    with pytest.raises(BrokenModel, match="values that are no numbers"):
        _vae(_network(tmp_path / "log.onnx", ["n", "c", "h", "w"], "Log")).encode(np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(BrokenModel, match="one tensor of floats"):
        _vae(_network(tmp_path / "flat.onnx", ["n", "c"])).encode(picture(4, 4)[None])
    with pytest.raises(MissingModel, match="made has no decoder"):
        _vae(same, decoder=None).decode(np.zeros((1, 3, 4, 4), np.float32))
    with pytest.raises(WrongConfiguration, match=r"TensorrtExecutionProvider: none is here; there are .*CPU"):
        _vae(same, Runtime(providers=("TensorrtExecutionProvider",))).encode(picture(4, 4)[None])
    decoder = exported("tiny").folder / "decoder.onnx"
    with pytest.raises(UnfitValue, match="channels"):
        _vae(_network(tmp_path / "four.onnx", ["n", 4, "h", "w"])).encode(picture(4, 4)[None])
    assert load_vae(decoder).settings.table.decoder == decoder


@pytest.mark.parametrize("shown", [picture(4, 4), picture(4, 4)[None].astype(float), np.zeros((1, 4, 4, 4), np.uint8)])
def test_only_pictures_are_encoded(shown: np.ndarray) -> None:
    with pytest.raises(UnfitValue, match="give uint8"):
        load_vae(exported("tiny").folder).encode(shown)


def test_only_latents_of_the_size_are_decoded() -> None:
    vae = load_vae(exported("tiny").folder)
    with pytest.raises(UnfitValue, match="2x2 latents are not those of 9x8 pixels"):
        vae.decode(np.zeros((1, 4, 2, 2), np.float32), 9, 8)
    with pytest.raises(UnfitValue, match="give floats"):
        vae.decode(np.zeros((1, 4, 2, 2), np.int32))
