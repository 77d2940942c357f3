"""Backing up: experiments and studies, their tables and files, as they were together, while writers go on.

Here belongs what goes into a backup, in which order, and what becomes of damage. Bytes are copied by
``backup_stores``. Left out on purpose: caches, which are made again; models, which have their own sources; Dagster's
records, unless asked for.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from panic_assets.files import ExperimentFiles
from panic_assets.lake import CorruptPart, Lake
from panic_assets.lake.manifest import Manifest
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY, near, owner
from panic_assets.upkeep.backup_format import A, Backup, BackupError, part_name, place_of
from panic_assets.upkeep.backup_stores import Store, store_for
from panic_assets.upkeep.leftovers import files_of_studies
from panic_assets.upkeep.snapshot import State, clusters_fit, experiments_of, state_of, studies_of

#: How often what was changed under the copying hands is looked at anew.
_ROUNDS, _TRIES = 8, 100
#: Files of the data directory that say what models there are and what they may do.
SETTINGS = ("models.yaml", "remote_code.yaml")
_NO_CLUSTERS = "clusters are not in it and are made anew when it is restored: "
_HELD = {EXPERIMENT_KEY: experiments_of, STUDY_KEY: studies_of}
#: Beginnings of places whose files stay in a backup until it is pruned.
_GROWING = ("experiments/", "studies/", "training/")
Asked: TypeAlias = Mapping[str, Sequence[str]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BackupDone:
    """What was written: ``copied`` files are new in it, of all that it has.

    ``damaged``: experiments and studies (``study=<key>``) that could not be copied, with the reason; ``kept``: those
    that come from an earlier backup, because the lake holds them no more or damaged, or they were not asked for.
    ``notes`` are for the reader.
    """

    target: Path
    experiments: tuple[str, ...]
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    damaged: dict[str, str]
    kept: tuple[str, ...]
    notes: tuple[str, ...]
    studies: tuple[str, ...] = ()


def back_up(
    data: Path,
    target: Path,
    experiments: Sequence[str] | None = None,
    on_progress: Progress | None = None,
    *,
    studies: Sequence[str] | None = None,
    link: bool = False,
    prune: bool = False,
    dagster_state: Path | None = None,
) -> BackupDone:
    """Write a backup of all experiments and studies, or of some, to a folder, a ``.tar`` or a ``.tar.zst``.

    Where ``experiments`` or ``studies`` are named, these are all of it. Each is taken as it was at one moment; of a
    whole backup the clusters fit, and the store of the studies' events is in it. A folder that is a backup already gets
    what is new; what is not written now stays in it, or goes with ``prune``. Until the end the target is what it was
    before. ``link``: hard links instead of copies. ``dagster_state``: a folder whose SQLite files are taken along.

    Raises:
        BackupError: an unknown experiment or study, or the target is something else or can't be written.
        PartitionLocked: another process is writing the same backup.
    """
    lake = Lake(data / "lake")
    asked: Asked | None = None
    if experiments is not None or studies is not None:
        asked = {EXPERIMENT_KEY: experiments or (), STUDY_KEY: studies or ()}
        _check_names(data, lake, asked)
    target = target.absolute()
    with store_for(target, link) as store:
        work = _Work(lake, store, asked, on_progress or (lambda done, total: None))
        work.take_all()
        documents = {place: store.add(place, content) for place, content in _documents(data, asked, dagster_state)}
        backup, kept = _composed(work, store, documents, prune)
        store.finish(backup)
    return BackupDone(
        target,
        tuple(backup.experiments),
        len(backup.files),
        backup.bytes,
        store.copied,
        store.copied_bytes,
        work.damaged,
        tuple(kept),
        backup.notes,
        tuple(backup.studies),
    )


class _Work:
    """The copying of tables: states of experiments and studies, and of what is made of all experiments."""

    def __init__(self, lake: Lake, store: Store, asked: Asked | None, on_progress: Progress) -> None:
        self._lake, self._store, self._asked, self._on_progress = lake, store, asked, on_progress
        self.states: dict[tuple[str, str], State] = {}  # by what it is of (experiment, study) and its name
        self.clusters: State = {}
        self.damaged: dict[str, str] = {}
        self.notes: list[str] = []
        self._done = 0

    def take_all(self) -> None:
        """Copy studies and experiments, then look whether the clusters fit; if not, what has changed is copied."""
        self._take_all_of(STUDY_KEY)
        for _ in range(_ROUNDS):
            clusters = self._take(None) if self._asked is None else {}
            before = dict(self.states)
            self._take_all_of(EXPERIMENT_KEY)
            if self._asked is not None:
                self.notes.append(f"{_NO_CLUSTERS}they belong to all experiments")
                return
            if any(not name.startswith(owner(STUDY_KEY, "")) for name in self.damaged):
                self.notes.append(f"{_NO_CLUSTERS}a table is damaged")
                return
            experiments = {key: state for (kind, key), state in self.states.items() if kind == EXPERIMENT_KEY}
            if clusters_fit(self._lake, clusters, experiments):
                self.clusters = clusters
                return
            if self.states == before:
                break
        self.notes.append(f"{_NO_CLUSTERS}they did not fit the experiments while these were copied")

    def _take_all_of(self, partition: str) -> None:
        names = list(self._asked[partition]) if self._asked is not None else _HELD[partition](self._lake)
        for place in [place for place in self.states if place[0] == partition and place[1] not in names]:
            del self.states[place]
        for name in names:
            place, told = (partition, name), owner(partition, name)
            try:
                if told not in self.damaged and self.states.get(place) != state_of(self._lake, name, partition):
                    self.states[place] = self._take(name, partition)
            except CorruptPart as error:
                self.damaged[told] = str(error)
                self.states.pop(place, None)

    def _take(self, key: str | None, partition: str = EXPERIMENT_KEY) -> State:
        """Copy one experiment or study as it is at one moment, or (None) what is made of all experiments.

        Raises:
            CorruptPart: a part is damaged.
            BackupError: parts are removed faster than they can be copied.
        """
        for _ in range(_TRIES):
            state = state_of(self._lake, key, partition)
            parts = [(manifest, part) for manifest in state.values() for part in manifest.parts]
            try:
                for number, (manifest, part) in enumerate(parts):
                    self._on_progress(self._done + number, self._done + len(parts))
                    folder = self._lake.folder(manifest.table, key)
                    self._store.add_part(part_name(manifest, part), folder, part)
            except CorruptPart:
                if state_of(self._lake, key, partition) == state:
                    raise  # it did not go: it is damaged
                continue
            self._done += len(parts)
            return state
        raise BackupError(f"{partition} {key}: its parts are removed faster than copied; back up when it is at rest")


def _composed(work: _Work, store: Store, documents: dict[str, str], prune: bool) -> tuple[Backup, list[str]]:
    """The backup, and the experiments and studies in it that come from an earlier one."""
    fresh = [replace(m, retired=()) for state in work.states.values() for m in state.values()]
    clusters = [replace(manifest, retired=()) for manifest in work.clusters.values()]
    kept: list[Manifest] = []
    before = store.previous
    if before is not None and not prune:
        kept = [m for m in before.partitions if m.experiment is not None and place_of(m) not in work.states]
        old = {place: name for place, name in before.documents.items() if place not in documents}
        documents |= {place: name for place, name in old.items() if place.startswith(_GROWING)}
    names = {part_name(m, part) for m in (*fresh, *clusters, *kept) for part in m.parts} | set(documents.values())
    known = (before.files if before else {}) | store.files
    listed = names if store.takes_back else names | set(store.files)  # what a later look replaced is there for good
    backup = Backup(
        datetime.now(UTC).isoformat(timespec="seconds"),
        f"panic_assets {version('panic-assets')}",
        bool(work.clusters) or (not work.notes and not kept),
        (*fresh, *kept, *clusters),
        documents,
        {name: known[name] for name in listed},
        tuple(work.notes),
    )
    return backup, sorted({owner(*place_of(manifest)) for manifest in kept})


def _check_names(data: Path, lake: Lake, asked: Asked) -> None:
    for partition, names in asked.items():
        held = _HELD[partition](lake)
        for name in names:
            if name not in held:
                hint = near(name, held) if held else ""
                raise BackupError(f"the lake at {lake.root} holds nothing of {A[partition]} {name!r}{hint}")


def _documents(data: Path, asked: Asked | None, dagster_state: Path | None) -> Iterator[tuple[str, bytes]]:
    """(place below the data directory, content) of files of experiments and studies, settings, Dagster's records."""
    files = ExperimentFiles(data / "experiments")
    sound, _ = files.read()
    chosen = files.paths() if asked is None else [sound[name][0] for name in asked[EXPERIMENT_KEY] if name in sound]
    for path in (*chosen, *(data / name for name in SETTINGS)):
        if path.is_file():
            yield path.relative_to(data).as_posix(), path.read_bytes()
    for path in files_of_studies(data, None if asked is None else asked[STUDY_KEY]):
        content = _copy_of_database(path) if path.suffix == ".db" else path.read_bytes()
        yield path.relative_to(data).as_posix(), content
    if dagster_state is not None:
        for path in sorted(dagster_state.rglob("*.db")):
            yield f"dagster/{path.relative_to(dagster_state).as_posix()}", _copy_of_database(path)


def _copy_of_database(path: Path) -> bytes:
    """A consistent copy of a SQLite file that others may be writing to."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        try:
            with (
                closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise BackupError(
                f"{path} could not be copied: {error}; leave Dagster's records out, or mend it"
            ) from error
        return copy.read_bytes()
