"""Checkpoints on disk, built once in a session when a test first asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from panic_assets.models.registry import Registry, load_registry


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The shipped models."""
    return load_registry()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny checkpoint by name."""
    from panic_assets_tests.models import tiny

    folders: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in folders:
            folders[name] = tiny.build(name, tmp_path_factory.mktemp(name) / "model")
        return folders[name]

    return get
