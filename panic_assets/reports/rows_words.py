"""Rows of any query on a terminal: a table that fits, or one value a line where it would not.

Here belongs printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PLAN = "explain_key"
_LEAST = 8  # columns of the terminal that a column of the table needs


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], console: Console) -> None:
    """All rows; a long value is cut to the width that is there, in a table, and whole where each has its own line."""
    if columns and columns[0] == _PLAN:  # a drawing, which no table may cut
        for row in rows:
            console.print(cell(row[1]), soft_wrap=True)
        return
    if len(columns) * (_LEAST + 2) > console.width and len(columns) > 1:
        _print_records(columns, rows, console)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        is_number = any(isinstance(row[place], int | float) and not isinstance(row[place], bool) for row in rows[:100])
        table.add_column(column, justify="right" if is_number else "left", overflow="ellipsis", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(" ".join(cell(value).split())) for value in row))
    console.print(table)


def cell(value: Any) -> str:
    """A value as text: bytes in hexadecimal, times to the second, numbers with the digits that they need."""
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[Any]], console: Console) -> None:
    for number, row in enumerate(rows, 1):
        console.print(f"row {number}", style="bold")
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for column, value in zip(columns, row, strict=True):
            table.add_row(column, Text(cell(value)))
        console.print(table)
