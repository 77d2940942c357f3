"""What analyses found, in words and small tables: for the metadata of an asset, the terminal and the report.

Here belongs reading the tables of analyses and choosing what to show. What is computed is the analyses' business.
"""

from __future__ import annotations

from typing import Any

from panic_assets.lake import Lake

_ROWS = 12
_COLUMNS = ("statistic", "network", "embedding_model", "modality", "contrast", "value", "interval", "runs", "unit", "p")


def group_statistics(lake: Lake, experiment: str, analysis: str) -> list[dict[str, Any]]:
    """Rows of ``dynamics`` of one analysis, those of whole networks and of all together first."""
    rows = lake.read("dynamics", experiment, where={"analysis": analysis}).to_pylist()
    return sorted(rows, key=lambda row: row["prompt_number"] != -1)


def interval_text(row: dict[str, Any]) -> str:
    """An interval as ``low .. high``; empty where there is none."""
    if row["low"] is None or row["high"] is None:
        return ""
    return f"{row['low']:.3g} .. {row['high']:.3g}"


def headline(lake: Lake, experiment: str, analysis: str, rows: int = _ROWS) -> str:
    """The first group statistics of an analysis as a Markdown table; a sentence where there are none."""
    held = group_statistics(lake, experiment, analysis)
    if not held:
        return "No statistic of a group of runs."
    table = [
        {
            **{name: str(row.get(name) or "") for name in _COLUMNS},
            "value": "" if row["value"] is None else f"{row['value']:.4g}",
            "interval": interval_text(row),
            "p": "" if row["p_adjusted"] is None else f"{row['p_adjusted']:.2g}",
        }
        for row in held[:rows]
    ]
    shown = [name for name in _COLUMNS if any(row[name] for row in table)]
    lines = [f"| {' | '.join(shown)} |", f"| {' | '.join('---' for _ in shown)} |"]
    lines += [f"| {' | '.join(row[name].replace('|', '/') for name in shown)} |" for row in table]
    more = f"\n\nand {len(held) - rows} more in table `dynamics`" if len(held) > rows else ""
    return "\n".join(lines) + more
