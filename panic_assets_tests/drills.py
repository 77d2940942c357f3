"""Faults on purpose: the file that asks dummies for them, and how often they struck."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from panic_assets.models.adapters.faults import VARIABLE


class Drill:
    """Asks the dummies of this process, and of those that it starts from now on, for faults."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "faults.json"
        monkeypatch.setenv(VARIABLE, str(self.file))
        self.order()

    def order(self, **faults: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Faults by model; earlier ones are called off."""
        self.file.write_text(json.dumps(faults))

    def struck(self, model: str, number: int = 0) -> int:
        """How many times a fault's condition held."""
        tally = self.file.with_name(f"{self.file.name}.{model}.{number}.tally")
        return tally.stat().st_size if tally.exists() else 0

    def wait_until_struck(self, model: str, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not self.struck(model):
            assert time.monotonic() < until, f"{model} was not struck within {seconds} s"
            time.sleep(0.01)
