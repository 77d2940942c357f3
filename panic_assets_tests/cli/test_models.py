"""``panic models`` and ``panic devices``."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.models.registry import UnknownModel, load_registry
from panic_assets_tests.cli.parts import document, typed


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANIC_DATA", str(tmp_path))


def test_models_are_listed_and_shown() -> None:
    listed = typed("models", "list")
    for name in load_registry():
        assert name in listed
    shown = typed("models", "show", "FluxDev")
    assert "name: FluxDev" in shown
    unverified = load_registry()["FluxDev"].unverified
    assert unverified
    marked = [line for line in shown.splitlines() if "not checked against the model's page" in line]
    assert {line.split(":")[0] for line in marked} <= set(unverified)
    assert marked
    with pytest.raises(UnknownModel, match="FluxDev"):
        typed("models", "show", "FluxDe")


def test_models_as_json() -> None:
    told = {entry["name"]: entry for entry in document("models", "list")}
    assert set(told) == set(load_registry())
    assert (told["TinyScenes"]["takes"], told["TinyScenes"]["gives"]) == (["text"], "image")
    assert document("models", "show", "TinyScenes") == told["TinyScenes"]


def test_a_model_is_tried() -> None:
    assert typed("models", "check", "DummyI2T").startswith("DummyI2T: loaded from ")
    told = document("models", "check", "DummyText", "--device", "cpu")
    assert told["entry"] == "DummyText"
    (trial,) = told["trials"]
    assert trial["medium"] == "text"
    assert len(trial["output"]) == load_registry()["DummyText"].dimension


def test_a_model_without_files_of_its_own_needs_no_download() -> None:
    assert "nothing has to be fetched" in typed("models", "download", "DummyText")
    assert document("models", "download", "DummyText")["from_hub"] is False


def test_devices_that_nobody_shares() -> None:
    assert "No process shares devices here" in typed("devices", "status")
    assert document("devices", "status") is None
    assert typed("devices", "stop") == "no process shares devices here\n"
    assert document("devices", "stop") == {"ended_process": None}
