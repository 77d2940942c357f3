from __future__ import annotations

from pathlib import Path

import pytest

from panic_assets_tests.codec import tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real model of a few kilobytes."""
    return tiny_model.write(tmp_path_factory.mktemp("codec") / "tiny")
