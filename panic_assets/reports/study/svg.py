"""Charts as SVG text: scales, ticks, axes and marks, in colours that the page's style gives.

Here belongs drawing that knows nothing of studies. Nothing is set by a style attribute, which careful pages refuse:
marks bear classes, ``a0`` to ``a7`` for their colour. Every text that comes from outside is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from panic_assets.reports.study.words import number, power_of_ten

WIDTH, HEIGHT = 380.0, 250.0
COLOURS = 8
_LARGEST = 1e150  # the square of a number beyond it is none
_LETTER = 5.9  # average width of a letter of 11 px, in px
#: One shape for each colour, so that a print without colours can be read too.
_MARKS = ("circle", "square", "triangle", "diamond", "down", "cross", "plus", "pentagon")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "1 2", "10 3", "3 1")


def tag(name: str, *content: str, **attributes: object) -> str:
    """An element; ``class_`` is class, ``stroke_width`` stroke-width. Content is markup already."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    return f"<{name}{told}>{''.join(content)}</{name}>" if content else f"<{name}{told}/>"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return escape(str(value), quote=True)


def text(x: float, y: float, words: str, **attributes: object) -> str:
    """Words at a place, escaped."""
    return tag("text", escape(words), x=x, y=y, **attributes)


def width_of(words: str, letters: float = 11.0) -> float:
    """About how many pixels words take."""
    return len(words) * _LETTER * letters / 11


