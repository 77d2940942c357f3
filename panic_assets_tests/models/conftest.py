"""Checkpoints on disk, built once in a session when a test first asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from panic_assets.models.registry import Registry, load_registry

if TYPE_CHECKING:
    from panic_assets.models.adapters.common import LoadedModel


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


@pytest.fixture(scope="module")
def loaded(registry: Registry, checkpoint: Callable[[str], Path]) -> Callable[..., LoadedModel]:
    """Gives registry entries on tiny checkpoints, each loaded once in a module."""
    from panic_assets.models.adapters import load_model
    from panic_assets_tests.models import tiny

    models: dict[str, LoadedModel] = {}

    def get(name: str, checkpoint_name: str | None = None, **overrides: Any) -> LoadedModel:
        entry = registry[name]
        key = json.dumps([name, checkpoint_name, overrides], sort_keys=True)
        if key not in models:
            folder = checkpoint(checkpoint_name or tiny.checkpoint_of(entry))
            models[key] = load_model(tiny.entry(entry, folder, **overrides), "cpu")
        return models[key]

    return get
