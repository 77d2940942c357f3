"""The curves of codecs on an experiment's pictures as one figure, for Dagster's metadata and for print.

Here belongs drawing with matplotlib, in the look of all figures. The charts of pages are in ``panels``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from panic_assets.codec.rates import NotMeasured
from panic_assets.lake import Lake
from panic_assets.reports.codec.contents import CURVES, Measured, measured_in
from panic_assets.reports.codec.panels import IN_ORDER, point, scale_title
from panic_assets.reports.style import COLOURS, FAINT, grid, legend_below, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "What pictures would take in each codec"
_MARKS = ("o", "s", "D", "^", "v")
#: In the order of CURVES, as in the charts of pages; grey for JPEG.
_COLOURS = (*(COLOURS[place] for place in (0, 1, 3, 2)), "#6b6a66")


def rates_figure(lake: Lake, experiment: str) -> Figure | None:
    """Likeness against bytes, a panel for each measure; None where nothing was measured.

    Raises:
        LakeError: a table can't be read.
    """
    try:
        measured = measured_in(lake, experiment)
    except NotMeasured:
        return None
    return drawn(measured) if measured.rows else None


@styled
def drawn(measured: Measured) -> Figure:
    """The same of what was read already."""
    figure, panels = grid(len(IN_ORDER), columns=2, width=3.5, height=2.5, title=TITLE)
    for panel, measure in zip(panels, IN_ORDER, strict=True):
        for codec, colour, shape in zip(CURVES, _COLOURS, _MARKS, strict=True):
            points = [point(row, measure) for row in measured.curve(codec)]
            if points:
                panel.plot(
                    *zip(*points, strict=True), marker=shape, markersize=3, linewidth=1.2, color=colour, label=codec
                )
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.xaxis.set_minor_formatter("")
        panel.grid(color=FAINT, linewidth=0.3)
        panel.set(
            title=measure.title, xlabel=f"bytes of a file, mean of {measured.pictures}", ylabel=scale_title(measure)
        )
    legend_below(figure, panels, most=5)
    return figure
