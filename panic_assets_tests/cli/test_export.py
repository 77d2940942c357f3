"""``panic export`` as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from panic_assets.cli import app
from panic_assets.cli.names import UnknownName
from panic_assets.errors import PanicError
from panic_assets.reports.export.common import ExportError
from panic_assets.reports.export.ffmpeg import find_ffmpeg
from panic_assets_tests.reports.export.parts import NAME, picture_lake


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    picture_lake(made / "lake", max_length=4)
    return made


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANIC_DATA", str(folder))


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["export", *arguments])
    if isinstance(result.exception, PanicError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_help_names_every_export() -> None:
    shown = typed("--help")
    for command in ("video", "strip", "images", "image", "bundle"):
        assert command in shown


def test_files_go_beside_the_lake(folder: Path) -> None:
    place = folder / "exports" / NAME
    shown = typed("strip", NAME)
    assert all(Path(line).is_file() and Path(line).parent == place / "strips" for line in shown.splitlines())
    assert typed("images", NAME) == f"{place / 'images'}: 8 pictures written, 0 were there\n"
    assert typed("images", NAME) == f"{place / 'images'}: 0 pictures written, 8 were there\n"


def test_files_go_where_they_are_asked_for(tmp_path: Path) -> None:
    assert typed("image", NAME, "0", "0", str(tmp_path / "x.png")).startswith(str(tmp_path / "x.png"))
    assert (tmp_path / "x.png").is_file()
    assert "tables" in typed("bundle", NAME, str(tmp_path / "b.tar"), "--no-images")
    assert (tmp_path / "b.tar").is_file()
    assert typed("strip", NAME, "--run", "0", "--run", "1", "-o", str(tmp_path / "s.pdf")) == f"{tmp_path / 's.pdf'}\n"


def test_video(tmp_path: Path) -> None:
    try:
        find_ffmpeg()
    except ExportError as error:
        pytest.skip(str(error))
    shown = typed("video", NAME, "--fps", "4", "--runs", "1", "-o", str(tmp_path / "v.mp4"))
    assert shown.startswith(f"{tmp_path / 'v.mp4'} (")
    assert (tmp_path / "v.mp4").stat().st_size > 1000


def test_an_unknown_experiment_is_told(tmp_path: Path) -> None:
    for arguments in (["images", "absent"], ["bundle", "absent", str(tmp_path / "b")], ["strip", "absent"]):
        with pytest.raises(UnknownName, match="no experiment 'absent'; there are: small"):
            typed(*arguments)
