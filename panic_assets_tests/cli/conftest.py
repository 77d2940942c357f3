"""A data directory that `panic run` made, once for all tests of the command line; each file of them has a copy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from panic_assets.lake import build_catalog
from panic_assets.paths import project_dir
from panic_assets_tests.cli.parts import SMOKE, Shell
from panic_assets_tests.made_once import made_once


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `panic run` ran for the first time, in ``place``, and what it printed; not to be changed."""
    return made_once(tmp_path_factory, "smoke", _make)


def _make(folder: Path) -> None:
    place = folder / "place"
    place.mkdir()
    (place / "smoke.yaml").write_text(SMOKE)
    (place / "ci_smoke.yaml").write_text(SMOKE.replace("apple", "pear"))
    done = Shell(place)("panic_assets.cli", "run", "smoke.yaml")
    (folder / "first.json").write_text(json.dumps([done.args, done.returncode, done.stdout, done.stderr]))


@pytest.fixture(scope="session")
def first(made: Path) -> subprocess.CompletedProcess[str]:
    """`panic run` for the first time."""
    return subprocess.CompletedProcess(*json.loads((made / "first.json").read_text()))


@pytest.fixture(scope="module")
def shell(made: Path, first: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs Python modules in a folder elsewhere; the data directory stays the same for all tests of a file."""
    assert first.returncode == 0, first.stderr
    place = tmp_path_factory.mktemp("smoke") / "place"
    shutil.copytree(made / "place", place)
    build_catalog(place / "data" / "lake")  # it holds paths
    return Shell(place)


@pytest.fixture
def data(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory that `panic run` made, for commands in this process."""
    for name, value in shell.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(shell.data / ".dagster"))
    monkeypatch.setenv("DAGSTER_HOME", str(project_dir()))
    return shell.data
