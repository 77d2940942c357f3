"""Keeping the lake: gc, backup, restore.

Here belong arguments, questions and printing; work is done by ``upkeep``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from panic_assets import paths
from panic_assets.cli.asking import DryRun, Yes, ask, counted, size_of
from panic_assets.cli.common import AsJson, dagster_instance, print_json, progress_bar, state_folder
from panic_assets.cli.names import complete_study
from panic_assets.errors import PanicError

if TYPE_CHECKING:
    from panic_assets.upkeep.backup_sources import Verified
    from panic_assets.upkeep.garbage import Garbage
    from panic_assets.upkeep.restore import Restored

Studies = Annotated[
    list[str] | None,
    typer.Option("--study", help="A study, alone or beside experiments; repeatable.", autocompletion=complete_study),
]


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
        held = counted(len(done.experiments), "experiment")
        held += f", {counted(len(done.studies), 'study', 'studies')}" if done.studies else ""
        print(f"{done.target}: {held}, {counted(done.files, 'file')}, {size_of(done.bytes)}")
        print(f"  new in it: {counted(done.copied, 'file')}, {size_of(done.copied_bytes)}")
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


def _show_garbage(found: Garbage, data: Path) -> None:
    from panic_assets.upkeep.garbage import KINDS

    if not found.items:
        print(f"nothing in {data} belongs to nothing")
    for kind, meaning in KINDS.items():
        items = found.of(kind)
        if items:
            print(f"{kind}: {size_of(sum(item.bytes for item in items))}, {meaning}")
            for item in items[:5]:
                print(f"  {item.path.relative_to(data)}: {counted(item.files, 'file')}, {size_of(item.bytes)}")
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
        print(f"{source}: sound. {counted(len(found.backup.files), 'file')}, {size_of(found.backup.bytes)}")
        print(f"  from {found.backup.created_at}, by {found.backup.tool}")
        print(f"  experiments: {', '.join(found.backup.experiments) or 'none'}")
        if found.backup.studies:
            print(f"  studies: {', '.join(found.backup.studies)}")
    if found.damaged:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.damaged.items())
        raise PanicError(f"{source}: {counted(len(found.damaged), 'file')} damaged or missing: {told}")


def _show_restored(done: Restored, data: Path) -> None:
    back = f"{counted(done.written, 'partition')} written, {done.same} were there"
    back_again = [*done.experiments, *(f"study {name}" for name in done.studies)]
    print(f"{data}: {', '.join(back_again) or 'nothing'}")
    print(f"  {back}" + (f", {counted(done.mended, 'file')} mended" if done.mended else ""))
    if done.replaced:
        print(f"  replaced: {', '.join(done.replaced)}; what they held goes with `panic gc` in a day")
    if done.documents:
        print(f"  files: {', '.join(done.documents)}")
    if done.differing:
        print(f"  left, because they differ (--replace): {', '.join(done.differing)}")
    print(f"  clusters: {done.clusters}")


def _register(experiments: tuple[str, ...], studies: tuple[str, ...]) -> None:
    from panic_assets.defs.partitions import EXPERIMENTS, STUDIES

    if experiments or studies:
        with dagster_instance() as instance:
            for partitions, names in ((EXPERIMENTS, experiments), (STUDIES, studies)):
                instance.add_dynamic_partitions(str(partitions.name), list(names))
