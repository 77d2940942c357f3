"""delete, gc, backup, restore and doctor, as a person types them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from panic_assets import cli
from panic_assets.cli.asking import NobodyToAsk
from panic_assets.errors import PanicError
from panic_assets.lake import TABLES, Lake
from panic_assets_tests.cli.parts import document, typed


@pytest.fixture
def own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the data directory, to do as one likes with."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    monkeypatch.setenv("PANIC_DATA", str(copy))
    monkeypatch.setenv("PANIC_DAGSTER_STATE", str(copy / ".dagster"))
    return copy


def rows(data: Path) -> int:
    return Lake(data / "lake").read("invocations", "smoke").num_rows


def test_delete_shows_what_goes_and_changes_nothing_on_a_dry_run(own: Path) -> None:
    shown = typed("delete", "smoke", "--dry-run")
    assert "invocations" in shown
    assert "16 rows" in shown
    assert rows(own) == 16
    assert document("delete", "smoke", "--dry-run")["done"] is None


def test_delete_does_not_guess_without_a_terminal(own: Path) -> None:
    with pytest.raises(NobodyToAsk, match="say --yes"):
        typed("delete", "smoke")
    with pytest.raises(PanicError, match="smok"):
        typed("delete", "smok", "--yes")  # the whole name, or nothing
    assert rows(own) == 16


def test_delete_takes_all_of_it_and_it_can_be_run_again(own: Path) -> None:
    lake = Lake(own / "lake")
    assert "deleted smoke" in typed("delete", "smoke", "--yes")
    assert all("smoke" not in lake.experiments(table) for table, spec in TABLES.items() if spec.of_experiment)
    assert (own / "experiments" / "smoke.yaml").is_file()
    with dg.DagsterInstance.get() as instance:
        assert "smoke" not in instance.get_dynamic_partitions("experiment")
    with pytest.raises(PanicError, match="smoke"):
        typed("delete", "smoke", "--yes")
    assert typed("run", "--quiet", "smoke") == ""
    assert rows(own) == 16


def test_gc_frees_what_a_deletion_left(own: Path) -> None:
    typed("delete", "smoke", "--yes")
    parts = list((own / "lake" / "invocations").rglob("*.parquet"))
    assert parts
    typed("gc", "--yes")
    assert all(part.exists() for part in parts), "who reads them may go on for a day"
    assert "removed" in typed("gc", "--yes", "--older-than", "0")
    assert not any(part.exists() for part in parts)


@pytest.mark.parametrize("name", ["kept", "kept.tar", "kept.tar.zst"])
def test_a_backup_brings_back_what_was_deleted(own: Path, tmp_path: Path, name: str) -> None:
    before = Lake(own / "lake").read("invocations", "smoke")
    target = tmp_path / name
    assert document("backup", str(target))["experiments"] == ["smoke"]
    assert "sound" in typed("restore", str(target), "--verify")
    typed("delete", "smoke", "--yes", "--now")
    assert "smoke" in typed("restore", str(target))
    assert Lake(own / "lake").read("invocations", "smoke").equals(before)
    assert document("doctor")["findings"] == []


def test_doctor_finds_and_mends(own: Path) -> None:
    assert document("doctor", "smo")["findings"] == []
    (held,) = Lake(own / "lake").manifests("invocations")[:1]
    part = held[0] / held[1].parts[0].file
    part.write_bytes(part.read_bytes()[:-9])
    sick = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert sick.exit_code == 1
    assert any(finding["table"] == "invocations" for finding in json.loads(sick.stdout)["findings"])
    mended = CliRunner().invoke(cli.app, ["doctor", "--fix", "--yes"])
    assert mended.exit_code == 0, mended.output
    assert "panic run smoke" in mended.output
    assert list((own / "quarantine").rglob("*.parquet"))
    typed("run", "--quiet", "smoke")
    assert rows(own) == 16
    assert document("doctor")["findings"] == []
