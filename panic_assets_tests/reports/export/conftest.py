"""One lake for all tests of exports, which only read it."""

from __future__ import annotations

import pytest

from panic_assets.lake import Lake
from panic_assets_tests.reports.export.parts import picture_lake


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return picture_lake(tmp_path_factory.mktemp("exports") / "lake")
