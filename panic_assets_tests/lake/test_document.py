"""The page of tables is made from the declared tables and is up to date."""

from __future__ import annotations

from panic_assets.lake.document import tables_page
from panic_assets.lake.schemas import TABLES
from panic_assets.paths import project_dir


def test_the_page_tells_every_column() -> None:
    page = tables_page()
    for spec in TABLES.values():
        assert f"## {spec.name}\n" in page
        for column in spec.columns:
            assert column.meaning in page


def test_the_page_in_the_docs_is_the_one_that_would_be_made() -> None:
    assert (project_dir() / "docs" / "tables.md").read_text() == tables_page(), (
        "run python -m panic_assets.lake.document > docs/tables.md"
    )
