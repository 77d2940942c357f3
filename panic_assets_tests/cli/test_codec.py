"""``panic codec``: there and back, what it tells, and what it does not write over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.codec.configuration import VARIABLE
from panic_assets.codec.errors import MissingModel, WrongBytes, WrongModel
from panic_assets.codec.exporting import ExportFailed
from panic_assets.codec.pictures import NoPicture
from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.paths import project_dir
from panic_assets_tests.cli.parts import document, typed
from panic_assets_tests.codec.vaes import BUNDLED, exported, picture
from panic_assets_tests.loop import parts


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PANIC_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv(VARIABLE, raising=False)


def _save(path: str, pixels: np.ndarray) -> np.ndarray:
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_without_loss(channels: int) -> None:
    shown = np.dstack([picture(13, 21), picture(13, 21, 1)])[:, :, :channels]
    _save("a.png", shown[..., 0] if channels == 1 else shown)
    assert "a.plc: " in (told := typed("codec", "encode", "a.png", "--lossless"))
    assert "lossless" in told
    assert "21 x 13" in typed("codec", "decode", "a.plc", "b.png")
    with Image.open("b.png") as made:
        assert (np.array(made).reshape(shown.shape) == shown).all()


def test_a_picture_by_a_vae_and_what_the_file_tells() -> None:
    _save("a.png", picture(40, 56))
    folder = str(exported("bundled").folder)
    told = document("codec", "encode", "a.png", "--model", folder, "-q", "4")
    assert (told["method"], told["quality"], told["height"], told["width"]) == ("vae", 4, 40, 56)
    assert told["bytes"] == Path("a.plc").stat().st_size
    assert document("codec", "info", "a.plc")["details"]["model"] == exported("bundled").identity[:8]
    assert "method vae, quality 4" in typed("codec", "info", "a.plc")
    typed("codec", "encode", "a.png", "b.plc", "--model", folder, "-q", "9")
    assert "method vae, level 11, residual in steps of " in typed("codec", "info", "b.plc")
    made = document("codec", "decode", "a.plc", "--model", folder, "--force")
    assert made == {"file": "a.png", "shape": [40, 56, 3]}
    typed("codec", "encode", "a.png", "foreign.plc", "--model", str(exported("kl").folder))
    with pytest.raises(MissingModel, match="give its folder"):
        typed("codec", "decode", "foreign.plc", "b.png")
    with pytest.raises(WrongModel, match=exported("kl").identity[:8]):
        typed("codec", "decode", "a.plc", "b.png", "--model", str(exported("kl").folder))
    assert not Path("b.png").exists()


def test_a_transform_across_channels_is_for_vaes() -> None:
    _save("a.png", picture(16, 16))
    folder = str(exported("kl").folder)
    plain = document("codec", "encode", "a.png", "--model", folder, "-q", "9")
    turned = document("codec", "encode", "a.png", "b.plc", "--model", folder, "-q", "9", "--transform", "hadamard")
    assert plain["method"] == turned["method"] == "vae"
    assert Path("a.plc").read_bytes() != Path("b.plc").read_bytes()
    with pytest.raises(PanicError, match="name one with --model"):
        typed("codec", "encode", "a.png", "c.plc", "--transform", "none")


def test_nothing_is_written_over_or_left_half() -> None:
    _save("a.png", picture(9, 9))
    typed("codec", "encode", "a.png", "--lossless")
    before = Path("a.plc").read_bytes()
    with pytest.raises(PanicError, match=r"a\.plc is there already; give another name, or --force"):
        typed("codec", "encode", "a.png")
    assert Path("a.plc").read_bytes() == before
    with pytest.raises(PanicError, match=r"give another name$"):
        typed("codec", "encode", "a.png", "a.png", "--force")
    with pytest.raises(NoPicture, match=r"give a name that ends with \.png"):
        typed("codec", "decode", "a.plc", "made.nothing")
    Path("cut.plc").write_bytes(before[:-3])
    with pytest.raises(WrongBytes):
        typed("codec", "decode", "cut.plc")
    assert {path.name for path in Path().iterdir()} == {"a.png", "a.plc", "cut.plc"}


def test_files_that_are_no_pictures_of_8_bits() -> None:
    Path("text.png").write_text("no picture")
    with pytest.raises(NoPicture, match=r"text\.png is no picture"):
        typed("codec", "encode", "text.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save("deep.png")
    with pytest.raises(NoPicture, match="more than 8 bits"):
        typed("codec", "encode", "deep.png")
    frames = [Image.fromarray(picture(8, 8, seed)) for seed in range(2)]
    frames[0].save("moving.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(NoPicture, match="2 frames"):
        typed("codec", "encode", "moving.webp")


def test_codecs_side_by_side_on_a_folder() -> None:
    Path("shots").mkdir()
    for seed in range(3):
        _save(f"shots/{seed}.png", picture(24, 24, seed))
    folder = str(exported("tiny").folder)
    result = CliRunner().invoke(cli.app, ["codec", "compare", "shots", "--limit", "2", "--model", folder])
    assert result.exit_code == 0
    assert "2 of 3 pictures of shots" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    for word in ("latent", "AVIF 4:4:4", "WebP", "JPEG", "PNG", "lossless", "exact", "Without any loss files take: "):
        assert word in result.stdout
    assert " and AVIF (" in result.stdout or "bytes than AVIF over" in result.stdout
    told = document("codec", "compare", "shots", "--model", folder)
    assert told["pictures"] == 3
    by_codec: dict[str, list[dict[str, float]]] = {}
    for row in told["rows"]:
        by_codec.setdefault(row["codec"], []).append(row)
    assert [row["quality"] for row in by_codec["latent"]] == [1, 4, 7, 10, 13, 16, None]
    assert by_codec["latent"][-1]["psnr"] is None  # infinite: nothing is lost
    for rows in by_codec.values():
        sizes = [row["byte_size"] for row in rows if row["quality"] is not None]
        assert sizes == sorted(sizes)
    assert {(one["against"], one["measure"]) for one in told["verdicts"]} == {
        (rival, measure) for rival in ("AVIF", "AVIF 4:4:4", "WebP", "JPEG") for measure in ("psnr", "ssim", "ms_ssim")
    }


def test_codecs_side_by_side_on_an_experiment(tmp_path: Path) -> None:
    lossy = parts.experiment(name="lossy", image_format="webp-60", models={"DummyT2I": {"parameters": {"side": 24}}})
    parts.run(Lake.open(), lossy)
    folder = str(exported("tiny").folder)
    result = CliRunner().invoke(cli.app, ["codec", "compare", "lossy", "--limit", "1", "--model", folder])
    assert result.exit_code == 0, result.output
    assert "of experiment lossy; they were stored as webp-60" in " ".join(result.stderr.split())
    with pytest.raises(PanicError, match="there is no experiment 'nothing'"):
        typed("codec", "compare", "nothing")
    Path("empty").mkdir()
    with pytest.raises(NoPicture, match="empty has no picture"):
        typed("codec", "compare", "empty")


def test_the_report_of_an_experiment_measures_once_and_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DAGSTER_HOME", str(project_dir()))
    embedded = {"embedding_models": ["DummyVision"], "models": {"DummyT2I": {"parameters": {"side": 24}}}}
    for name, values in {"shown": {}, "lossy": {"image_format": "jpeg-60"}}.items():
        parts.run(Lake.open(), parts.experiment(name=name, max_length=2, **embedded, **values))
    told = typed("codec", "report", "shown")
    *lines, path = told.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[:2] == ["pictures: 2 of 2", "drift measured by: DummyVision"]
    # Lines are broken wherever 80 columns end.
    said = " ".join(told.split())
    sentences = [row["sentence"] for row in Lake.open().read("codec_comparisons", "shown").to_pylist()]
    assert sum(sentence in said for sentence in sentences) >= len(sentences) / 2
    assert path.endswith("data/reports/shown.codec.html")
    generation = Lake.open().generation("codec_rates", "shown")
    again = document("codec", "report", "sho")
    assert Lake.open().generation("codec_rates", "shown") == generation
    assert (again["experiment"], again["pictures"], len(again["verdicts"])) == ("shown", 2, 32)
    assert again["rows"][-1]["psnr"] is None
    with pytest.raises(PanicError, match="nothing could be measured: experiment lossy has no originals"):
        typed("codec", "report", "lossy")
    with pytest.raises(PanicError, match="there is no experiment 'nothing'"):
        typed("codec", "report", "nothing")


def test_a_vae_is_exported_by_its_folder_or_by_the_name_of_its_model() -> None:
    Path("shots").mkdir()
    _save("shots/one.png", picture(64, 64))
    told = document("codec", "export-vae", "TinyScenes", "mine", "--klt-from", "shots")
    assert (told["kind"], told["stride"], told["name"]) == ("AutoencoderTiny", 8, "mine")
    assert {path.name for path in Path("mine").iterdir()} == {
        "encoder.onnx",
        "decoder.onnx",
        "klt.npz",
        "panic_codec.toml",
    }
    # With a KLT it is another model than without.
    assert told["identity"] != exported("bundled").identity
    assert "panic codec encode IMAGE --model other" in typed("codec", "export-vae", str(BUNDLED / "vae"), "other")
    with pytest.raises(ExportFailed, match="mine is there already"):
        typed("codec", "export-vae", str(BUNDLED), "mine")
    with pytest.raises(MissingModel, match="no folder of a VAE"):
        typed("codec", "export-vae", "nowhere", "new")
    assert json.loads(json.dumps(told)) == told
