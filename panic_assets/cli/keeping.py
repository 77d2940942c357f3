"""Keeping the lake: delete, gc, backup, restore.

Here belong arguments, questions and printing; work is done by ``upkeep``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.common import AsJson, dagster_instance, print_json, progress_bar, state_folder
from panic_assets.cli.names import complete_experiment, complete_study
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from panic_assets.upkeep.backup_sources import Verified
    from panic_assets.upkeep.deleting import Deleted, Deletion
    from panic_assets.upkeep.garbage import Garbage
    from panic_assets.upkeep.restore import Restored

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Studies = Annotated[
    list[str] | None,
    typer.Option("--study", help="A study, alone or beside experiments; repeatable.", autocompletion=complete_study),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")]


class NobodyToAsk(PanicError):
    """A question without a terminal."""


def delete(
    # The whole name: a beginning that fits by chance is no way to delete.
    experiment: Annotated[
        str, typer.Argument(help="The whole name of an experiment.", autocompletion=complete_experiment)
    ],
    yes: Yes = False,
    dry_run: DryRun = False,
    now: Annotated[bool, typer.Option("--now", help="Free the space at once; who reads it now fails.")] = False,
    with_file: Annotated[bool, typer.Option("--with-file", help="Take its file away, too (into quarantine).")] = False,
    keep_files: Annotated[bool, typer.Option("--keep-files", help="Keep its figures, reports and exports.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an experiment: its tables, its figures and reports, its part in clusters and catalog.

    Those who read it already can go on for a day; then `panic gc` frees the space.
    """
    from panic_assets.upkeep.deleting import delete_experiment, plan_deletion

    data = paths.data_dir()
    plan = plan_deletion(data, experiment)
    if not as_json:
        _show_deletion(plan, data, now, with_file, keep_files)
    if dry_run:
        if as_json:
            print_json({"plan": plan, "done": None})
        return
    ask(yes, f"Delete {experiment} from {data}?")
    done = delete_experiment(data, experiment, now=now, with_file=with_file, keep_leftovers=keep_files, tell=_tell)
    _unregister(experiment)
    if as_json:
        print_json({"plan": plan, "done": done})
    else:
        _show_deleted(done)


