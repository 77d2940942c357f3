"""A data directory that `panic run` made, once for all tests of the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from panic_assets.paths import project_dir
from panic_assets_tests.cli.parts import SMOKE, Shell


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs Python modules in a folder elsewhere; the data directory stays the same for all tests here."""
    place = tmp_path_factory.mktemp("place")
    (place / "smoke.yaml").write_text(SMOKE)
    (place / "ci_smoke.yaml").write_text(SMOKE.replace("apple", "pear"))
    return Shell(place)


@pytest.fixture(scope="session")
def first(shell: Shell) -> subprocess.CompletedProcess[str]:
    """`panic run` for the first time."""
    return shell("panic_assets.cli", "run", "smoke.yaml")


@pytest.fixture
def data(first: subprocess.CompletedProcess[str], shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory that `panic run` made, for commands in this process."""
    assert first.returncode == 0, first.stderr
    for name, value in shell.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(shell.data / ".dagster"))
    monkeypatch.setenv("DAGSTER_HOME", str(project_dir()))
    return shell.data
