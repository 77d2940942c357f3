"""Restoring: what a backup holds goes back into a lake, partition by partition, and nothing is lost that is there.

Here belongs what is written, what is refused and the order. Files are first gathered beside the tables, each checked;
then a partition is put in place by replacing its manifest, what is referred to before what refers to it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from panic_assets.lake import TABLES, CorruptPart, Lake, LakeWriteError, PartitionLocked, build_catalog
from panic_assets.lake.durable import replace_file, sync_folder
from panic_assets.lake.locks import holder_of, is_held, locked
from panic_assets.lake.manifest import Manifest, Part, Retired, load_manifest, save_manifest
from panic_assets.lake.parts import check_content
from panic_assets.lake.removal import bury, refuse_while_going
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY, near
from panic_assets.lake.writer import LOCK
from panic_assets.upkeep.backup_format import A, BackupError, Stored, part_name, place_of
from panic_assets.upkeep.backup_sources import Source, open_source
from panic_assets.upkeep.clusters import fit_clusters
from panic_assets.upkeep.copying import space_left, write_checked
from panic_assets.upkeep.deleting import move_to_quarantine
from panic_assets.upkeep.snapshot import experiments_of, referring_first
from panic_assets.upkeep.temporary import RESTORING, RESTORING_LOCK

_SHOWN = 5
_LOCK_SECONDS = 5.0
Owner: TypeAlias = tuple[str, str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Restored:
    """What was done.

    ``written`` partitions came back, ``same`` were there already, ``mended`` files of these were missing or damaged.
    ``replaced``: partitions (table/experiment) that held something else. ``documents`` were written; those in
    ``differing`` are there with other content and were left. ``clusters``: restored, made anew, or untouched.
    """

    source: Path
    experiments: tuple[str, ...]
    written: int
    same: int
    mended: int
    replaced: tuple[str, ...]
    documents: tuple[str, ...]
    differing: tuple[str, ...]
    clusters: str
    studies: tuple[str, ...] = ()


@dataclass
class _Plan:
    """What there is to do. ``held``: manifests that partitions to be written have now."""

    write: list[Manifest] = field(default_factory=list)
    same: list[Manifest] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    extra: list[tuple[str, str]] = field(default_factory=list)
    held: dict[tuple[str, str | None], Manifest | None] = field(default_factory=dict)
    with_clusters: bool = False


def restore(
    source: Path,
    data: Path,
    experiments: Sequence[str] | None = None,
    *,
    studies: Sequence[str] | None = None,
    replace_others: bool = False,
    on_progress: Progress | None = None,
) -> Restored:
    """Bring all experiments and studies of a backup, or some, back into a data directory.

    Where ``experiments`` or ``studies`` are named, these are all that comes back. Partitions that hold the same are
    left, but for files that are missing or damaged. One that holds something else is refused before anything is
    written; with ``replace_others`` it is replaced, and its parts stay until the grace period is over. The store of
    events and the state of searches are never replaced: others may be writing to them. Killed at any moment, partitions
    are whole, and another call does the rest.

    Raises:
        BackupError: no such backup, experiment or study, damage, a newer version, a partition that holds something
            else, or a full disk: what the lake held is as before.
        PartitionLocked: a writer is at work.
    """
    lake = Lake(data / "lake")
    with open_source(source) as opened:
        whole = experiments is None and studies is None
        chosen = _chosen(opened, None if whole else {EXPERIMENT_KEY: experiments or (), STUDY_KEY: studies or ()})
        for partition, name in chosen:
            refuse_while_going(lake.root, name, partition)
        plan = _planned(lake, opened, chosen, whole)
        if plan.conflicts and not replace_others:
            shown = ", ".join(plan.conflicts[:_SHOWN]) + (", ..." if len(plan.conflicts) > _SHOWN else "")
            raise BackupError(
                f"{lake.root} holds something else than the backup in {len(plan.conflicts)} partitions: {shown}. "
                "Nothing was written. With --replace what the backup holds takes their place, and the old parts stay "
                "until `panic gc` removes them"
            )
        try:
            mended = _written(lake, opened, plan, on_progress or (lambda done, total: None))
            documents, differing = _documents(data, opened, chosen, whole, replace_others)
        except LakeWriteError as error:
            raise BackupError(str(error)) from error
        except OSError as error:
            raise BackupError(
                f"{lake.root} could not be written: {error.strerror or error}; free some space, then run again"
            ) from error
        clusters = "restored" if plan.with_clusters else "untouched"
        if not plan.with_clusters and any(m.table == "embeddings" for m in plan.write):
            fit_clusters(lake)
            clusters = "made anew"
        build_catalog(lake.root, data / "catalog.duckdb")
    return Restored(
        opened.place,
        tuple(name for partition, name in chosen if partition == EXPERIMENT_KEY),
        len(plan.write),
        len(plan.same),
        mended,
        tuple(plan.conflicts),
        tuple(documents),
        tuple(differing),
        clusters,
        tuple(name for partition, name in chosen if partition == STUDY_KEY),
    )


def _chosen(source: Source, asked: Mapping[str, Sequence[str]] | None) -> list[Owner]:
    """(experiment or study, name) of all that comes back."""
    held = {EXPERIMENT_KEY: source.backup.experiments, STUDY_KEY: source.backup.studies}
    for partition, names in (asked or {}).items():
        for name in names:
            if name not in held[partition]:
                hint = near(name, held[partition]) if held[partition] else ""
                raise BackupError(f"the backup at {source.place} holds nothing of {A[partition]} {name!r}{hint}")
    return [(partition, name) for partition, names in (asked or held).items() for name in dict.fromkeys(names)]


def _planned(lake: Lake, source: Source, chosen: list[Owner], whole: bool) -> _Plan:
    """Look at all partitions; nothing is written."""
    plan = _Plan()
    order = {table: number for number, table in enumerate(reversed(referring_first()))}
    wanted = sorted((m for m in source.backup.partitions if place_of(m) in chosen), key=lambda m: order[m.table])
    clusters = [m for m in source.backup.partitions if m.experiment is None]
    # Clusters are of all experiments: they fit only where these are the backup's.
    own = {name for partition, name in chosen if partition == EXPERIMENT_KEY}
    plan.with_clusters = (whole and source.backup.is_whole and set(experiments_of(lake)) <= own) and all(
        _is_same(lake.manifest(m.table), m) or lake.manifest(m.table) is None for m in clusters
    )
    for manifest in [*wanted, *(clusters if plan.with_clusters else [])]:
        _compare(lake, manifest, plan)
    there = {(m.table, m.experiment) for m in wanted}
    changed = {place_of(m) for m in plan.write}
    for table, key in ((t, k) for t, spec in TABLES.items() for p, k in chosen if p == spec.partition):
        is_extra = (table, key) not in there and (TABLES[table].partition, key) in changed
        if is_extra and lake.manifest(table, key) is not None:
            plan.extra.append((table, key))
            plan.conflicts.append(f"{table}/{key}")
    return plan


def _compare(lake: Lake, wanted: Manifest, plan: _Plan) -> None:
    folder = lake.folder(wanted.table, wanted.experiment)
    if is_held(folder / LOCK):
        raise PartitionLocked(folder / LOCK, holder_of(folder / LOCK) or None)
    name = f"{wanted.table}/{wanted.experiment}"
    try:
        held = lake.manifest(wanted.table, wanted.experiment)
    except CorruptPart:
        held = None
        plan.conflicts.append(f"{name} (damaged)")
    if _is_same(held, wanted):
        plan.same.append(wanted)
        return
    if held is not None:
        plan.conflicts.append(name)
    plan.write.append(wanted)
    plan.held[(wanted.table, wanted.experiment)] = held


def _is_same(held: Manifest | None, wanted: Manifest) -> bool:
    def content(manifest: Manifest) -> object:
        return [(part.file, part.checksum) for part in manifest.parts], manifest.properties

    return held is not None and content(held) == content(wanted)


def _written(lake: Lake, source: Source, plan: _Plan, on_progress: Progress) -> int:
    """Gather the files and put the partitions in place; how many files of unchanged ones were mended."""
    needed = [(m, part) for m in plan.write for part in m.parts if not _is_sound(lake, m, part)]
    broken = [(m, part) for m in plan.same for part in m.parts if not _is_sound(lake, m, part)]
    size, free = sum(part.bytes for _, part in needed + broken), space_left(lake.root)
    if size > free:
        raise BackupError(
            f"{lake.root}: {size / 2**20:.1f} MiB are to be written and {free / 2**20:.1f} MiB are free; free some "
            "space, then run again. Nothing was written"
        )
    staged = lake.root / RESTORING
    with locked(staged / RESTORING_LOCK):
        try:
            for number, (manifest, part) in enumerate(needed + broken, 1):
                _gather(source, staged, manifest, part)
                on_progress(number, len(needed) + len(broken))
            for manifest in plan.write:
                _place(lake, staged, manifest, plan.held[(manifest.table, manifest.experiment)])
            for manifest, part in broken:
                with locked(lake.folder(manifest.table, manifest.experiment) / LOCK, _LOCK_SECONDS):
                    _move(lake, staged, manifest, part)
            for table, key in plan.extra:
                lake.delete(table, key, _LOCK_SECONDS)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return len(broken)


def _is_sound(lake: Lake, manifest: Manifest, part: Part) -> bool:
    try:
        check_content(lake.folder(manifest.table, manifest.experiment), part)
    except CorruptPart:
        return False
    return True


def _gather(source: Source, staged: Path, manifest: Manifest, part: Part) -> None:
    name = part_name(manifest, part)
    path = staged / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with source.open(name) as file:
            write_checked(file, path, Stored(part.bytes, part.checksum), source.place / name)
    except CorruptPart as error:
        raise BackupError(
            f"the backup is damaged: {source.place / name} is not what was backed up. Nothing was written; take "
            "another backup, or restore other experiments alone (`panic restore --verify` names all damage)"
        ) from error


def _move(lake: Lake, staged: Path, manifest: Manifest, part: Part) -> None:
    path = staged / part_name(manifest, part)
    if path.exists():
        os.replace(path, lake.folder(manifest.table, manifest.experiment) / part.file)


def _place(lake: Lake, staged: Path, wanted: Manifest, planned: Manifest | None) -> None:
    """Put one partition in place; what it held is retired."""
    folder = lake.folder(wanted.table, wanted.experiment)
    with locked(folder / LOCK, _LOCK_SECONDS):
        refuse_while_going(lake.root, wanted.experiment, TABLES[wanted.table].partition)
        try:
            held = load_manifest(folder)
        except CorruptPart:
            bury(folder)  # what its parts are can't be told: all are kept for the grace period
            held = None
        if held != planned:
            raise BackupError(f"{folder} was changed meanwhile; run again to look at it anew")
        for part in wanted.parts:
            _move(lake, staged, wanted, part)
        sync_folder(folder)
        now, files = time.time(), {part.file for part in wanted.parts}
        if held is not None:
            dropped = [Retired(part.file, now) for part in held.parts if part.file not in files]
            retired = (*(old for old in held.retired if old.file not in files), *dropped)
            wanted = replace(wanted, generation=max(held.generation, wanted.generation) + 1, retired=retired)
        save_manifest(folder, wanted)


def _documents(
    data: Path, source: Source, chosen: list[Owner], whole: bool, replace_others: bool
) -> tuple[list[str], list[str]]:
    """(written, left because other content is there) of experiment files, settings and Dagster's records."""
    written, differing = [], []
    for place, name in sorted(source.backup.documents.items()):
        if not whole and _asker(place) not in chosen:
            continue
        path = data / (f".{place}" if place.startswith("dagster/") else place)
        with source.open(name) as file:
            content = file.read()
        if path.is_file() and path.read_bytes() == content:
            continue
        if _is_database_in_use(path) or (path.exists() and not replace_others):
            differing.append(place)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            move_to_quarantine(data, path)
        replace_file(path, content)
        written.append(place)
    return written, differing


def _asker(place: str) -> Owner | None:
    """Whose a document is: an experiment's file, or the file or the training of a study."""
    folder, *rest = place.split("/")
    if folder == "training":
        return STUDY_KEY, rest[0]
    kind = {"experiments": EXPERIMENT_KEY, "studies": STUDY_KEY}.get(folder)
    return (kind, Path(place).stem) if kind else None


def _is_database_in_use(path: Path) -> bool:
    """Whether a database of trainings is there, or what SQLite writes beside one: whoever uses it would be confused."""
    if path.suffix != ".db" or "training" not in path.parts[-3:]:
        return False
    return path.exists() or path.with_name(f"{path.name}-wal").exists()
