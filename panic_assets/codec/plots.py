"""Rate-distortion curves, drawn.

Here belongs the one figure that a session with the codec needs. Figures of experiments, and how those look, are the
business of ``reports``.

>>> figure = rd_plot({"ours": [(0.1, 30.0), (0.2, 33.0)], "avif": [(0.2, 30.0), (0.4, 33.0)]}, reference="avif")
>>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
['ours, 50 % fewer bytes', 'avif']
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from panic_assets.codec.bd_rate import NoCommonQuality, bd_rate
from panic_assets.codec.errors import UnfitValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]
"""Points of (bits per pixel, quality), in any order."""


def rd_plot(curves: Mapping[str, Curve], quality: str = "PSNR (dB)", reference: str | None = None) -> Figure:
    """Quality over bits per pixel, one line for each codec; save it with the figure's ``savefig``.

    Quality grows with likeness and is named on its axis; points that are not finite (a lossless picture's PSNR) are
    left out. With a ``reference``, the legend says how many more or fewer bytes each codec needs than that one at
    equal quality (Bjontegaard), where both reach some quality.

    Raises: :class:`UnfitValue` for no curves, a curve without points, or an unknown reference.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    drawn = {name: sorted(point for point in curve if math.isfinite(point[1])) for name, curve in curves.items()}
    empty = [name for name, points in drawn.items() if not points]
    if not drawn or empty:
        raise UnfitValue(f"curves {list(curves)}: give at least one, and points with finite quality (none in {empty})")
    if reference is not None and reference not in drawn:
        raise UnfitValue(f"reference {reference!r} is none of {', '.join(drawn)}")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, points in drawn.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=_label(name, drawn, reference))
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(quality)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _label(name: str, curves: Mapping[str, Curve], reference: str | None) -> str:
    if reference is None or name == reference:
        return name
    try:
        change = bd_rate(*zip(*curves[name], strict=True), *zip(*curves[reference], strict=True))
    except NoCommonQuality:
        return f"{name}, not comparable"
    return f"{name}, {abs(change):.0%} {'more' if change > 0 else 'fewer'} bytes".replace("%", " %")
