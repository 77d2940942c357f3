"""From contents to a page: one HTML file with everything in it, nothing fetched from anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from panic_assets.dynamics.analyses import ANALYSES
from panic_assets.lake import Lake
from panic_assets.lake.durable import replace_file
from panic_assets.reports.codec.article import style
from panic_assets.reports.page.contents import Contents, contents_of

#: Colours told apart by colour-blind readers too (P. Tol's "bright" scheme), light enough for dark pages.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888", "#ee8866")


def write_report(lake: Lake, experiment: str, path: Path) -> Path:
    """The report of an experiment as one file; an earlier one is replaced at once.

    Raises:
        NothingToAnalyse: the lake holds no runs of it.
        LakeError, OSError: something can't be read or written.
    """
    return _write(path, [contents_of(lake, experiment)])


def write_comparison(lake: Lake, experiments: Sequence[str], path: Path) -> Path:
    """Several experiments on one page: their tables beside one another, their curves in the same panels.

    Raises:
        NothingToAnalyse: the lake holds no runs of one of them.
        LakeError, OSError: something can't be read or written.
    """
    return _write(path, [contents_of(lake, name, runs_drawn=48) for name in experiments])


def _write(path: Path, shown: Sequence[Contents]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page(shown).encode())
    return path


def page(shown: Sequence[Contents]) -> str:
    """The HTML of one experiment, or of several to compare."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("panic_assets.reports.page", "parts"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = resources.files("panic_assets.reports.page") / "parts"
    codecs = [(one.values["experiment"], one.codec) for one in shown if one.codec]
    return environment.get_template("page.html.j2").render(
        experiments=[one.values for one in shown],
        style=(parts / "page.css").read_text(encoding="utf-8") + (style() if codecs else ""),
        codecs=codecs,
        script=(parts / "page.js").read_text(encoding="utf-8"),
        data=_for_script(shown),
        analyses=[{"name": a.name, "title": a.title, "description": a.description} for a in ANALYSES],
        colours=COLOURS,
        version=version("panic-assets"),
    )


def _for_script(shown: Sequence[Contents]) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    payload: list[dict[str, Any]] = []
    for one in shown:
        sheet = one.sheet
        tiles = sheet and {"uri": sheet.data_uri, "tile": sheet.tile, "columns": sheet.columns, "rows": sheet.rows}
        payload.append(one.values | {"sheet": tiles})
    text = json.dumps({"experiments": payload, "colours": COLOURS}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
