"""The command ``panic doctor``: what is wrong with the lake, and mending it.

Here belong arguments, questions and printing; work is done by ``upkeep.doctor``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson
from panic_assets.cli.names import complete_experiment, complete_study, experiment_named
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from rich.console import Console

    from panic_assets.upkeep.findings import Examination, Finding, OnProgress
    from panic_assets.upkeep.mending import Mended
    from panic_assets.upkeep.plan import Plan

BROKEN, UNEXAMINED = 1, 2
_WORDS = {"broken": ("broken", "bold red"), "to_do": ("to do", "yellow"), "hint": ("hint", "dim")}
#: Before the name of a study where it might be taken for an experiment.
_STUDY = "study="
#: Tables whose rows a run computes, with what their rows are called.
_COMPUTED = {
    "invocations": "invocations",
    "images": "pictures",
    "embeddings": "vectors",
    "persistence_diagrams": "diagrams",
    "diagram_distances": "distances",
    "cluster_assignments": "points of clusters",
    "trials": "trials",
    "trial_metrics": "measures",
    "lipschitz": "norms and bounds",
    "robustness": "measures under disturbance",
    "study_comparison": "comparisons",
}


def doctor(
    experiment: Annotated[
        str | None, typer.Argument(help="Examine this one alone.", autocompletion=complete_experiment)
    ] = None,
    as_json: AsJson = False,
    fix: Annotated[bool, typer.Option("--fix", help="Put aside what is broken, so that a run makes it again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    study: Annotated[str | None, typer.Option(help="Examine this study alone.", autocompletion=complete_study)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="No checksums, and no picture is decoded.")] = False,
) -> None:
    """Examine the lake: files, rows, and whether tables agree. Nothing is changed without --fix.

    Ends with 0 if nothing is broken (there may be things to do), 1 if something is, 2 if it can't be examined.
    """
    from rich.console import Console

    from panic_assets.upkeep.doctor import examine
    from panic_assets.upkeep.mending import carry_out
    from panic_assets.upkeep.plan import plan_mending

    data, console = paths.data_dir(), Console(stderr=as_json)
    try:
        experiment = experiment and experiment_named(experiment)
        with _bar() as report:
            found = examine(data, experiment, quick, report, study=study)
        if fix:
            plan = plan_mending(found)
            _print_plan(console, plan)
            if not plan.is_empty and (yes or typer.confirm("Do this?", err=as_json)):
                mended = carry_out(plan, lambda what: console.print(f"  {what} ...", style="dim"))
                with _bar() as report:
                    found = examine(data, experiment, quick, report, study=study)
                _print_mended(console, mended)
    except PanicError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(UNEXAMINED) from error
    if as_json:
        print(found.as_json())
    else:
        _print_examination(console, found)
    raise typer.Exit(0 if found.is_sound else BROKEN)


def _print_examination(console: Console, found: Examination) -> None:
    """A table for each experiment and study, then what was examined."""
    from rich.table import Table
    from rich.text import Text

    groups: dict[str | None, list[Finding]] = {}
    for finding in found.findings:
        groups.setdefault(finding.owner, []).append(finding)
    for name, findings in sorted(groups.items(), key=lambda group: (group[0] is None, group[0] or "")):
        study = findings[0].study
        title = f"study {study}" if study else f"experiment {name}" if name else "the whole lake"
        table = Table(title=title, title_justify="left", title_style="bold", expand=True)
        table.add_column("", no_wrap=True)
        table.add_column("what does not hold", ratio=3)
        table.add_column("what to do", ratio=2)
        for finding in sorted(findings, key=lambda f: list(_WORDS).index(f.severity)):
            word, style = _WORDS[finding.severity]
            table.add_row(Text(word, style), Text(_what(finding)), Text(finding.remedy))
        console.print(table)
    seen, quickly = found.examined, ", quickly: no checksums, no pictures" if found.quick else ""
    size = f"{seen.bytes / 2**20:,.1f} MiB"
    numbers = Counter(_WORDS[finding.severity][0] for finding in found.findings)
    counts = ", ".join(f"{numbers[word]} {word}" for word, _ in _WORDS.values() if numbers[word])
    word, style = ("healthy", "bold green") if found.is_sound else ("broken", "bold red")
    console.print(Text(word, style), f": {counts or 'nothing to complain of'}", sep="")
    console.print(
        f"examined in {seen.seconds:.1f} s{quickly}: {seen.experiments} experiments, {seen.studies} studies, "
        f"{seen.partitions} partitions of {seen.tables} tables, {seen.parts} parts, {seen.rows:,} rows, {size}",
        highlight=False,
    )


def _what(finding: Finding) -> str:
    """Rule, place, number and an example."""
    where = finding.table or (str(finding.path) if finding.path else "")
    many = f" ({finding.count} times)" if finding.count > 1 else ""
    example = ", ".join(f"{name} {value}" for name, value in (finding.examples[0] if finding.examples else {}).items())
    shown = f"\ne.g. {example}" if example else ""
    return f"{finding.rule}{many}\n{where + ': ' if where else ''}{finding.message}{shown}"


def _print_plan(console: Console, plan: Plan) -> None:
    """What mending will do, before it is asked for."""
    if plan.is_empty:
        console.print("nothing to mend")
    for (table, key), why in plan.rebuilt.items():
        console.print(f"make the manifest of {_place(table, key)} again of its parts ({why})", highlight=False)
    for table, key in plan.corrected:
        console.print(f"correct the manifest of {_place(table, key)}", highlight=False)
    for (table, key), files in plan.strays.items():
        console.print(f"put aside {len(files)} files beside {_place(table, key)}: {', '.join(files)}", highlight=False)
    for (table, key), cut in plan.cuts.items():
        words = [f"put aside {len(cut.lost)} damaged parts" if cut.lost else ""]
        words += [f"put aside {cut.rows} rows" if cut.rows and not cut.lost else f"{cut.rows} rows" if cut.rows else ""]
        words += [f"keep one of {len(cut.single)} rows that come twice" if cut.single else ""]
        words += [f"write {len(cut.added)} rows again" if cut.added else ""]
        words += [f"take back {len(cut.marks)} marks" if cut.marks else "", "renumber" if cut.renumbered else ""]
        console.print(f"{_place(table, key)}: {', '.join(filter(None, words))}", highlight=False)
    if plan.catalog:
        console.print("make the catalog anew")
    for words_left in plan.left_alone:
        console.print(f"left alone: {words_left}", highlight=False)


def _print_mended(console: Console, mended: Mended) -> None:
    """What was done, where it is, and what to run."""
    for words in (*mended.done, *(f"left alone: {words}" for words in mended.left_alone)):
        console.print(words, highlight=False)
    for folder in mended.quarantine:
        console.print(f"put aside in {folder}", highlight=False, soft_wrap=True)
    for name, rows in mended.rows.items():
        counts = ", ".join(f"{rows[table]} {word}" for table, word in _COMPUTED.items() if rows.get(table))
        study = (name or "").removeprefix(_STUDY)
        again = (
            f"panic study run {study}"
            if name and study != name
            else f"panic import its source again, which can't be computed here (panic run {name} for the rest)"
            if name in mended.imported
            else f"panic run {name}"
            if name
            else "panic run, of any experiment"
        )
        console.print(f"{again}: {counts or 'some rows'} to be computed again", highlight=False)


def _place(table: str, key: str | None) -> str:
    from panic_assets.upkeep.findings import owner_of

    return f"{table} of {owner_of((table, key))}" if key else table


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """A bar over the bytes of all parts, on a terminal alone."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from panic_assets.upkeep.findings import Pace

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<30.30}"),
        BarColumn(bar_width=10),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task("examining", total=None)

        def report(pace: Pace) -> None:
            shown.update(task, description=pace.doing, completed=pace.done, total=pace.total or None)

        yield report
