"""What a figure is: a name, what it explains, the tables it reads, and the function that draws it.

Here belongs the declaration alone; the list of all figures is in ``table``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from panic_assets.lake import Lake

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Lake, str], "Figure | None"]


@dataclass(frozen=True)
class FigureSpec:
    """A figure of one experiment.

    ``draw`` takes the lake and the name of an experiment and gives a matplotlib figure, None where nothing is to show.
    ``tables``: what it reads. ``analysis``: the analysis that it belongs to, empty for none. ``needs``: a package that
    has to be installed besides, empty for none. ``slow``: takes minutes, so that it is
    drawn only when asked for by name.
    """

    title: str
    explains: str
    tables: tuple[str, ...]
    draw: Draw
    analysis: str = ""
    needs: str = ""
    slow: bool = False
