"""Every figure: drawn where there is data, absent where there is none, equal when drawn again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from panic_assets.lake import Lake
from panic_assets.reports import style
from panic_assets.reports.figures.table import FIGURES, IN_SHORT, candidates, figures_of, of_analysis, written

QUICK = [name for name, spec in FIGURES.items() if not spec.slow]


@pytest.mark.parametrize("name", QUICK)
def test_a_figure_is_drawn_twice_alike_small_and_not_blank(name: str, lake: Lake) -> None:
    spec = FIGURES[name]
    drawn = [spec.draw(lake, "small") for _ in range(2)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert drawn[0].get_suptitle() == spec.title
    once, again = (style.small_png(figure) for figure in drawn)
    assert once is not None
    assert once == again
    assert len(once) < 75_000
    with Image.open(io.BytesIO(once)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) >= 100
    assert (pixels < 250).any(2).mean() > 0.005


@pytest.mark.parametrize("name", QUICK)
def test_an_empty_lake_has_nothing_to_show(name: str, empty: Lake) -> None:
    assert FIGURES[name].draw(empty, "small") is None


@pytest.mark.parametrize("kind", style.FORMATS)
def test_files_are_equal_when_written_again(kind: str, lake: Lake) -> None:
    figures = [FIGURES["trajectories"].draw(lake, "small") for _ in range(2)]
    once, again = (style.save(figure, kind) for figure in figures if figure is not None)
    assert once == again


def test_every_figure_says_what_it_is_and_reads() -> None:
    for spec in FIGURES.values():
        assert spec.title
        assert spec.explains.endswith((".", "?"))
        assert spec.tables
    assert set(IN_SHORT) <= set(FIGURES)


def test_analyses_that_wrote_something_have_figures(lake: Lake, empty: Lake) -> None:
    assert written(lake, "small") == {"cluster_dynamics", "divergence", "sweet"}
    assert {"sweet_curves", "sweet_groups", "sweet_labels", "sweet_runs"} <= set(figures_of(lake, "small"))
    assert set(figures_of(empty, "small")) == set(FIGURES)
    assert all(spec.analysis == "sweet" for spec in of_analysis("sweet").values())


def test_an_analysis_without_a_figure_of_its_own_gets_what_fits_all(lake: Lake) -> None:
    assert len(candidates("sweet")) == 4
    assert len(candidates("recurrence")) == 5
    figure = candidates("sweet")[0](lake, "small")
    assert figure is not None
    assert figure.get_suptitle() == "Sweet"


def test_umap_is_drawn_where_it_is_installed(lake: Lake) -> None:
    import importlib.util

    spec = FIGURES["trajectories_umap"]
    assert spec.slow
    if importlib.util.find_spec("umap") is None:
        assert spec.draw(lake, "small") is None
