"""Figures as bytes and files: all of an experiment into a folder, one for an asset's metadata.

Here belongs what is drawn and where it goes; how it looks is the business of ``style``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from panic_assets.errors import PanicError
from panic_assets.lake import Lake
from panic_assets.lake.durable import replace_file
from panic_assets.reports import style
from panic_assets.reports.figures.spec import Draw, FigureSpec
from panic_assets.reports.figures.table import FIGURES, candidates, figures_of

_EXTRAS = {"umap": "umap-learn: pip install 'panic-assets[umap]'"}


class NoSuchFigure(PanicError):
    """There is no figure of that name, or the lake holds nothing of the experiment."""


def png_of(draw: Draw, lake: Lake, experiment: str) -> bytes | None:
    """A small PNG, of less than 75,000 bytes, for the metadata of an asset; None where nothing is to show."""
    figure = draw(lake, experiment)
    return None if figure is None else style.small_png(figure)


def figure_of(lake: Lake, experiment: str, analysis: str) -> bytes | None:
    """What an analysis found, as a small PNG: its own figure, else its curves, groups, labels or runs.

    None if it has written nothing that can be drawn.
    """
    for draw in candidates(analysis):
        drawn = png_of(draw, lake, experiment)
        if drawn is not None:
            return drawn
    return None


def write_figures(
    lake: Lake,
    experiment: str,
    folder: Path,
    kind: str = "png",
    only: str | None = None,
    figures: dict[str, FigureSpec] | None = None,
    tell: Callable[[str], None] = lambda words: None,
) -> list[Path]:
    """Write the figures of an experiment as files; the paths of those that have something to show.

    Args:
        lake: where everything is read.
        experiment: its name.
        folder: made if it is missing; files of the same names are replaced.
        kind: ``png``, ``svg`` or ``pdf``.
        only: name of the one figure to draw.
        figures: those to draw; without it all that ``figures_of`` knows.
        tell: is told why a figure was left out.

    Raises:
        NoSuchFigure: there is no figure ``only``, or the lake holds nothing of the experiment.
        UnknownFormat: figures are not written as ``kind``.
    """
    known = figures_of(lake, experiment) if figures is None else figures
    if figures is None and lake.manifest("runs", experiment) is None:
        raise NoSuchFigure(
            f"the lake at {lake.root} holds nothing of an experiment {experiment!r}; `panic run FILE` first"
        )
    if only is not None:
        if only not in known:
            raise NoSuchFigure(f"there is no figure {only!r} of {experiment!r}; one of {', '.join(known)}")
        known = {only: known[only]}
    if kind not in style.FORMATS:
        raise style.UnknownFormat(f"figures are not written as {kind!r}; one of {', '.join(style.FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, spec in known.items():
        if spec.needs and importlib.util.find_spec(spec.needs) is None:
            tell(f"{name}: needs {_EXTRAS.get(spec.needs, spec.needs)}")
            continue
        if spec.slow and only is None:
            tell(f"{name}: takes minutes; ask for it by name")
            continue
        figure = spec.draw(lake, experiment)
        if figure is None:
            if only is not None or name in FIGURES:
                tell(f"{name}: nothing to show; it is drawn from {', '.join(spec.tables)}")
            continue
        written.append(folder / f"{name}.{kind}")
        replace_file(written[-1], style.save(figure, kind))
    return written
