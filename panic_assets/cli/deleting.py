"""``panic delete``, and what it shares with ``panic study delete``: what goes, what was done.

Here belong the question and the words; what is deleted is the business of ``upkeep``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.asking import DryRun, Yes, ask, counted, size_of
from panic_assets.cli.common import AsJson, dagster_instance, print_json
from panic_assets.cli.names import complete_experiment

if TYPE_CHECKING:
    from dagster import DynamicPartitionsDefinition

    from panic_assets.upkeep.deleting import Done, ExperimentDeletion, Plan

Now = Annotated[bool, typer.Option("--now", help="Free the space at once; who reads it now fails.")]
WithFile = Annotated[bool, typer.Option("--with-file", help="Take its file away, too (into quarantine).")]


def delete(
    # The whole name: a beginning that fits by chance is no way to delete.
    experiment: Annotated[
        str, typer.Argument(help="The whole name of an experiment.", autocompletion=complete_experiment)
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    now: Now = False,
    with_file: WithFile = False,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Keep its figures, reports and exports.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an experiment: its tables, its figures and reports, its part in clusters and catalog.

    Those who read it already can go on for a day; then `panic gc` frees the space.
    """
    from panic_assets.defs.partitions import EXPERIMENTS
    from panic_assets.upkeep.deleting import delete_experiment, plan_deletion

    data = paths.data_dir()
    plan = plan_deletion(data, experiment)
    if not as_json:
        show_held(plan, experiment, data, keep_files)
        _show_clusters(plan)
        show_consequences(plan, experiment, "panic run", data, now, with_file)
    if dry_run:
        if as_json:
            print_json({"plan": plan, "done": None})
        return
    ask(yes, f"Delete {experiment} from {data}?")
    done = delete_experiment(data, experiment, now=now, with_file=with_file, keep_leftovers=keep_files, tell=tell)
    unregister(EXPERIMENTS, experiment)
    if as_json:
        print_json({"plan": plan, "done": done})
    else:
        show_done(done, experiment)


def show_held(plan: Plan, name: str, data: Path, keep: bool) -> None:
    """What goes, with its sizes; ``keep`` says that what lies beside the lake stays."""
    if plan.is_begun:
        print(f"A deletion of {name} has begun and not ended; this finishes it.")
    print(f"Of {name} in {data}:")
    for share in plan.tables:
        rows = "damaged" if share.rows is None else counted(share.rows, "row")
        print(f"  {share.table:<22} {rows:>16} {size_of(share.bytes):>12}")
    for left in plan.leftovers:
        kept = " (kept)" if keep else ""
        files = counted(left.files, "file")
        print(f"  {left.path.relative_to(data)!s:<22} {files:>16} {size_of(left.bytes):>12}{kept}")
    print(f"  {'in all':<22} {'':>16} {size_of(plan.bytes):>12}")


def show_consequences(plan: Plan, partition: str, command: str, data: Path, now: bool, with_file: bool) -> None:
    """What becomes of Dagster's partition, of the file, and of those who are reading; ``command`` would run it anew."""
    print(f"Dagster: the partition {partition!r} goes; its records of runs stay.")
    if plan.file and with_file:
        print(f"Its file is moved to {data / 'quarantine'}: {plan.file}")
    elif plan.file:
        print(f"Its file stays: {plan.file}")
        print(f"  `{command}`, or the sensor once the file changes, runs it anew; --with-file")
        print("  takes it away, too.")
    if now:
        print("--now: the space is free at once. Queries that are running over it will fail.")


def show_done(done: Done, name: str) -> None:
    """What is free now, and what will be."""
    print(f"deleted {name}: {size_of(done.freed)} freed", end="")
    print(f"; {size_of(done.later)} follow with `panic gc` in a day" if done.later else "")
    if done.moved:
        print(f"its file is now {done.moved}")


def unregister(partitions: DynamicPartitionsDefinition, name: str) -> None:
    """Take a partition out of Dagster's, if it is there."""
    kind = str(partitions.name)
    with dagster_instance() as instance:
        if name in instance.get_dynamic_partitions(kind):
            instance.delete_dynamic_partition(kind, name)


def tell(words: str) -> None:
    """Say what is being done, beside what the command prints."""
    print(words, file=sys.stderr)


def _show_clusters(plan: ExperimentDeletion) -> None:
    if plan.points:
        lent = f"; {counted(plan.medoids, 'cluster')} have their medoid in it" if plan.medoids else ""
        print(f"Clusters: {counted(plan.points, 'point')} of it go{lent}. They are made to fit what stays.")
