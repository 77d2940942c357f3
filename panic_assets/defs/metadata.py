"""Metadata of a materialisation: rows, bytes, columns, time, a small picture.

Here belongs how the lake's facts are told to Dagster; what a picture shows belongs to the reports.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import dagster as dg

from panic_assets.lake import TABLES, Lake

LARGEST_FIGURE = 100_000  # bytes as Base64; a picture is stored several times over in the event log


def column_schema(table: str) -> dg.TableSchema:
    """Columns of a table with types and what they mean."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=str(column.type),
                description=f"{column.meaning} [{column.unit}]" if column.unit else column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in TABLES[table].columns
        ]
    )


def table_metadata(
    lake: Lake, table: str, experiment: str | None, seconds: float, items: int | None = None
) -> dict[str, Any]:
    """What every materialisation of a table tells.

    ``items``: how many were computed this time, for the rate; 0 says that nothing had to be.
    """
    manifest = lake.manifest(table, experiment)
    parts = manifest.parts if manifest else ()
    rows = manifest.rows if manifest else 0
    row_count = "dagster/row_count" if experiment is None else "dagster/partition_row_count"
    metadata: dict[str, Any] = {
        row_count: dg.MetadataValue.int(rows),
        "bytes": dg.MetadataValue.int(sum(part.bytes for part in parts)),
        "parts": dg.MetadataValue.int(len(parts)),
        "generation": dg.MetadataValue.int(manifest.generation if manifest else 0),
        "dagster/uri": str(lake.folder(table, experiment)),
        "dagster/column_schema": column_schema(table),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
    }
    if items is not None:
        metadata["computed"] = dg.MetadataValue.int(items)
        metadata["per_second"] = dg.MetadataValue.float(round(items / seconds, 3) if seconds > 0 else 0.0)
    return metadata


def figure(png: bytes | None, title: str) -> dict[str, Any]:
    """A small PNG as Markdown metadata; nothing if there is none or it is too large for an event log."""
    encoded = base64.b64encode(png).decode() if png else ""
    if not 0 < len(encoded) <= LARGEST_FIGURE:
        return {}
    return {"figure": dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")}


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words as metadata; lists and tables as JSON."""
    return {
        name: value if isinstance(value, int | float | str | bool) else dg.MetadataValue.json(value)
        for name, value in values.items()
        if value is not None
    }
