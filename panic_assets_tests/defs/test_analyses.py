"""Analyses as assets: one for each, documented, and after what they read."""

from __future__ import annotations

import dagster as dg
import pytest

from panic_assets.definitions import build_defs
from panic_assets.defs.analyses import ANALYSIS_ASSETS
from panic_assets.dynamics.analyses import ANALYSES, analysis
from panic_assets.lake import TABLES
from panic_assets.paths import project_dir


def test_every_analysis_is_an_asset_after_what_it_reads() -> None:
    graph = build_defs().resolve_asset_graph()
    made = {key.to_user_string() for key in graph.get_all_asset_keys()}
    for one, asset in zip(ANALYSES, ANALYSIS_ASSETS, strict=True):
        upstream = {key.to_user_string() for key in graph.get(asset.key).parent_keys}
        assert upstream <= made
        assert set(one.reads) <= set(TABLES), one.name
        if "embeddings" in one.reads:
            assert "embeddings" in upstream
        if "cluster_assignments" in one.reads:
            assert "clusters" in upstream
        assert asset.specs_by_key[asset.key].group_name == "analyses"


def test_the_catalog_comes_after_all_analyses() -> None:
    graph = build_defs().resolve_asset_graph()
    upstream = {key.to_user_string() for key in graph.get(dg.AssetKey("catalog")).parent_keys}
    assert {one.name for one in ANALYSES} <= upstream


@pytest.mark.parametrize("name", [one.name for one in ANALYSES])
def test_every_analysis_has_a_page_that_defines_it(name: str) -> None:
    page = (project_dir() / "docs" / "analyses" / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith("# ")
    assert len(page.splitlines()) >= 20
    assert analysis(name).description.endswith(".")


def test_names_are_told_apart() -> None:
    assert len({one.name for one in ANALYSES}) == len(ANALYSES)
    with pytest.raises(KeyError):
        analysis("none")
