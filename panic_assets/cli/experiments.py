"""Experiments from the shell: run, resume, plan, add.

Here belong arguments, progress and printing. Work is done by Dagster's job or by the function of a room.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, FileOrName, Named, adopt, dagster_instance, execute, file_of, print_json
from panic_assets.cli.common import register as register_partition

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]


def run(file: FileOrName, quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Run an experiment: loops, embeddings, diagrams, clusters, analyses.

    What was computed before is not computed again, so that a killed run goes on and a grown one does only what is new.
    Ctrl-C ends it at any time; the same command goes on from there.

    Examples: panic run first.yaml, panic run demo
    """
    _run(file_of(file), quiet, as_json)


def resume(experiment: Named = "latest", quiet: Quiet = False, as_json: AsJson = False) -> None:
    """Go on with an experiment by its name, from its last commit.

    The same as `panic run` with its file in the data directory. Failed runs are tried again.

    Examples: panic resume, panic resume demo
    """
    from panic_assets.cli.names import experiment_named

    _run(file_of(experiment_named(experiment)), quiet, as_json)


def _run(file: Path, quiet: bool, as_json: bool) -> None:
    from panic_assets.reports.terminal import StageProgress, print_summary, write_summary

    experiment = adopt(file)
    with dagster_instance() as instance, StageProgress(silent=quiet) as progress:
        register_partition(instance, experiment)
        computed = execute(instance, experiment.name, progress)
    if as_json:
        made = write_summary(paths.data_dir(), experiment.name)
        print_json({"computed": computed} | vars(made))
    elif not quiet:
        print_summary(paths.data_dir(), experiment.name, computed)


def plan(
    file: FileOrName,
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU to plan for, such as 'RTX 4090' or H100.")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB that models may take of a device, instead.")] = None,
    devices: Annotated[int | None, typer.Option(help="How many devices.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what an experiment will take: hours, memory, disk; nothing is run.

    Without options it is planned for this machine. Seconds that were measured here come before published ones.

    Examples: panic plan first.yaml, panic plan demo --gpu H100 --devices 2
    """
    from panic_assets.reports.plan import plan_file, print_plan

    made = plan_file(file_of(file), paths.data_dir(), gpu, memory, devices)
    if as_json:
        print_json(dataclasses.asdict(made) | {"seconds": made.seconds, "guesses": made.guesses})
    else:
        print_plan(made)


def add(
    file: Annotated[Path, typer.Argument(help="An experiment file, YAML or JSON, such as first.yaml.")],
    as_json: AsJson = False,
) -> None:
    """Take in an experiment file as a partition, and run nothing.

    Then `dagster asset materialize --partition NAME` or Dagster's UI can run it; `panic run` does both at once.

    Example: panic add first.yaml
    """
    experiment = adopt(file)
    with dagster_instance() as instance:
        register_partition(instance, experiment)
    if as_json:
        print_json({"experiment": experiment.name})
    else:
        print(experiment.name)
