"""Charts of codecs as SVG: likeness against bytes, one for each measure.

Here belongs drawing them with the means of ``reports.study.svg``.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from panic_assets.codec.comparing import Row
from panic_assets.codec.verdicts import MEASURES, Measure
from panic_assets.reports.codec.contents import CURVES, SHOWN_FIRST, Measured
from panic_assets.reports.study.svg import HEIGHT, WIDTH, Plot, Scale, chart, fitted, mark, tag

#: Colour and mark of each codec; 0 is grey.
KINDS = dict(zip(CURVES, (1, 2, 4, 3, 0), strict=True))


#: What this laboratory cares for comes first.
IN_ORDER = tuple(sorted(MEASURES, key=lambda one: SHOWN_FIRST.index(one.name)))


@dataclass(frozen=True)
class Panel:
    """A drawing with what stands over it."""

    title: str
    svg: str


class _Sizes(Scale):
    """Bytes on a logarithmic scale, with 1, 2 and 5 of each power of ten written out."""

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """As few of them as are allowed: powers of ten alone where there are many."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [f * 10.0**p for p in powers for f in factors if self.low <= f * 10.0**p <= self.high]
            if len(found) <= most + 1:
                break
        return [(value, f"{value:,.0f}") for value in found]


def panels(measured: Measured) -> list[Panel]:
    """A chart for each measure; none where nothing was measured."""
    return [_panel(measured, measure) for measure in IN_ORDER] if measured.rows else []


def key(codec: str) -> str:
    """The mark of a codec, alone."""
    kind = KINDS[codec]
    return tag(
        "svg", mark(kind, 8, 8, 5.5, class_="mean"), class_=f"key a{kind}", viewBox="0 0 16 16", aria_hidden="true"
    )


def scale_title(measure: Measure) -> str:
    """What stands at the axis of a measure."""
    if measure.name == "psnr":
        return "dB"
    distance = "drift" if measure.falls else f"1 \u2212 {measure.title}"
    return f"\u221210 log\u2081\u2080({distance}), dB"


def point(row: Row, measure: Measure) -> tuple[float, float]:
    """Bytes, and likeness on its scale."""
    value = measure.value(row)
    assert value is not None
    return row.byte_size, measure.in_decibels(value)


def _panel(measured: Measured, measure: Measure) -> Panel:
    curves = {codec: measured.curve(codec) for codec in CURVES}
    points = [point(row, measure) for rows in curves.values() for row in rows]
    sizes = fitted((x for x, _ in points), 44, WIDTH - 8, log=True)
    plot = Plot(_Sizes(*astuple(sizes)), fitted((y for _, y in points), HEIGHT - 40, 22))
    drawn = [plot.axes("bytes of a file", scale_title(measure), y_ticks=6)]
    for codec, rows in curves.items():
        kind, own = KINDS[codec], [point(row, measure) for row in rows]
        marks = [
            mark(kind, plot.x.at(x), plot.y.at(y), 3.6, _words(row, measure), class_="mean")
            for row, (x, y) in zip(rows, own, strict=True)
        ]
        drawn.append(tag("g", tag("path", class_="line", d=plot.path(own)), *marks, class_=f"a{kind}"))
    title = "Drift, the less the higher" if measure.falls else measure.title
    return Panel(title, chart(f"{measure.title} against bytes of {len(curves)} codecs", *drawn))


def _words(row: Row, measure: Measure) -> str:
    value = measure.told(measure.value(row) or 0.0)
    return f"{row.codec} {row.quality}: {row.byte_size:,.0f} bytes, {measure.title} {value}"
