"""What a world knows of its entities, written for people or for programs.

Here belong the rows and their two forms, JSON and a page of HTML. Curves are drawn in ``plots``; the report of an
experiment of the lake is the business of ``reports``.

>>> import numpy as np
>>> from panic_assets.codec.components import BlurRGB
>>> from panic_assets.codec.core.world import World
>>> from panic_assets.codec.systems.blur import GaussianBlur
>>> from panic_assets.codec.systems.metrics import MetricPSNR
>>> world = World(arena_bytes=1 << 20)
>>> eids = world.spawn_images(np.full((2, 4, 4), 9, np.uint8))
>>> world.pipe(eids).to(GaussianBlur()).select(BlurRGB).to(MetricPSNR()).execute()
>>> rows(world, eids)[0]
{'entity': 0, 'height': 4, 'width': 4, 'psnr': inf}
>>> json.loads(report(world, eids))["means"]
{'psnr': 'inf'}
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any, Literal

from panic_assets.codec.components import RGB, Bitstream, Picture, ReconRGB
from panic_assets.codec.core.world import World

_NOT_MEASURED = frozenset({"entity", "height", "width", "twin_of"})
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin-bottom:2rem}th,td{border-bottom:1px solid #ccc;padding:.3rem .8rem;"
    "text-align:right;font-variant-numeric:tabular-nums}"
)


def rows(world: World, eids: Sequence[int]) -> list[dict[str, Any]]:
    """For each entity: its number, height and width in pixels, ``bytes`` and ``bpp`` if coded, and its metadata.

    ``bytes`` count coded symbols and their tables, no file's header. Raises: :class:`MissingComponent`.
    """
    return [_row(world, eid) for eid in eids]


def means(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The arithmetic mean of each number that rows have beside size and names, over those that have it."""
    keys = dict.fromkeys(key for row in found for key in row if key not in _NOT_MEASURED)
    values = {key: [row[key] for row in found if isinstance(row.get(key), int | float)] for key in keys}
    return {key: sum(numbers) / len(numbers) for key, numbers in values.items() if numbers}


def report(world: World, eids: Sequence[int], form: Literal["json", "html"] = "json") -> str:
    """Rows, their means, and what each system cost if the world's context is traced.

    JSON has no word for infinity, which the PSNR of equal pictures is: it stands there as the string ``"inf"``. HTML is
    one page that needs nothing else. Raises: as :func:`rows`.
    """
    found = rows(world, eids)
    steps = [asdict(step) for step in world.context.trace]
    if form == "html":
        return _page(found, steps)
    content = {"entities": found, "means": means(found), "trace": steps}
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False, default=str)


def _row(world: World, eid: int) -> dict[str, Any]:
    held = {type(component): component for component in world.components_of(eid)}
    row: dict[str, Any] = {"entity": eid}
    picture = held.get(RGB) or held.get(ReconRGB)
    coded = held.get(Bitstream)
    if isinstance(picture, Picture):
        row["height"], row["width"] = picture.size
    if isinstance(coded, Bitstream):
        row["bytes"] = coded.data.nbytes + len(coded.tables)
        if isinstance(picture, Picture):
            row["bpp"] = 8 * row["bytes"] / math.prod(picture.size)
    return row | world.metadata[eid]


def _plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _page(found: Sequence[dict[str, Any]], steps: Sequence[dict[str, Any]]) -> str:
    averages = means(found)
    last = [{"entity": "mean", **averages}] if averages else []
    parts = [("Entities", [*found, *last]), ("Systems", steps)]
    body = "".join(f"<h2>{title}</h2>{_table(lines)}" for title, lines in parts if lines)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Codec report</title>'
        f"<style>{_STYLE}</style></head><body><h1>Codec report</h1>{body or '<p>No entities.</p>'}</body></html>\n"
    )


def _table(lines: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for line in lines for key in line))
    head = "".join(f"<th>{escape(str(column))}</th>" for column in columns)
    cells = ("".join(f"<td>{_cell(line.get(column, ''))}</td>" for column in columns) for line in lines)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