@dataclass(frozen=True)
class Scale:
    """From values to pixels; ``low`` < ``high``, above 0 where ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; one beyond the scale is put at its border."""
        value = min(max(value, self.low), self.high)  # also what is too large to be drawn
        low, high = self._inner(self.low), self._inner(self.high)
        return self.start + (self._inner(value) - low) / (high - low) * (self.end - self.start)

    def _inner(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Round values within the scale, each with what is written at it."""
        if not self.log:
            return linear_ticks(self.low, self.high, most)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if last - first >= 1:
            every = max(1, -(-(last - first + 1) // most))
            return [(10.0**power, power_of_ten(power)) for power in range(first, last + 1, every)]
        found = [
            m * 10.0**p for p in range(first - 1, last + 1) for m in (1, 2, 5) if self.low <= m * 10.0**p <= self.high
        ]
        return [(value, number(value, 1)) for value in found] or linear_ticks(self.low, self.high, most)


def linear_ticks(low: float, high: float, most: int = 5) -> list[tuple[float, str]]:
    """Round values from low to high with as many decimals as they need."""
    raw = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    decimals = next((d for d in range(7) if abs(round(step, d) - step) < 1e-9 * step), 7)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if abs(high) >= 1e6 or decimals > 5:
        return [(n * step, number(n * step, 5)) for n in range(first, last + 1)]
    return [(n * step, f"{n * step + 0.0:,.{decimals}f}".replace("-", "\u2212")) for n in range(first, last + 1)]


def fitted(
    values: Iterable[float], start: float, end: float, *, log: bool = False, zero: bool = False, room: float = 0.06
) -> Scale:
    """A scale that holds all finite values, with some room; from 0 where ``zero``."""
    finite = [value for value in values if abs(value) < _LARGEST and (value > 1 / _LARGEST or not log)]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    if log:
        stretch = (high / low) ** room if high > low else 2.0
        return Scale(low / max(stretch, 1.05), high * max(stretch, 1.05), start, end, True)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    spare = room * (high - low)
    return Scale(low if zero and low == 0 else low - spare, high if zero and high == 0 else high + spare, start, end)


@dataclass(frozen=True)
class Plot:
    """The place of a chart's data: two scales, ``y`` with its start at the bottom."""

    x: Scale
    y: Scale

    def axes(self, x_title: str, y_title: str, x_ticks: int = 5, y_ticks: int = 5) -> str:
        """Lines across at the ticks of y, ticks of x below, and both titles; that of y stands above its axis."""
        left, right, bottom = self.x.start, self.x.end, self.y.start
        drawn = [
            tag("line", class_="rule", x1=left, x2=right, y1=self.y.at(value), y2=self.y.at(value))
            + text(left - 6, self.y.at(value) + 3.6, told, class_="tick end")
            for value, told in self.y.ticks(y_ticks)
        ]
        drawn += [
            tag("line", class_="edge", x1=self.x.at(value), x2=self.x.at(value), y1=bottom, y2=bottom + 4)
            + text(self.x.at(value), bottom + 15, told, class_="tick mid")
            for value, told in self.x.ticks(x_ticks)
        ]
        drawn.append(tag("line", class_="edge", x1=left, x2=right, y1=bottom, y2=bottom))
        drawn.append(text((left + right) / 2, bottom + 31, x_title, class_="title mid"))
        drawn.append(text(2, 11, y_title, class_="title"))
        return "".join(drawn)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """The d of a line through points; a value that is not finite interrupts it."""
        told, pen = [], "M"
        for x, y in points:
            if not math.isfinite(y) or (self.y.log and y <= 0):
                pen = "M"
                continue
            told.append(f"{pen}{self.x.at(x):.1f} {self.y.at(y):.1f}")
            pen = "L"
        return "".join(told)

    def band(self, points: Sequence[tuple[float, float, float]]) -> str:
        """The d of the area between (x, low, high)."""
        there = [f"{self.x.at(x):.1f} {self.y.at(high):.1f}" for x, _, high in points]
        back = [f"{self.x.at(x):.1f} {self.y.at(low):.1f}" for x, low, _ in reversed(points)]
        return "M" + "L".join(there + back) + "Z"


_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "down": ((0, 1.2), (1.1, -0.8), (-1.1, -0.8)),
    "cross": (
        *((-1, -0.4), (-0.4, -1), (0, -0.5), (0.4, -1), (1, -0.4), (0.5, 0)),
        *((1, 0.4), (0.4, 1), (0, 0.5), (-0.4, 1), (-1, 0.4), (-0.5, 0)),
    ),
    "plus": (
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
    "pentagon": ((0, -1.15), (1.09, -0.36), (0.68, 0.93), (-0.68, 0.93), (-1.09, -0.36)),
}


def pointed(words: str) -> str:
    """What is told of a mark when somebody points at it, escaped."""
    return tag("title", escape(words))


def mark(kind: int, x: float, y: float, size: float, words: str = "", **attributes: object) -> str:
    """The mark of the ``kind``-th arm, about ``size`` pixels from its middle to its border."""
    told = (pointed(words),) if words else ()
    shape, r = _MARKS[kind % len(_MARKS)], size
    if shape == "circle":
        return tag("circle", *told, cx=x, cy=y, r=r, **attributes)
    if shape == "square":
        return tag("rect", *told, x=x - 0.88 * r, y=y - 0.88 * r, width=1.76 * r, height=1.76 * r, **attributes)
    corners = _CORNERS[shape]
    return tag(
        "polygon", *told, points=" ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners), **attributes
    )


def chart(label: str, *content: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """The whole drawing. ``label`` tells those who can't see it what it shows."""
    return tag("svg", *content, class_="chart", viewBox=f"0 0 {width:.0f} {height:.0f}", role="img", aria_label=label)


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed to be ``gap`` apart within low to high, in the order of ``places``."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    moved = [min(max(places[n], low), high) for n in order]
    for _ in range(60):
        for one in range(1, len(moved)):
            overlap = gap - (moved[one] - moved[one - 1])
            if overlap > 0.01:
                moved[one - 1] -= overlap / 2
                moved[one] += overlap / 2
        if moved:
            moved[0], moved[-1] = max(moved[0], low), min(moved[-1], high)
    found = [0.0] * len(places)
    for place, n in zip(moved, order, strict=True):
        found[n] = place
    return found
