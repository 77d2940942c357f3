"""The status of an experiment, and the list of all, on a terminal of 80 columns or more.

Here belongs printing. What is printed comes from ``status`` and ``overview``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from panic_assets.reports.console import size_in_words
from panic_assets.reports.overview import ExperimentLine
from panic_assets.reports.stage_progress import Stage
from panic_assets.reports.status import FAILED_RUNS, FINISHED, IMPORTED, RUNNING, STALLED, ExperimentStatus

_COLOURS = {RUNNING: "cyan", STALLED: "yellow", FINISHED: "green", FAILED_RUNS: "red", IMPORTED: "blue"}
_BAR = 10  # columns


def print_list(lines: Sequence[ExperimentLine], console: Console, now: datetime | None = None) -> None:
    """One line for each experiment, and what is wrong with broken ones below."""
    if not lines:
        console.print("There is no experiment yet. `panic run FILE` runs one, `panic import` brings one in.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("experiment", overflow="fold")
    table.add_column("state", no_wrap=True)
    for heading in ("runs ended", "invocations", "last activity", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.experiment,
            Text(line.state, _COLOURS.get(line.state, "")),
            f"{line.runs_ended}/{line.runs}",
            str(line.invocations),
            ago(line.last_activity, now) if line.last_activity else "-",
            size_in_words(line.bytes) if line.is_in_lake else "-",
        )
    console.print(table)
    for line in lines:
        if line.problem:
            console.print(f"{line.experiment}: {line.problem}", style="yellow")


def print_status(status: ExperimentStatus, console: Console) -> None:
    """All of a status."""
    console.print(rendered(status))


def rendered(status: ExperimentStatus) -> RenderableType:
    """All of a status, to be printed, or shown anew while it changes."""
    heading = Text.assemble((status.experiment, "bold"), ": ", (status.state, _COLOURS.get(status.state, "")))
    parts: list[RenderableType] = [heading.append(f" - {status.explanation}"), "", _stages(status.stages), ""]
    parts += [Text(sentence) for sentence in _sentences(status)]
    if status.failures:
        parts.append(Text("Failed runs", "bold"))
        parts += [Text(f"  {_runs(failure.runs, failure.run_numbers)}: {failure.error}") for failure in status.failures]
    if status.events:
        parts.append(Text(f"Latest of {status.events_in_all} events", "bold"))
        for event in status.events:
            where = " on ".join(part for part in (event.model, event.device) if part)
            at = event.happened_at.astimezone()
            parts.append(
                Text(f"  {at:%Y-%m-%d %H:%M:%S} {event.kind}{f' ({where})' if where else ''}: {event.message}")
            )
    return Group(*parts)


def ago(at: datetime, now: datetime | None = None) -> str:
    """How long ago something was, in one unit."""
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _stages(stages: Sequence[Stage]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", min_width=max(len(stage.name) for stage in stages))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for stage in stages:
        filled = int(_BAR * stage.share)
        bar = Text("#" * filled, "green" if stage.is_done else "cyan").append("." * (_BAR - filled), "dim")
        # Rounded down: what is not done must not look as if it were.
        percent = f"{int(1000 * stage.share) / 10:g} %"
        name = f"{stage.name} {stage.of}" if stage.of else stage.name
        outdated = f", {stage.outdated} outdated" if stage.outdated else ""
        table.add_row(name, percent, bar, f"{stage.done}/{stage.total}", stage.unit + outdated)
    return table


def _sentences(status: ExperimentStatus) -> list[str]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in status.stop_reasons.items())
    said = [f"Runs: {status.runs_ended} of {status.runs} ended{f' ({reasons})' if reasons else ''}."]
    for worker in status.workers:
        process = f"process {worker.process}" if worker.process else "a process"
        said.append(f"At work: {process} on {worker.stage} since {worker.since.astimezone():%Y-%m-%d %H:%M:%S}.")
    for run in status.dagster_runs:
        gone = "" if run.is_alive else ", but its process is gone"
        since = f" since {run.since.astimezone():%Y-%m-%d %H:%M:%S}" if run.since else ""
        said.append(f"Dagster: run {run.run_id[:8]} is {run.status.lower()}{since}{gone}.")
    if status.invocations_per_second is not None:
        rate = status.invocations_per_second
        pace = f"{rate:.3g} a second" if rate >= 1 else f"{60 * rate:.3g} a minute"
        sentence = f"Rate: {pace} over the last minutes"
        if status.seconds_left is not None:
            from panic_assets.reports.plan import duration  # which needs the engine, slow to import

            end = datetime.now().astimezone() + timedelta(seconds=status.seconds_left)
            sentence += f"; the loop is done in {duration(status.seconds_left)} at most, on {end:%Y-%m-%d %H:%M}"
        said.append(f"{sentence}.")
    if status.flags:
        said.append("Flagged outputs: " + ", ".join(f"{count} {flag}" for flag, count in status.flags.items()) + ".")
    if status.last_activity:
        said.append(f"Last commit: {ago(status.last_activity)}. In the lake: {size_in_words(status.bytes)}.")
    return said


def _runs(count: int, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers)) + (", ..." if count > len(numbers) else "")
    return f"{count} {'run' if count == 1 else 'runs'} ({shown})"
