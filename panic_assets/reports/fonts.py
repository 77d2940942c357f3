"""The font of a figure: which letters it has, and its way into an SVG.

Here belongs the font file that comes with matplotlib. Which font is used is the business of ``style``.
"""

from __future__ import annotations

import base64
import functools
import io
import re
from pathlib import Path


@functools.cache
def letters() -> frozenset[int]:
    """The characters, by number, that the figures' font can draw."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def drawable(text: str) -> str:
    """The text with a box for each character that the font lacks, such as those of most scripts of East Asia."""
    known = letters()
    return "".join(sign if ord(sign) in known else "\u25a1" for sign in text)


def with_font(svg: bytes, family: str) -> bytes:
    """An SVG with the letters of ``family`` that it uses in it, so that it looks the same where the font is absent."""
    drawn = svg.decode()
    used = "".join(re.findall(r"<text[^>]*>(.*?)</text>", drawn, flags=re.DOTALL))
    if not used:
        return svg
    faces = "".join(
        f"@font-face{{font-family:'{family}';font-weight:{weight};"
        f"src:url(data:font/woff;base64,{base64.b64encode(_subset(family, weight, _signs(used))).decode()})}}"
        for weight in ("normal", "bold")
        if weight == "normal" or re.search(r"font(-weight)?: (bold|700)", drawn)
    )
    return drawn.replace("<defs>", f'<defs>\n  <style type="text/css">{faces}</style>', 1).encode()


def _signs(used: str) -> str:
    """The different characters of what stands in an SVG, tags left out, in order."""
    import html

    return "".join(sorted(set(html.unescape(re.sub(r"<[^>]+>", "", used))) - {"\n"}))


@functools.lru_cache(maxsize=64)
def _subset(family: str, weight: str, signs: str) -> bytes:
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import FontProperties, findfont

    path = Path(findfont(FontProperties(family=family, weight=weight)))
    options = Options()
    options.layout_features, options.name_IDs, options.hinting = [], [1, 2], False
    options.drop_tables += ["FFTM"]  # time stamps of the font's makers
    font = TTFont(path, recalcTimestamp=False)
    subsetter = Subsetter(options)
    subsetter.populate(text=signs)
    subsetter.subset(font)
    font.flavor = "woff"
    made = io.BytesIO()
    font.save(made)
    return made.getvalue()
