"""``panic study delete``: what goes with a study, asked for and told.

Here belong the question and the words; what is deleted is the business of ``upkeep``.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, dagster_instance, print_json
from panic_assets.cli.keeping import DryRun, Yes, ask, size_of
from panic_assets.cli.names import complete_study

if TYPE_CHECKING:
    from panic_assets.upkeep.deleting_studies import StudyDeletion


def delete(
    # The whole name: a beginning that fits by chance is no way to delete.
    study: Annotated[str, typer.Argument(help="The whole name of a study.", autocompletion=complete_study)],
    yes: Yes = False,
    dry_run: DryRun = False,
    now: Annotated[bool, typer.Option("--now", help="Free the space at once; who reads it now fails.")] = False,
    with_file: Annotated[bool, typer.Option("--with-file", help="Take its file away, too (into quarantine).")] = False,
    keep_training: Annotated[bool, typer.Option("--keep-training", help="Keep its report and checkpoints.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a study: its tables, its checkpoints and searches, its report.

    An experiment of the same name is left alone, and MLflow keeps what it was told.
    """
    from panic_assets.lake.locks import locked
    from panic_assets.studies.bench import Bench
    from panic_assets.studies.runner import LOCK
    from panic_assets.upkeep.deleting_studies import delete_study, plan_study_deletion

    data = paths.data_dir()
    plan = plan_study_deletion(data, study)
    if not as_json:
        _show_deletion(plan, data, now, with_file, keep_training)
    if dry_run:
        if as_json:
            print_json({"plan": plan, "done": None})
        return
    ask(yes, f"Delete the study {study} from {data}?")
    folder = data / "training" / study
    with locked(folder / LOCK) if folder.is_dir() else nullcontext():  # nobody is training it
        done = delete_study(
            data,
            study,
            now=now,
            with_file=with_file,
            keep_training=keep_training,
            tell=lambda words: print(words, file=sys.stderr),
        )
        if not keep_training:
            with Bench(data).store() as store:
                store.forget(study)
    _unregister(study)
    if as_json:
        print_json({"plan": plan, "done": done})
        return
    print(f"deleted the study {done.study}: {size_of(done.freed)} freed", end="")
    print(f"; {size_of(done.later)} follow with `panic gc` in a day" if done.later else "")
    if done.moved:
        print(f"its file is now {done.moved}")


def _show_deletion(plan: StudyDeletion, data: Path, now: bool, with_file: bool, keep_training: bool) -> None:
    if plan.is_begun:
        print(f"A deletion of {plan.study} has begun and not ended; this finishes it.")
    print(f"Of the study {plan.study} in {data}:")
    for share in plan.tables:
        rows = "damaged" if share.rows is None else f"{share.rows} rows"
        print(f"  {share.table:<22} {rows:>16} {size_of(share.bytes):>12}")
    for left in plan.leftovers:
        kept = " (kept)" if keep_training else ""
        print(f"  {left.path.relative_to(data)!s:<22} {left.files:>10} files {size_of(left.bytes):>12}{kept}")
    print(f"  {'in all':<22} {'':>16} {size_of(plan.bytes):>12}")
    print(f"Dagster: the partition {plan.study!r} goes; its records of runs stay.")
    if plan.file and with_file:
        print(f"Its file is moved to {data / 'quarantine'}: {plan.file}")
    elif plan.file:
        print(f"Its file stays: {plan.file}")
        print("  `panic study run`, or the sensor once the file changes, trains it anew;")
        print("  --with-file takes it away, too.")
    if now:
        print("--now: the space is free at once. Queries that are running over it will fail.")


def _unregister(study: str) -> None:
    from panic_assets.defs.partitions import STUDIES

    name = str(STUDIES.name)
    with dagster_instance() as instance:
        if study in instance.get_dynamic_partitions(name):
            instance.delete_dynamic_partition(name, study)
