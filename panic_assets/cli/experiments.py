"""Experiments from the shell: run, plan, add, summary, report, figures.

Here belong arguments, progress and printing. Work is done by Dagster's job or by the function of a room.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import adopt, dagster_instance, execute
from panic_assets.cli.common import register as register_partition
from panic_assets.errors import PanicError


def run(
    file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> None:
    """Run an experiment through Dagster: loops, embeddings, diagrams, clusters, analyses, catalog.

    What was computed before is not computed again, so that a killed run goes on and a grown one does only what is new.
    """
    from panic_assets.reports.terminal import StageProgress, print_summary

    experiment = adopt(file)
    with dagster_instance() as instance, StageProgress(silent=quiet) as progress:
        register_partition(instance, experiment)
        computed = execute(instance, experiment, progress)
    if not quiet:
        print_summary(paths.data_dir(), experiment.name, computed)


def plan(
    file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")],
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU to plan for, such as 'RTX 4090' or H100.")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB that models may take of a device, instead.")] = None,
    devices: Annotated[int | None, typer.Option(help="How many devices.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All numbers, as JSON.")] = False,
) -> None:
    """What an experiment will take: order of networks, loads, hours, disk. Nothing is run or written.

    Without options it is planned for this machine. Seconds that were measured here come before published ones.
    """
    from panic_assets.reports.plan import plan_as_json, plan_file, print_plan

    made = plan_file(file, paths.data_dir(), gpu, memory, devices)
    if as_json:
        print(plan_as_json(made))
    else:
        print_plan(made)


def add(file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON.")]) -> None:
    """Check an experiment file and make it a partition, for `dagster asset materialize --partition`."""
    experiment = adopt(file)
    with dagster_instance() as instance:
        register_partition(instance, experiment)
    print(experiment.name)


def summary(experiment: Annotated[str, typer.Argument(help="Name of an experiment.")]) -> None:
    """What an experiment's runs did, in a table, and where to look further."""
    from panic_assets.reports.terminal import print_summary

    print_summary(paths.data_dir(), experiment, None)


def report(
    experiments: Annotated[list[str], typer.Argument(help="An experiment, or several to compare.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The HTML file to write.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Put several experiments on one page.")] = False,
) -> None:
    """Write the report: one HTML page that opens offline, from what was run to what it did."""
    from panic_assets.lake import Lake
    from panic_assets.reports.page.render import write_comparison, write_report

    if compare != (len(experiments) > 1):
        raise PanicError("give one experiment, or --compare and two or more")
    path = output or paths.data_dir() / "reports" / f"{'-and-'.join(experiments)}.html"
    lake = Lake.open()
    written = write_comparison(lake, experiments, path) if compare else write_report(lake, experiments[0], path)
    print(f"{written} ({written.stat().st_size / 2**20:.1f} MiB)")


def figures(
    experiment: Annotated[str, typer.Argument(help="Name of an experiment.")],
    kind: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    only: Annotated[str | None, typer.Option(help="Draw this one alone, such as drift; slow ones only so.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to; else figures/EXPERIMENT in the data directory.")
    ] = None,
) -> None:
    """Draw all figures of an experiment into files, from what the lake holds; nothing is computed anew."""
    from panic_assets.lake import Lake
    from panic_assets.reports.figures.files import write_figures

    into = folder or paths.data_dir() / "figures" / experiment
    for path in write_figures(
        Lake.open(), experiment, into, kind, only, tell=lambda words: print(words, file=sys.stderr)
    ):
        print(path)
