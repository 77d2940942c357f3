"""Figures as files and as bytes for metadata."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panic_assets.defs.metadata import LARGEST_FIGURE, figure
from panic_assets.lake import Lake
from panic_assets.reports.figures.files import NoSuchFigure, figure_of, write_figures
from panic_assets.reports.figures.table import FIGURES, IN_SHORT
from panic_assets.reports.style import UnknownFormat

SHORT = {name: FIGURES[name] for name in IN_SHORT}


def test_files_are_written_for_what_there_is(lake: Lake, empty: Lake, tmp_path: Path) -> None:
    told: list[str] = []
    written = write_figures(lake, "small", tmp_path / "figures", figures=SHORT, tell=told.append)
    assert [path.name for path in written] == [f"{name}.png" for name in IN_SHORT]
    assert told == []
    assert write_figures(empty, "small", tmp_path / "nothing", figures=SHORT, tell=told.append) == []
    assert told[0] == "film_strips: nothing to show; it is drawn from runs, invocations, images"


def test_one_figure_alone(lake: Lake, tmp_path: Path) -> None:
    (path,) = write_figures(lake, "small", tmp_path, "svg", only="sweet_curves")
    drawn = path.read_text()
    assert path.name == "sweet_curves.svg"
    assert "DummyText, text" in re.sub(r"<[^>]+>", "", drawn)
    assert "font/woff" in drawn
    again = write_figures(lake, "small", tmp_path / "again", "svg", only="sweet_curves")
    assert again[0].read_text() == drawn


def test_fonts_are_in_a_pdf(lake: Lake, tmp_path: Path) -> None:
    (path,) = write_figures(lake, "small", tmp_path, "pdf", only="sweet_curves")
    drawn = path.read_bytes()
    assert b"/FontFile2" in drawn
    assert b"CreationDate" not in drawn


def test_what_is_not_there_is_said(lake: Lake, empty: Lake, tmp_path: Path) -> None:
    with pytest.raises(NoSuchFigure, match=r"no figure 'nonsense' of 'small'; one of film_strips, "):
        write_figures(lake, "small", tmp_path, only="nonsense")
    with pytest.raises(NoSuchFigure, match="holds nothing of an experiment 'small'"):
        write_figures(empty, "small", tmp_path)
    with pytest.raises(UnknownFormat, match=r"'gif'; one of png, svg, pdf"):
        write_figures(lake, "small", tmp_path, "gif", figures=SHORT)


def test_an_analysis_has_a_small_picture(lake: Lake, empty: Lake) -> None:
    for name in ("sweet", "divergence", "cluster_dynamics"):
        drawn = figure_of(lake, "small", name)
        assert drawn is not None
        assert drawn.startswith(b"\x89PNG")
        assert len(figure(drawn, name)["figure"].value) < 100_000
    assert figure_of(lake, "small", "salty") is None
    assert figure_of(empty, "small", "recurrence") is None


def test_metadata_leaves_out_what_is_too_large() -> None:
    assert figure(None, "none") == {}
    assert figure(b"", "empty") == {}
    assert figure(bytes(LARGEST_FIGURE), "large") == {}
    assert figure(b"picture", "small")["figure"].value == "![small](data:image/png;base64,cGljdHVyZQ==)"
