"""What the terminal shows of studies: how the arms compare, the list of studies, where to look.

Here belongs printing. Numbers come from the lake's tables, words and forms of numbers from ``study.words``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from panic_assets.reports.status_words import ago
from panic_assets.reports.study.words import alike, measure_of, number
from panic_assets.studies.from_lake import ComparisonRow
from panic_assets.studies.overview import StudyLine

#: Shown of all measures, behind that of the claim.
_MEASURES = (
    "test_accuracy",
    "test_loss",
    "generalisation_gap",
    "robust_area_pgd_l2",
    "lipschitz_upper",
    "lipschitz_lower",
    "step_seconds",
)
_CLAIMED = " *"
_COLOURS = {"completed": "green", "running": "cyan", "changed": "yellow", "incomplete": "yellow", "broken": "red"}


def print_studies(lines: Sequence[StudyLine], console: Console, now: datetime | None = None) -> None:
    """One line for each study, and what is wrong with broken files below."""
    if not lines:
        console.print("There is no study yet. `panic study run FILE` runs one.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("study", overflow="fold")
    table.add_column("state", no_wrap=True)
    for heading in ("trials over", "completed", "last activity"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.study,
            Text(line.state, _COLOURS.get(line.state, "")),
            f"{line.over}/{'?' if line.requested is None else line.requested}",
            str(line.completed),
            ago(line.last_activity, now) if line.last_activity else "-",
        )
    console.print(table)
    for line in lines:
        if line.problem:
            console.print(f"{line.study}: {line.problem}", style="yellow")


def print_comparison(rows: Sequence[ComparisonRow], console: Console) -> None:
    """How each arm differs from the reference in the measures that matter most, and what became of the claim."""
    compared = [row for row in rows if row.mode == "comparison"]
    if not compared:
        console.print("Nothing is compared.")
        return
    pairs = max(row.pairs for row in compared)
    reference, confidence = compared[0].reference, compared[0].confidence
    console.print(f"Each arm against {reference}, {pairs} pairs", style="bold")
    blocks = {
        metric: _block([row for row in compared if row.metric == metric], pairs) for metric in _measures(compared)
    }
    heads = ["", "mean", "difference", f"{confidence:.0%} interval", "d_z", "p"]
    lines = [heads, *(line for block in blocks.values() for line in block)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    console.print(_line(heads, widths), style="bold")
    for metric, block in blocks.items():
        measure = measure_of(metric)
        console.print(f"{measure.label}{f' ({measure.unit})' if measure.unit else ''}")
        for line in block:
            console.print(_line(line, widths), style="cyan" if line[0].endswith(_CLAIMED) else "")
    console.print(
        "d_z: mean difference over the spread of differences. p: by flipped signs, adjusted for all arms and measures.",
        style="dim",
    )
    sentence = next((row.sentence for row in compared if row.is_claim and row.sentence), None)
    if sentence:
        console.print()
        console.print(sentence)


def print_study_places(data: Path, study: str, console: Console) -> None:
    """Where to look further."""
    console.print("Where to look", style="bold")
    report = data / "reports" / f"study-{study}.html"
    made = f"{report}  (opens offline)" if report.exists() else f"panic study report {study}"
    for line in (
        f"  report    {made}",
        f"  live      panic serve, then /studies/{study}",
        f"  SQL       panic sql \"FROM study_comparison WHERE study = '{study}'\"",
        f"  trials    {data / 'training' / study / 'trials'}  (checkpoints)",
        "  MLflow    make mlflow, then open the address it prints",
        "  Dagster   make dev, then open the address it prints",
    ):
        console.print(line, soft_wrap=True)


def states_in_words(states: Mapping[str, int]) -> str:
    """``47 completed, 2 failed``."""
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(states.items())) or "none"


def _measures(rows: Sequence[ComparisonRow]) -> list[str]:
    there = {row.metric for row in rows}
    claimed = [row.metric for row in rows if row.is_claim]
    return [metric for metric in dict.fromkeys((*claimed, *_MEASURES)) if metric in there]


def _block(rows: Sequence[ComparisonRow], pairs: int) -> list[list[str]]:
    """The cells of a measure's lines: the reference, then each arm."""
    factor = measure_of(rows[0].metric).factor
    widths = [(row.high - row.low) * factor for row in rows]
    spread = min((width / 4 for width in widths if math.isfinite(width) and width > 0), default=math.nan)
    means = alike([rows[0].reference_mean * factor, *(row.arm_mean * factor for row in rows)], spread)
    lines = [[f"  {rows[0].reference}", means[0], "", "", "", ""]]
    for row, mean in zip(rows, means[1:], strict=True):
        change, low, high = alike([row.difference * factor, row.low * factor, row.high * factor], spread, sign=True)
        fewer = f" ({row.pairs} pairs)" if row.pairs < pairs else ""
        lines.append(
            [
                f"  {row.arm}{fewer}{_CLAIMED if row.is_claim else ''}",
                mean,
                change,
                f"{low} to {high}" if math.isfinite(row.low) else "-",
                "-" if row.effect_size is None else number(row.effect_size, 2),
                "-" if row.adjusted_p is None else number(row.adjusted_p, 2),
            ]
        )
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    shown = [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))]
    return "  ".join(shown).rstrip()
