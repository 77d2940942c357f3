"""Files by any VAE: from the bytes and the model alone, up to nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from panic_assets.codec import api
from panic_assets.codec.bitstream import vae as method
from panic_assets.codec.configuration import VARIABLE
from panic_assets.codec.errors import MissingModel, UnfitValue, WrongModel
from panic_assets.codec.metrics import psnr
from panic_assets.codec.models import load_vae
from panic_assets.codec.pipeline import VaePipeline
from panic_assets_tests.codec.vaes import exported, picture


@pytest.mark.parametrize("shape", [(1, 1, 3), (33, 50, 3), (20, 31), (17, 16, 4)])
def test_any_picture_comes_back_in_its_shape(shape: tuple[int, ...]) -> None:
    shown = picture(*shape[:2])
    shown = {2: shown[..., 0], 3: np.dstack([shown, shown[..., :1]])[:, :, : shape[-1]]}[len(shape)]
    folder = exported("bundled").folder
    data = method.encode(shown, api.heads.kind_of(shown.shape), VaePipeline(load_vae(folder)), 8, 6)
    made = api.decompress(data, folder)
    assert made.shape == shown.shape
    assert psnr(shown, made) > 33
    if shape[-1] == 4:
        assert (made[..., 3] == shown[..., 3]).all()


def test_quality_rises_with_bytes_over_all_levels() -> None:
    folder, shown = exported("bundled").folder, picture(72, 60)
    files = [api.compress(shown, folder, quality) for quality in api.QUALITIES]
    made = [psnr(shown, api.decompress(data, folder)) for data in files]
    sizes = [len(data) for data in files]
    assert sizes == sorted(set(sizes))
    # A VAE's own ceiling is low: only what is added on top of it must raise the likeness every time.
    assert made[3:] == sorted(set(made[3:]))
    assert made[0] < made[-1]
    told = api.info(files[2])
    assert (told.method, told.quality, told.details["model"]) == ("vae", 3, exported("bundled").identity[:8])


def test_a_residual_of_one_loses_nothing() -> None:
    folder, shown = exported("tiny").folder, picture(30, 22)
    pipeline = VaePipeline(load_vae(folder))
    data = method.encode(shown, 3, pipeline, 2, 1)
    assert (api.decompress(data, pipeline) == shown).all()  # type: ignore[arg-type]
    assert api.info(data).lossless


def test_latents_that_exist_make_the_same_file() -> None:
    pipeline, shown = VaePipeline(load_vae(exported("bundled").folder)), picture(64, 64)
    latents = pipeline.vae.encode(shown[None])[0]
    assert method.encode(shown, 3, pipeline, 9, 0, latents) == method.encode(shown, 3, pipeline, 9, 0)
    with pytest.raises(UnfitValue, match="are not those of 64x64 pixels"):
        method.encode(shown, 3, pipeline, 9, 0, latents[:, 1:])


def test_the_model_is_found_by_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, shown = exported("tiny"), picture(16, 16)
    data = method.encode(shown, 3, VaePipeline(load_vae(told.folder)), 9, 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(MissingModel, match=rf"by the VAE {told.identity[:8]}, and no configuration"):
        api.decompress(data)
    with pytest.raises(WrongModel, match=rf"{told.identity[:8]}.*{exported('kl').identity[:8]}"):
        api.decompress(data, exported("kl").folder)
    config = tmp_path / "panic_codec.toml"
    texts = []
    for kind in ("kl", "tiny"):
        own = exported(kind).folder
        text = (own / "panic_codec.toml").read_text()
        texts.append(text.replace('"encoder', f'"{own}/encoder').replace('"decoder', f'"{own}/decoder'))
    config.write_text("\n".join(texts))
    assert (api.decompress(data) == api.decompress(data, told.folder)).all()
    assert api.compress(shown, "tiny", 9) == api.compress(shown, told.folder, 9)


def test_another_process_decodes_the_same_picture(tmp_path: Path) -> None:
    folder, shown = exported("kl").folder, picture(25, 40)
    data = method.encode(shown, 3, VaePipeline(load_vae(folder)), 10, 2)
    (tmp_path / "file").write_bytes(data)
    program = (
        "import sys, numpy, pathlib; from panic_assets.codec.api import decompress;"
        "made = decompress(pathlib.Path(sys.argv[1]).read_bytes(), pathlib.Path(sys.argv[2]));"
        "numpy.save(sys.argv[3], made); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file"), str(folder), str(tmp_path / "made.npy")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "3"})
    assert (np.load(tmp_path / "made.npy") == api.decompress(data, folder)).all()
