"""From measured codecs in the lake to a page: one HTML file with everything in it, nothing fetched from anywhere.

Here belongs the page around the article and writing it.
"""

from __future__ import annotations

from importlib import resources
from importlib.metadata import version
from pathlib import Path

from panic_assets.lake import Lake
from panic_assets.lake.durable import replace_file
from panic_assets.reports.codec.article import article, environment, style
from panic_assets.reports.codec.contents import Measured, measured_in


def write_codec_report(lake: Lake, experiment: str, path: Path) -> Path:
    """What was measured of an experiment as one file; an earlier one is replaced at once.

    Raises:
        NotMeasured: nothing was.
        LakeError, OSError: something can't be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page(measured_in(lake, experiment)).encode())
    return path


def page(measured: Measured) -> str:
    """The HTML of one experiment."""
    around = resources.files("panic_assets.reports.study") / "parts"  # pages of reports look alike
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            measured=measured,
            article=article(measured),
            style=(around / "page.css").read_text(encoding="utf-8") + style(),
            script=(around / "page.js").read_text(encoding="utf-8"),
            version=version("panic-assets"),
        )
    )
