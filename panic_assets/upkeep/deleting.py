"""Deleting an experiment: what would go, and its going, whole or not at all.

Here belongs what hangs on an experiment beside its partitions: clusters, catalog, figures, its file. How partitions go
is the lake's business; Dagster's partition is that of the command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from panic_assets.errors import PanicError
from panic_assets.files import ExperimentFiles
from panic_assets.lake import TABLES, Lake, LakeError, build_catalog
from panic_assets.lake.manifest import MANIFEST, load_manifest
from panic_assets.lake.removal import deletions, end_deletion
from panic_assets.lake.specs import EXPERIMENT_KEY, near
from panic_assets.upkeep.clusters import fit_clusters
from panic_assets.upkeep.leftovers import Leftover, files_of, known_experiments, remove

#: Where a file goes that is taken away or replaced.
QUARANTINE = Path("quarantine") / "files"


class NothingToDelete(PanicError):
    """Neither the lake nor a file beside it belongs to an experiment of that name."""


@dataclass(frozen=True)
class Share:
    """What a table holds of an experiment: rows, None where the manifest is damaged, and bytes on the disk."""

    table: str
    rows: int | None
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What deleting takes away: tables, and ``leftovers`` beside the lake.

    ``file`` asks for it, and stays unless told otherwise. ``is_begun``: an earlier deletion did not end.
    """

    tables: tuple[Share, ...]
    leftovers: tuple[Leftover, ...]
    file: Path | None
    is_begun: bool

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(share.bytes for share in self.tables) + sum(left.bytes for left in self.leftovers)


@dataclass(frozen=True)
class Done:
    """What was done. ``freed`` bytes are free now, ``later`` ones once no reader can hold them and ``gc`` ran.

    ``moved``: where the file that asked for it is now, if it was taken away.
    """

    freed: int
    later: int
    moved: Path | None


@dataclass(frozen=True)
class ExperimentDeletion(Plan):
    """Of an experiment: ``points`` of clusterings are its own; ``medoids`` are clusters that it lends their medoid."""

    experiment: str
    points: int
    medoids: int


@dataclass(frozen=True)
class ExperimentDeleted(Done):
    """Of an experiment: ``clusterings`` is how many there are now, None if none was touched."""

    experiment: str
    clusterings: int | None


def plan_deletion(data: Path, experiment: str) -> ExperimentDeletion:
    """What would go; nothing is changed.

    Raises:
        NothingToDelete: nothing belongs to such an experiment; the message names near ones.
    """
    lake = Lake(data / "lake")
    begun = experiment in deletions(lake.root)
    tables = shares_of(lake, experiment, EXPERIMENT_KEY)
    leftovers = tuple(files_of(data, experiment))
    points, medoids = _in_clusters(lake, experiment)
    if not (begun or tables or leftovers or points):
        known = sorted(known_experiments(data, lake))
        hint = near(experiment, known) if known else "; it holds no experiments"
        raise NothingToDelete(f"the lake at {lake.root} holds nothing of an experiment {experiment!r}{hint}")
    return ExperimentDeletion(tables, leftovers, _file_of(data, experiment), begun, experiment, points, medoids)


def delete_experiment(
    data: Path,
    experiment: str,
    *,
    now: bool = False,
    with_file: bool = False,
    keep_leftovers: bool = False,
    tell: Callable[[str], None] = lambda words: None,
) -> ExperimentDeleted:
    """Delete an experiment from the lake, from clusters and catalog, with its figures, reports and exports.

    For who reads already it stays until the grace period is over and `garbage.collect` ran; with ``now`` its bytes go
    at once and such readers fail. Killed at any moment, either nothing was deleted or the experiment is gone and
    another call, or `garbage.collect`, does the rest. ``with_file`` moves its file to the quarantine.

    Raises:
        NothingToDelete: nothing belongs to such an experiment.
        PartitionLocked: a writer is at work on it, and nothing was deleted; or on the clusters, and only these are
            left to be done.
        LakeWriteError: the disk is full or refuses.
    """
    lake = Lake(data / "lake")
    planned = plan_deletion(data, experiment)
    tell(f"deleting {len(planned.tables)} tables")
    if planned.tables or planned.is_begun:
        lake.delete_experiment(experiment, now)
    moved = move_to_quarantine(data, planned.file) if with_file and planned.file else None
    for left in () if keep_leftovers else planned.leftovers:
        remove(left.path)
    clusterings = follow_deletion(data, experiment, tell)
    done = outcome(planned, now, keep_leftovers, moved)
    return ExperimentDeleted(done.freed, done.later, done.moved, experiment, clusterings)


def outcome(plan: Plan, now: bool, keep_leftovers: bool, moved: Path | None) -> Done:
    """What carrying out the plan has come to."""
    tables = sum(share.bytes for share in plan.tables)
    beside = 0 if keep_leftovers else sum(left.bytes for left in plan.leftovers)
    return Done(beside + (tables if now else 0), 0 if now else tables, moved)


def follow_deletion(data: Path, experiment: str, tell: Callable[[str], None] = lambda words: None) -> int | None:
    """Clusters and catalog without a deleted experiment; how many clusterings there are now, None if untouched.

    Raises:
        PartitionLocked: another writer has been at the clusters for a minute.
        LakeError: a table can't be read or written; call it again when that is mended.
    """
    lake = Lake(data / "lake")
    clusterings = None
    if any(_in_clusters(lake, experiment)):
        tell("clusters without it")
        clusterings = fit_clusters(lake)
    tell("catalog")
    build_catalog(lake.root, data / "catalog.duckdb")
    end_deletion(lake.root, experiment)
    return clusterings


def shares_of(lake: Lake, key: str, partition: str) -> tuple[Share, ...]:
    """Tables of an experiment or study with a manifest, in their own order, whether or not a deletion was begun."""
    found = []
    for table, spec in TABLES.items():
        if spec.partition != partition or not (lake.folder(table, key) / MANIFEST).exists():
            continue
        folder = lake.folder(table, key)
        try:
            manifest = load_manifest(folder)
            rows = manifest.rows if manifest else 0
        except LakeError:  # it can't tell, and must not keep anyone from deleting it
            rows = None
        found.append(Share(table, rows, sum(path.stat().st_size for path in folder.glob("*.parquet"))))
    return tuple(found)


def _in_clusters(lake: Lake, experiment: str) -> tuple[int, int]:
    """(points, medoids) of the experiment in the clusterings."""
    where = {"experiment": experiment}
    points = lake.read("cluster_assignments", columns=["cluster"], where=where).num_rows
    return points, lake.read("clusters", columns=["cluster"], where={"medoid_experiment": experiment}).num_rows


def _file_of(data: Path, experiment: str) -> Path | None:
    files = ExperimentFiles(data / "experiments")
    sound, broken = files.read()
    if experiment in sound:
        return sound[experiment][0]
    return next((path for path in broken if path.stem == experiment), None)


def move_to_quarantine(data: Path, file: Path) -> Path:
    """Move a file that a person may have written out of the way; give its new place."""
    folder = data / QUARANTINE
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{file.name}"
    os.replace(file, target)
    return target
