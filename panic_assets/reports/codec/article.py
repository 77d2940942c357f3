"""The article about codecs on an experiment's pictures, which pages share: sentences, comparisons, charts, numbers.

Here belong choosing and putting it into HTML. The page around it is the caller's.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from panic_assets.codec.comparing import Row
from panic_assets.codec.verdicts import MEASURES, Verdict, headline, without_loss
from panic_assets.reports.codec.contents import CURVES, Measured, facts_of
from panic_assets.reports.codec.panels import KINDS, key, panels

_TITLES = {measure.name: measure.title for measure in MEASURES}


def article(measured: Measured) -> Markup:
    """The HTML of the article, to be put into an element of its own; its style is :func:`style`."""
    told = {(one.against, one.measure, one.counted): one for one in measured.verdicts}
    rivals = [codec for codec in CURVES if any(one.against == codec for one in measured.verdicts)]
    measures = list(dict.fromkeys(one.measure for one in measured.verdicts))
    said = [one.sentence for one in measured.verdicts if one.counted == "files"]
    first = headline(measured.verdicts)
    return Markup(
        environment()
        .get_template("article.html.j2")
        .render(
            measured=measured,
            headline=first,
            sentences=[sentence for sentence in (*said, without_loss(measured.rows)) if sentence not in ("", first)],
            titles=[_TITLES[measure] for measure in measures],
            comparisons=[
                (
                    rival,
                    [
                        [_cell(told[rival, measure, counted]) for counted in ("files", "payload")]
                        for measure in measures
                    ],
                )
                for rival in rivals
            ],
            keys=[(codec, Markup(key(codec))) for codec in CURVES if measured.curve(codec)],
            panels=panels(measured),
            rows=[_numbers(row) for row in measured.in_order],
            facts=facts_of(measured),
        )
    )


def style() -> str:
    """What the article needs of a style sheet: all of it within elements of class ``codec``."""
    return (resources.files("panic_assets.reports.codec") / "shared" / "codec.css").read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """The templates of this package, escaping all that they are given."""
    return Environment(
        loader=PackageLoader("panic_assets.reports.codec", "parts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _cell(verdict: Verdict) -> dict[str, Any]:
    """A change in bytes as people read it, and whether it is a gain."""
    if verdict.change is None:
        return {"told": "\u2013", "kind": "", "sentence": verdict.sentence}
    kind = "" if round(100 * verdict.change) == 0 else "fewer" if verdict.change < 0 else "more"
    told = f"{100 * verdict.change:+.0f} %".replace("-", "\u2212")
    return {"told": told, "kind": kind, "sentence": verdict.sentence}


def _numbers(row: Row) -> dict[str, Any]:
    exact = math.isinf(row.psnr)
    megapixels = row.megapixels
    return {
        "codec": row.codec,
        "kind": KINDS.get(row.codec, 0),
        "quality": "lossless" if row.quality is None else row.quality,
        "values": (
            f"{row.byte_size:,.0f}",
            f"{row.byte_size - row.payload_size:,.0f}",
            f"{row.bits_per_pixel:.3g}",
            *(("exact", "", "", "", "") if exact else _likeness(row)),
            f"{row.encode_ms / 1e3 / megapixels:.2g}",
            f"{row.decode_ms / 1e3 / megapixels:.2g}",
        ),
    }


def _likeness(row: Row) -> tuple[str, ...]:
    moved = ["" if value is None else f"{value:.2g}" for value in (row.drift, row.drift_p95)]
    return f"{row.psnr:.2f}", f"{row.ssim:.4f}", f"{row.ms_ssim:.4f}", *moved
