"""``panic import``: another system's database becomes partitions.

Here belong arguments, the progress bar and what is said at the end; the work is done by ``interop``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, print_json, progress_bar

if TYPE_CHECKING:
    from panic_assets.interop.panic_tda.report import Report


def import_(
    file: Annotated[Path, typer.Argument(help="A PANIC-TDA database (SQLite), of either era. It is only read.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report everything, write nothing.")] = False,
    skip_diagrams: Annotated[
        bool, typer.Option("--skip-diagrams", help="Leave the source's persistence diagrams out.")
    ] = False,
    experiment: Annotated[
        list[str] | None, typer.Option(help="An experiment of the source, by the beginning of its id; repeat for more.")
    ] = None,
    timezone: Annotated[
        str, typer.Option(help="Zone of the machine that wrote times without one, such as Australia/Sydney.")
    ] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Bring the experiments of a PANIC-TDA database into the lake; goes on where it was interrupted.

    Rows that can't be imported are kept in the quarantine, each with the reason; none is lost.
    """
    from panic_assets.interop.panic_tda.importer import Options, import_database

    options = Options(dry_run, skip_diagrams, tuple(experiment or ()), timezone)
    with progress_bar("invocations") as progress:
        report = import_database(file, paths.data_dir(), options, progress)
    if as_json:
        print_json(report.facts | {"dry_run": dry_run, "written": report.written, "quarantine": report.folder})
    else:
        _print(report, dry_run)


def _print(report: Report, dry_run: bool) -> None:
    from panic_assets.interop.panic_tda.report import IMPORTED, REFUSED, SKIPPED

    would = "would be " if dry_run else ""
    print(f"{report.file}: PANIC-TDA, {report.era} era, schema {report.variant}")
    print(f"{'table':<28}{'rows':>12}{'imported':>12}{'rejected':>12}{'skipped':>12}")
    for table, count in report.source.items():
        numbers = [count, *(report.tally.of(table, what) for what in (IMPORTED, REFUSED, SKIPPED))]
        print(f"{table:<28}" + "".join(f"{number:>12,}" for number in numbers))
    for entry in report.experiments:
        runs = "1 run" if entry["runs"] == 1 else f"{entry['runs']:,} runs"
        key = entry["experiment"]
        print(f"{key}: {runs}" if dry_run else f"{key}: {runs}; panic show {key}")
    told = [(report.kinds, f"{would}rejected"), (report.doubts, f"{would}imported without an attribute")]
    for counts, words in told:
        for (table, kind), count in sorted(counts.items()):
            print(f"{words}: {count:,} of {table} ({kind})")
    if report.folder is not None:
        print(f"each with its reason: {report.folder}" if report.kinds or report.doubts else f"report: {report.folder}")
    if not dry_run and not sum(report.written.values()):
        print("nothing new: the lake is as it was")
