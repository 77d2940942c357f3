"""Words in pictures: the one typeface, cutting a text to a width, breaking it into lines.

The typeface is DejaVu Sans as matplotlib brings it, so that equal texts look equal on every machine. It has Latin,
Greek, Cyrillic and Arabic letters, but no Chinese, Japanese or Korean ones: these show as boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

ELLIPSIS = "…"


@cache
def typeface(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans; ``size`` in pixels."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def width_of(text: str, face: ImageFont.FreeTypeFont) -> int:
    """Width of one line, pixels, rounded up."""
    return int(-(-face.getlength(text) // 1))


def fitted(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """The text as one line of at most ``width`` pixels; what is too long ends in an ellipsis, or is empty."""
    text = " ".join(text.split())
    if width_of(text, face) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        if width_of(text[:middle].rstrip() + ELLIPSIS, face) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS if low else ""


def wrapped(words: Sequence[str], face: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """The words in at most ``lines`` lines of ``width`` pixels; what is too long is cut."""
    words = list(words)
    made: list[str] = []
    while words and len(made) < lines:
        if len(made) == lines - 1:
            made.append(fitted(" ".join(words), face, width))
            break
        taken = 1
        while taken < len(words) and width_of(" ".join(words[: taken + 1]), face) <= width:
            taken += 1
        made.append(fitted(" ".join(words[:taken]), face, width))
        words = words[taken:]
    return [line for line in made if line]