def gc(
    yes: Yes = False,
    dry_run: DryRun = False,
    older_than: Annotated[
        float, typer.Option(min=0, help="Hours after which nobody reads what was replaced or deleted.")
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Remove what belongs to nothing any more: replaced parts, files of dead processes, figures of the gone.

    Dagster's records of runs are left alone.
    """
    from panic_assets.upkeep.garbage import collect, find_garbage

    data, seconds = paths.data_dir(), older_than * 3600
    found = find_garbage(data, seconds)
    if not as_json:
        _show_garbage(found, data)
    if dry_run or not found.items:
        if as_json:
            print_json({"found": found, "removed": None})
        return
    ask(yes, "Remove it?")
    with progress_bar("removed") as progress:
        removed = collect(data, seconds, progress)
    if as_json:
        print_json({"found": found, "removed": removed})
    else:
        print(f"removed: {size_of(removed.bytes)}")


def backup(
    target: Annotated[Path, typer.Argument(help="A folder (a later backup adds what is new), .tar or .tar.zst.")],
    experiments: Annotated[list[str] | None, typer.Argument(help="Experiments; by default all.")] = None,
    studies: Studies = None,
    link: Annotated[bool, typer.Option("--link", help="Hard links instead of copies, on the same disk.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Drop from the folder what is not backed up now.")] = False,
    with_dagster: Annotated[bool, typer.Option("--with-dagster", help="Take Dagster's records along.")] = False,
    as_json: AsJson = False,
) -> None:
    """Back up experiments and studies with all their tables and files, while they may be running.

    Not in it: caches, models, and Dagster's records unless asked for.
    """
    from panic_assets.upkeep.backup import back_up

    data = paths.data_dir()
    state = state_folder() if with_dagster else None
    with progress_bar("parts") as progress:
        done = back_up(
            data,
            target,
            experiments or None,
            progress,
            studies=studies or None,
            link=link,
            prune=prune,
            dagster_state=state,
        )
    if as_json:
        print_json(done)
    else:
        held = _count(len(done.experiments), "experiment")
        held += f", {_studies(len(done.studies))}" if done.studies else ""
        print(f"{done.target}: {held}, {_files(done.files)}, {size_of(done.bytes)}")
        print(f"  new in it: {_files(done.copied)}, {size_of(done.copied_bytes)}")
        for name in done.kept:
            print(f"  {name}: kept as an earlier backup has it (--prune drops it)")
        for note in done.notes:
            print(f"  note: {note}")
        left = "caches and models" if with_dagster else "caches, models, Dagster's records (--with-dagster)"
        print(f"  not in it: {left}")
    if done.damaged:
        told = "; ".join(f"{name}: {reason}" for name, reason in done.damaged.items())
        raise PanicError(f"not backed up, because damaged: {told}")


def restore(
    source: Annotated[Path, typer.Argument(help="A folder or tar file that `panic backup` wrote.")],
    experiments: Annotated[list[str] | None, typer.Argument(help="Experiments; by default all.")] = None,
    studies: Studies = None,
    into: Annotated[Path | None, typer.Option(help="Data directory; by default this one.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check the backup, and write nothing.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there and differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring experiments and studies back from a backup, or check it; what is there and sound is left as it is."""
    from panic_assets.upkeep.backup_sources import open_source
    from panic_assets.upkeep.backup_sources import verify as verify_all
    from panic_assets.upkeep.restore import restore as bring_back

    if verify:
        with open_source(source) as opened, progress_bar("files") as progress:
            _show_verified(verify_all(opened, progress), source, as_json)
        return
    data = (into or paths.data_dir()).absolute()
    with progress_bar("parts") as progress:
        done = bring_back(
            source, data, experiments or None, studies=studies or None, replace_others=replace, on_progress=progress
        )
    if into is None or data == paths.data_dir():
        _register(done.experiments, done.studies)
    if as_json:
        print_json(done)
    else:
        _show_restored(done, data)


def ask(yes: bool, question: str) -> None:
    """Go on if the answer is yes.

    Raises:
        NobodyToAsk: there is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NobodyToAsk("this asks before it removes anything, and there is no terminal; say --yes if you mean it")
    typer.confirm(question, abort=True, err=True)


def _show_deletion(plan: Deletion, data: Path, now: bool, with_file: bool, keep_files: bool) -> None:
    if plan.is_begun:
        print(f"A deletion of {plan.experiment} has begun and not ended; this finishes it.")
    print(f"Of {plan.experiment} in {data}:")
    for share in plan.tables:
        rows = "damaged" if share.rows is None else _count(share.rows, "row")
        print(f"  {share.table:<22} {rows:>16} {size_of(share.bytes):>12}")
    for left in plan.leftovers:
        kept = " (kept)" if keep_files else ""
        print(f"  {left.path.relative_to(data)!s:<22} {_files(left.files):>16} {size_of(left.bytes):>12}{kept}")
    print(f"  {'in all':<22} {'':>16} {size_of(plan.bytes):>12}")
    if plan.points:
        lent = f"; {_count(plan.medoids, 'cluster')} have their medoid in it" if plan.medoids else ""
        print(f"Clusters: {_count(plan.points, 'point')} of it go{lent}. They are made to fit what stays.")
    print(f"Dagster: the partition {plan.experiment!r} goes; its records of runs stay.")
    if plan.file and with_file:
        print(f"Its file is moved to {data / 'quarantine'}: {plan.file}")
    elif plan.file:
        print(f"Its file stays: {plan.file}")
        print("  `panic run`, or the sensor once the file changes, runs it anew; --with-file")
        print("  takes it away, too.")
    if now:
        print("--now: the space is free at once. Queries that are running over it will fail.")


def _show_deleted(done: Deleted) -> None:
    print(f"deleted {done.experiment}: {size_of(done.freed)} freed", end="")
    print(f"; {size_of(done.later)} follow with `panic gc` in a day" if done.later else "")
    if done.moved:
        print(f"its file is now {done.moved}")


def _show_garbage(found: Garbage, data: Path) -> None:
    from panic_assets.upkeep.garbage import KINDS

    if not found.items:
        print(f"nothing in {data} belongs to nothing")
    for kind, meaning in KINDS.items():
        items = found.of(kind)
        if items:
            print(f"{kind}: {size_of(sum(item.bytes for item in items))}, {meaning}")
            for item in items[:5]:
                print(f"  {item.path.relative_to(data)}: {_files(item.files)}, {size_of(item.bytes)}")
            if len(items) > 5:
                print(f"  and {len(items) - 5} more places")
    if found.items:
        print(f"in all: {size_of(found.bytes)}")
    if found.waiting:
        print(f"{size_of(found.waiting)} more may still be read, and go later")
    for reason in found.left:
        print(f"left alone: {reason}")


def _show_verified(found: Verified, source: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "created_at": found.backup.created_at,
                "experiments": found.backup.experiments,
                "studies": found.backup.studies,
                "files": len(found.backup.files),
                "bytes": found.backup.bytes,
                "damaged": found.damaged,
            }
        )
    elif not found.damaged:
        print(f"{source}: sound. {_files(len(found.backup.files))}, {size_of(found.backup.bytes)}")
        print(f"  from {found.backup.created_at}, by {found.backup.tool}")
        print(f"  experiments: {', '.join(found.backup.experiments) or 'none'}")
        if found.backup.studies:
            print(f"  studies: {', '.join(found.backup.studies)}")
    if found.damaged:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.damaged.items())
        raise PanicError(f"{source}: {_files(len(found.damaged))} damaged or missing: {told}")


def _show_restored(done: Restored, data: Path) -> None:
    back = f"{_count(done.written, 'partition')} written, {done.same} were there"
    back_again = [*done.experiments, *(f"study {name}" for name in done.studies)]
    print(f"{data}: {', '.join(back_again) or 'nothing'}")
    print(f"  {back}" + (f", {_files(done.mended)} mended" if done.mended else ""))
    if done.replaced:
        print(f"  replaced: {', '.join(done.replaced)}; what they held goes with `panic gc` in a day")
    if done.documents:
        print(f"  files: {', '.join(done.documents)}")
    if done.differing:
        print(f"  left, because they differ (--replace): {', '.join(done.differing)}")
    print(f"  clusters: {done.clusters}")


def _unregister(experiment: str) -> None:
    from panic_assets.defs.partitions import EXPERIMENTS

    name = str(EXPERIMENTS.name)
    with dagster_instance() as instance:
        if experiment in instance.get_dynamic_partitions(name):
            instance.delete_dynamic_partition(name, experiment)


def _register(experiments: tuple[str, ...], studies: tuple[str, ...]) -> None:
    from panic_assets.defs.partitions import EXPERIMENTS, STUDIES

    if experiments or studies:
        with dagster_instance() as instance:
            for partitions, names in ((EXPERIMENTS, experiments), (STUDIES, studies)):
                instance.add_dynamic_partitions(str(partitions.name), list(names))


def _tell(words: str) -> None:
    print(words, file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _studies(number: int) -> str:
    return "1 study" if number == 1 else f"{number} studies"


def _files(number: int) -> str:
    return _count(number, "file")


def size_of(size: int) -> str:
    """Bytes in words."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
