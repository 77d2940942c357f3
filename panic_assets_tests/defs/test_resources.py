"""Resources: what is said by configuration and by the environment becomes devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets.defs.resources import Laboratory, Models
from panic_assets.errors import PanicError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PANIC_DEVICES", "PANIC_LANES"):
        monkeypatch.delenv(name, raising=False)


def _opened(models: Models) -> list[tuple[str, int, float | None]]:
    try:
        return [(device.name, device.lanes, device.capacity_gb) for device in models.opened]
    finally:
        models.teardown_after_execution(None)  # type: ignore[arg-type]


def test_configuration_says_what_computes() -> None:
    assert _opened(Models(devices="cpu")) == [("cpu", 1, None)]
    assert _opened(Models(devices="cpu", lanes=3, capacity_gb=2.0)) == [("cpu", 3, 2.0)]


def test_the_environment_says_it_where_configuration_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANIC_DEVICES", "2*cpu")
    monkeypatch.setenv("PANIC_LANES", "2")
    assert [lanes for _, lanes, _ in _opened(Models())] == [2, 2]
    assert _opened(Models(devices="cpu", lanes=1)) == [("cpu", 1, None)]


@pytest.mark.parametrize(("name", "value"), [("PANIC_LANES", "many"), ("PANIC_LANES", "0"), ("PANIC_DEVICES", "gpu")])
def test_what_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PanicError, match=value):
        _opened(Models())


def test_facts_lie_in_the_data_directory(tmp_path: Path) -> None:
    assert Laboratory(data=str(tmp_path)).facts.path == tmp_path / "cache" / "devices.json"
