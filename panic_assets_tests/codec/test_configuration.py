"""Where models are looked for, and what a broken configuration is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.codec.configuration import (
    FILE_NAME,
    VARIABLE,
    WrongConfiguration,
    find_configuration,
    load_configuration,
    settings_of,
)
from panic_assets.codec.errors import MissingModel

ONE = '[models.one]\nencoder = "nets/e.onnx"\ndecoder = "/abs/d.onnx"\nlatent_scale = 0.5\n'


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv(VARIABLE, raising=False)


def _write(path: Path, content: str = ONE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_each_place_gives_way_to_the_ones_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_configuration() is None
    places = [
        _write(tmp_path / "home" / ".config" / "panic_assets" / "codec.toml"),
        _write(tmp_path / "work" / f".{FILE_NAME}"),
        _write(tmp_path / "work" / FILE_NAME),
    ]
    found = []
    for place in reversed(places):
        found.append(find_configuration())
        place.unlink()
    assert found == list(reversed(places))
    variable, argument = _write(tmp_path / "variable.toml"), _write(tmp_path / "argument.toml")
    monkeypatch.setenv(VARIABLE, str(variable))
    assert find_configuration() == variable
    assert find_configuration(argument) == argument


def test_a_place_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "work" / FILE_NAME)
    with pytest.raises(MissingModel, match=r"gone\.toml \(argument\)"):
        find_configuration("gone.toml")
    monkeypatch.setenv(VARIABLE, "lost.toml")
    with pytest.raises(FileNotFoundError, match=rf"lost\.toml \(\${VARIABLE}\)"):
        find_configuration()


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "elsewhere" / "c.toml", ONE + 'klt = "~/klt.npz"\n')
    settings = settings_of("one", path)
    assert settings.table.encoder == tmp_path / "elsewhere" / "nets" / "e.onnx"
    assert settings.table.decoder == Path("/abs/d.onnx")
    assert settings.table.klt == tmp_path / "home" / "klt.npz"
    assert settings.table.latent_scale == 0.5
    assert settings.runtime.threads == 1
    assert settings.runtime.deterministic


def test_a_folder_brings_its_own_configuration(tmp_path: Path) -> None:
    _write(tmp_path / "vae" / FILE_NAME)
    assert settings_of(tmp_path / "vae").name == "one"
    threads = _write(tmp_path / "threads.toml", "[runtime]\nthreads = 3\n")
    assert settings_of(tmp_path / "vae", threads).runtime.threads == 3
    _write(tmp_path / "vae" / FILE_NAME, ONE + '[models.two]\ndecoder = "d.onnx"\n')
    with pytest.raises(WrongConfiguration, match="2 models"):
        settings_of(tmp_path / "vae")


def test_a_direct_file_stands_for_both_halves(tmp_path: Path) -> None:
    path = _write(tmp_path / "half.onnx", "")
    table = settings_of(str(path)).table
    assert (table.encoder, table.decoder) == (path, path)
    with pytest.raises(MissingModel, match=r"none\.onnx is no file"):
        settings_of("none.onnx")


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"no configuration; write one of panic_codec\.toml"):
        settings_of("one")
    path = _write(tmp_path / "work" / FILE_NAME)
    with pytest.raises(MissingModel, match=rf"{path} has no model 'oen'; did you mean one\?"):
        settings_of("oen")
    _write(path, "")
    with pytest.raises(MissingModel, match="it has none"):
        settings_of("one")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[models.a\n", "is not TOML"),
        ("[models.a]\nlatent_scale = 1.0\n", "models.a: .*neither encoder nor decoder"),
        ('[models.a]\nencoder = "e"\nlatent_scale = 0.0\n', r"models\.a\.latent_scale: .*\(it is 0\.0\)"),
        ('[models.a]\nencoder = "e"\ninput_range = "0_255"\n', r"models\.a\.input_range: .*\(it is '0_255'\)"),
        ('[models.a]\nencodre = "e"\n', r"models\.a\.encodre: "),
        ("[runtime]\nthreads = 0\n", r"runtime\.threads: .*\(it is 0\)"),
        ('[runtime]\nproviders = ["gpu"]\n', r"runtime\.providers\.0: .*\(it is 'gpu'\)"),
        ("[runtime]\nproviders = []\n", r"runtime\.providers: "),
        ("[memory]\narena = 1\n", "memory: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    path = _write(tmp_path / "wrong.toml", content)
    with pytest.raises(WrongConfiguration, match=told) as raised:
        load_configuration(path)
    assert str(path) in str(raised.value)
