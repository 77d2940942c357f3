"""The formats of pictures as data: their names, what other rooms say of theirs, and installations without a room."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from panic_assets import image_formats
from panic_assets.codec import api
from panic_assets.codec.bitstream.head import is_ours
from panic_assets.experiment import Experiment
from panic_assets.lake import images
from panic_assets_tests.laboratory import content

ROOT = Path(__file__).parents[1]
# A process in which the packages of the extra are not to be found, as where it was never installed.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Hidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {"constriction", "onnxruntime", "onnx"} else super().find_spec(
            name, path, target)

sys.meta_path[:] = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
"""


def without_the_extra(code: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def test_the_pattern_matches_the_formats_and_nothing_else() -> None:
    numbers = [*map(str, range(-1, 103)), "01", "", "1.5"]
    names = {f"{kind}-{number}" for kind in ("webp", "avif", "jpeg", "latent", "vae", "png") for number in numbers}
    names |= {*image_formats.FORMATS, "webp", "latent", "gif", "latent-lossless ", "lossless"}
    assert {name for name in names if re.fullmatch(image_formats.PATTERN, name)} == set(image_formats.FORMATS)


def test_the_json_schema_tells_them() -> None:
    told = Experiment.model_json_schema()["properties"]["image_format"]
    assert told["pattern"] == image_formats.PATTERN
    assert told["default"] == image_formats.DEFAULT_FORMAT
    assert "latent-lossless" in told["description"]


def test_what_is_said_of_the_codec_is_so() -> None:
    room = image_formats.LATENT
    assert is_ours(room.mark)
    qualities = {form.quality for form in image_formats.FORMATS.values() if form.room is room}
    assert qualities == {None, *api.QUALITIES}
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][room.extra]
    assert set(room.packages) == {re.split("[>=<]", package)[0] for package in extra}


@pytest.mark.parametrize("name", ["png", "jpeg-50", "latent-3", "latent-lossless", "vae-3"])
def test_nothing_is_missing_here(name: str) -> None:
    assert image_formats.problem(name) is None


def test_a_model_that_is_not_there_is_told_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panic_assets.codec.latent.project_dir", lambda: tmp_path)
    assert "can't be written: no codec model in" in str(image_formats.problem("latent-3"))
    assert image_formats.problem("latent-lossless") is None, "whole numbers need no model"


@pytest.mark.parametrize("image_format", ["latent-8", "vae-8", "latent-lossless"])
def test_without_the_extra_nothing_is_begun(image_format: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "experiments").mkdir(parents=True)
    file = tmp_path / "data" / "experiments" / "small.yaml"
    file.write_text(yaml.safe_dump(content(image_format=image_format)))
    code = "from panic_assets.cli import main\nmain()"
    for command in (["run", str(file)], ["plan", str(file)]):
        done = without_the_extra(code, *command, cwd=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        said = " ".join((done.stdout + done.stderr).split())
        assert f"image_format: {image_format} needs constriction, onnx, onnxruntime" in said
        assert "pip install 'panic-assets[codec]'" in said
        assert "Traceback" not in said
    assert not (tmp_path / "data" / "lake").exists()


def test_without_the_extra_all_else_works(tmp_path: Path) -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (tmp_path / "latent").write_bytes(images.encode(picture, "latent-lossless"))
    code = """
from pathlib import Path
import numpy, pytest
import panic_assets.definitions
from panic_assets.lake import UnreadableImage, images
picture = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)
for name in ("webp-lossless", "png", "avif-60"):
    assert images.decode(images.encode(picture, name)).shape == picture.shape
with pytest.raises(UnreadableImage, match=r"can't be read here: .*pip install 'panic-assets\\[codec\\]'"):
    images.decode(Path("latent").read_bytes())
print("well")
"""
    done = without_the_extra(code, cwd=tmp_path)
    assert done.stdout.strip() == "well", done.stderr


def test_every_format_has_a_quality_or_keeps_everything() -> None:
    by_kind = itertools.groupby(image_formats.FORMATS.values(), key=lambda form: form.kind)
    for kind, forms in by_kind:
        qualities = [form.quality for form in forms]
        assert qualities == [None] or None not in qualities, kind
