"""One look for all figures, and their way into bytes: small PNG for metadata; PNG, SVG and PDF as files.

Here belong colours, sizes, labels of panels and saving. What a figure shows is the business of ``figures``. Equal
figures give equal bytes: no dates, no random identifiers.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/) without its yellow, too pale on paper: told apart by
# colour-blind readers, and by their lightness in a print without colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")
INK, FAINT, PALE = "#222222", "#BBBBBB", "#EEEEEE"
#: Points from which on they are drawn as one picture within an SVG or PDF.
RASTERISE_FROM = 2000
#: Smallest letters, in points.
SMALL = 6.5
FORMATS = ("png", "svg", "pdf")

_FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine
_LOOK: dict[str, Any] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.facecolor": "white",
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "font.family": _FONT,
    "font.size": 8,
    "image.cmap": "cividis",
    "legend.fontsize": 7,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # whole letters, not their outlines
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and copied
    "svg.hashsalt": "panic_assets",
    # A caption may hold dollar signs, which would be taken for formulas.
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": 7,
    "xtick.major.size": 2,
    "ytick.color": INK,
    "ytick.labelsize": 7,
    "ytick.major.size": 2,
}
_NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

P = ParamSpec("P")
R = TypeVar("R")


class UnknownFormat(PanicError):
    """Figures are not written in that format."""


def look() -> AbstractContextManager[None]:
    """The settings of matplotlib under which figures are drawn and saved."""
    import matplotlib as mpl

    return mpl.rc_context(_LOOK)  # type: ignore[arg-type]


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in the house's look, whatever settings the caller has."""

    @functools.wraps(function)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> R:
        with look():
            return function(*args, **kwargs)

    return drawing


def colour(number: int) -> str:
    """The colour of the ``number``-th of several things; they begin anew after the last."""
    return COLOURS[number % len(COLOURS)]


def line(number: int) -> str:
    """The kind of line of the ``number``-th of several things: another one with each round of colours."""
    return LINES[number // len(COLOURS) % len(LINES)]


def new_figure(
    columns: int = 1, rows: int = 1, width: float = 3.4, height: float = 2.7, title: str = "", **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, sizes in inches each; drawn without a window system. ``options``: of its subplots."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows + (0.3 if title else 0)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure, panels


def grid(count: int, columns: int = 3, **options: Any) -> tuple[Figure, list[Axes]]:
    """``count`` equal panels in rows of ``columns``; unused places of the last row stay blank."""
    across = min(columns, count)
    figure, panels = new_figure(across, -(-count // across), **options)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def legend_below(figure: Figure, panels: Iterable[Axes], most: int = 3) -> None:
    """One legend for all panels, below them, where it hides no data; none for a single entry."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if len(entries) > 1:
        widest = max(map(len, entries))
        room = max(1, int(figure.get_figwidth() * 13 / (widest + 6)))
        legend = figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=min(most, room, len(entries)),
            markerscale=1.6,
        )
        for shown in legend.legend_handles:
            if shown is not None:
                shown.set_alpha(1)


def note(figure: Figure, text: str) -> None:
    """A remark below all panels."""
    figure.supxlabel(text, fontsize=SMALL, color="#555555", ha="left", x=0.01)


def save(figure: Figure, kind: str = "png", dots_per_inch: int = 150) -> bytes:
    """The figure as a file's content: ``png``, ``svg`` or ``pdf``. Equal figures give equal bytes.

    Fonts are embedded in SVG and PDF. ``dots_per_inch``: of PNG, and of what is drawn as a picture within the others.

    Raises:
        UnknownFormat: none of these formats.
    """
    if kind not in FORMATS:
        raise UnknownFormat(f"figures are not written as {kind!r}; one of {', '.join(FORMATS)}")
    drawn = io.BytesIO()
    with look():
        figure.savefig(drawn, format=kind, dpi=dots_per_inch, metadata=_NO_DATES[kind], facecolor="white")
    if kind == "svg":
        from panic_assets.reports.fonts import with_font

        return with_font(drawn.getvalue(), _FONT)
    return drawn.getvalue()


def png(figure: Figure, dots_per_inch: int = 110, colours: int = 64) -> bytes:
    """The figure as PNG with few colours, which keeps it small."""
    from PIL import Image

    small = io.BytesIO()
    with Image.open(io.BytesIO(save(figure, "png", dots_per_inch))) as image:
        few = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
    return small.getvalue()


def small_png(figure: Figure, largest: int = 75_000) -> bytes | None:
    """The figure as PNG of less than ``largest`` bytes, as sharp as that allows; None if it can't be told then."""
    for dots_per_inch, colours in ((110, 64), (90, 64), (75, 48), (60, 32)):
        drawn = png(figure, dots_per_inch, colours)
        if len(drawn) < largest:
            return drawn
    return None
