"""Deleting a study: what would go, and its going, whole or not at all.

Here belongs what hangs on a study beside its partitions: its report, and what it made while it trained. An experiment
of the same name is not touched. What the platform's event store and MLflow know of it stays with them; Dagster's
partition is that of the command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from panic_assets.lake import Lake, build_catalog
from panic_assets.lake.removal import deletions, end_deletion
from panic_assets.lake.specs import STUDY_KEY, near
from panic_assets.upkeep.deleting import Done, NothingToDelete, Plan, move_to_quarantine, outcome, shares_of
from panic_assets.upkeep.leftovers import STUDY_SUFFIXES, files_of_study, known_studies, remove


@dataclass(frozen=True)
class StudyDeletion(Plan):
    """Of a study: ``leftovers`` are its report and its folder of trainings (state, checkpoints)."""

    study: str


@dataclass(frozen=True)
class StudyDeleted(Done):
    """Of a study."""

    study: str


def plan_study_deletion(data: Path, study: str) -> StudyDeletion:
    """What would go; nothing is changed.

    Raises:
        NothingToDelete: nothing belongs to such a study; the message names near ones.
    """
    lake = Lake(data / "lake")
    begun = study in deletions(lake.root, STUDY_KEY)
    known = known_studies(data, lake)
    if not (begun or study in known):
        hint = near(study, sorted(known)) if known else "; it holds no studies"
        raise NothingToDelete(f"the data directory {data} holds nothing of a study {study!r}{hint}")
    tables, leftovers = shares_of(lake, study, STUDY_KEY), tuple(files_of_study(data, study))
    if not (begun or tables or leftovers):
        raise NothingToDelete(
            f"the data directory {data} holds nothing of study {study!r} but the file that asks for it"
        )
    return StudyDeletion(tables, leftovers, _file_of(data, study), begun, study)


def delete_study(
    data: Path,
    study: str,
    *,
    now: bool = False,
    with_file: bool = False,
    keep_training: bool = False,
    tell: Callable[[str], None] = lambda words: None,
) -> StudyDeleted:
    """Delete a study from the lake and the catalog, with its report and what it made while it trained.

    For who reads its tables already they stay until the grace period is over and `garbage.collect` ran; with ``now``
    their bytes go at once. ``keep_training`` keeps report, state and checkpoints: running the study again then trains
    nothing anew. ``with_file`` moves its file to the quarantine. Killed at any moment, either nothing was deleted or
    the study is gone and another call, or `garbage.collect`, does the rest. Whoever calls sees to it that it is not
    being trained.

    Raises:
        NothingToDelete: nothing belongs to such a study.
        PartitionLocked: a writer is at work on it, and nothing was deleted.
        LakeWriteError: the disk is full or refuses.
    """
    lake = Lake(data / "lake")
    planned = plan_study_deletion(data, study)
    tell(f"deleting {len(planned.tables)} tables")
    if planned.tables or planned.is_begun:
        lake.delete_study(study, now)
    moved = move_to_quarantine(data, planned.file) if with_file and planned.file else None
    for left in () if keep_training else planned.leftovers:
        remove(left.path)
    follow_study_deletion(data, study, tell)
    done = outcome(planned, now, keep_training, moved)
    return StudyDeleted(done.freed, done.later, done.moved, study)


def follow_study_deletion(data: Path, study: str, tell: Callable[[str], None] = lambda words: None) -> None:
    """The catalog without a deleted study, and the end of the deletion's record.

    Raises:
        LakeError: a table can't be read; call it again when that is mended.
    """
    lake = Lake(data / "lake")
    tell("catalog")
    build_catalog(lake.root, data / "catalog.duckdb")
    end_deletion(lake.root, study, STUDY_KEY)


def _file_of(data: Path, study: str) -> Path | None:
    """The file that bears the study's name; what is in it is not asked: it may be broken."""
    places = (data / "studies" / f"{study}{suffix}" for suffix in STUDY_SUFFIXES)
    return next((path for path in places if path.is_file()), None)
