"""Imports into a data directory, and what the lake holds afterwards. No tests here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from panic_assets.interop.panic_tda.importer import Options, import_database
from panic_assets.interop.panic_tda.report import Report
from panic_assets.lake import TABLES, Lake, connect
from panic_assets.lake.rules import RULES, judge

#: When rows came into the lake, which no two imports share.
_TIMES_OF_IMPORT = ("imported_at", "created_at")


def bring(path: Path, data: Path, **options: Any) -> Report:
    return import_database(path, data, Options(**options))


def lake_of(data: Path) -> Lake:
    return Lake(data / "lake")


def broken_rules(data: Path) -> list[str]:
    """A sentence for each rule that does not hold in some imported experiment."""
    lake = lake_of(data)
    with connect(lake.root) as connection:
        verdicts = [
            judge(connection, rule, key)
            for key in lake.experiments("imported_experiments")
            for rule in RULES
            if rule.name != "every_trajectory_has_its_diagrams"  # ours, which the usual asset makes later
        ]
    return [verdict.sentence for verdict in verdicts if not verdict.holds]


def everything(data: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but when they were imported, and all experiment files."""
    lake = lake_of(data)
    held: dict[str, Any] = {}
    for table in TABLES:
        rows = lake.read(table).to_pylist()
        held[table] = [{k: v for k, v in row.items() if k not in _TIMES_OF_IMPORT} for row in rows]
    files = sorted((data / "experiments").glob("*"))
    return held | {"files": [{"name": path.name, "text": path.read_text()} for path in files]}


def generations(data: Path) -> dict[str, int]:
    lake = lake_of(data)
    return {f"{table} {key}": lake.generation(table, key) for table, key in lake.places()}


def quarantined(report: Report) -> list[dict[str, Any]]:
    assert report.folder is not None
    rows: list[dict[str, Any]] = pq.read_table(report.folder / "rejected.parquet").to_pylist()
    return rows


def written_report(report: Report) -> dict[str, Any]:
    assert report.folder is not None
    facts: dict[str, Any] = json.loads((report.folder / "report.json").read_text())
    return facts
