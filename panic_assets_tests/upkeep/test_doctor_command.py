"""The command: what is printed, what is asked, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from panic_assets.cli.doctor import doctor
from panic_assets.lake import Lake
from panic_assets_tests.loop.parts import experiment, run
from panic_assets_tests.upkeep.maladies import at, drop

APP = typer.Typer()
APP.command()(doctor)


def panic(*arguments: str, answer: str = "") -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(APP, list(arguments), input=answer)
    return result.exit_code, result.stdout, result.stderr


def test_the_command_tells_asks_and_mends(data: Path) -> None:
    run(Lake(data / "lake"), experiment())
    code, told, _ = panic("--quick")
    assert code == 0
    assert "healthy: 1 to do, 1 hint" in told
    assert max(map(len, told.splitlines())) <= 80
    drop("invocations", at(1, 3))(Lake(data / "lake"))
    code, told, _ = panic()
    assert code == 1
    assert "sequences_are_contiguous" in told
    code, told, _ = panic("small", "--fix", answer="n\n")
    assert code == 1
    assert not (data / "quarantine").exists()
    code, told, _ = panic("small", "--fix", answer="y\n")
    assert code == 0
    assert "panic run small: 8 invocations" in told
    assert (data / "quarantine" / "small").is_dir()


def test_json_is_one_document(data: Path) -> None:
    run(Lake(data / "lake"), experiment())
    drop("invocations", at(0, 3))(Lake(data / "lake"))
    code, told, _ = panic("--json")
    found = json.loads(told)
    assert code == 1
    assert found["is_sound"] is False
    assert {
        "rule",
        "severity",
        "table",
        "experiment",
        "study",
        "count",
        "examples",
        "message",
        "remedy",
        "path",
    } == set(found["findings"][0])
    code, told, _ = panic("--json", "--fix", "--yes")
    assert code == 0
    assert json.loads(told)["is_sound"] is True


@pytest.mark.usefixtures("data")
def test_what_is_not_there_cannot_be_examined() -> None:
    code, _, told = panic("nope")
    assert code == 2
    assert "no experiment 'nope'" in told
