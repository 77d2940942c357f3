"""The lake: reading tables, opening writers, checking and tidying partitions.

Here belongs what works on the lake as a whole; how a partition is written is in `writer`. Readers take no lock: they
resolve a manifest and read immutable files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from panic_assets import paths
from panic_assets.lake.errors import CorruptPart, LakeError, PartitionLocked
from panic_assets.lake.locks import locked
from panic_assets.lake.manifest import MANIFEST, Manifest, load_manifest, save_manifest
from panic_assets.lake.parts import check_content, read_part
from panic_assets.lake.removal import (
    DELETED,
    begin_deletion,
    bury,
    deleted_parts,
    deletions,
    erase,
    forget,
    is_going,
    remove_strays,
    tables_are_gone,
)
from panic_assets.lake.rows import Where, labels_verdict, sorted_rows, stack
from panic_assets.lake.schemas import TABLES, TableSpec, table_spec
from panic_assets.lake.specs import EXPERIMENT_KEY, STUDY_KEY
from panic_assets.lake.writer import LOCK, Writer

#: Readers may hold dropped parts this long: a day, longer than any query.
GRACE_SECONDS = 24 * 3600.0

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Problem:
    """A defect that `Lake.verify` found: the file, and a sentence with what is wrong and the remedy."""

    path: Path
    message: str


class Lake:
    """Tables under one folder; ``root`` need not exist yet. Cheap to make, safe to share between threads.

    ``experiment`` is in all methods the key of a partition; in tables of studies that is a study.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()

    @classmethod
    def open(cls) -> Lake:
        """The lake of the data directory."""
        return cls(paths.lake_dir())

    def folder(self, table: str, experiment: str | None = None) -> Path:
        """Where a partition lies; ``experiment`` is None exactly for tables that are not partitioned.

        Raises:
            LakeError: an unknown table, or a key that is missing, needless or malformed.
        """
        spec = table_spec(table)
        if spec.partition is None:
            if experiment is not None:
                raise LakeError(f"table {table} is not partitioned; leave the key ({experiment!r}) out")
            return self.root / table
        if experiment is None:
            raise LakeError(f"table {table} is partitioned; name the {spec.partition}")
        if not _KEY.fullmatch(experiment):
            raise LakeError(f"{experiment!r} can't be a partition: 1 to 63 of a-z, 0-9, _ and -, no _ or - first")
        return self.root / table / f"{spec.partition}={experiment}"

    def keys(self, table: str) -> list[str]:
        """Partitions of the table that were committed, sorted.

        Raises:
            LakeError: the table is unknown or not partitioned.
        """
        partition = table_spec(table).partition
        if partition is None:
            raise LakeError(f"table {table} is not partitioned")
        going = deletions(self.root, partition)
        found = (self.root / table).glob(f"{partition}=*/{MANIFEST}")
        keys = sorted(path.parent.name.removeprefix(f"{partition}=") for path in found)
        return [key for key in keys if not going.get(key)]

    def experiments(self, table: str) -> list[str]:
        """Experiments that the table was committed for, sorted.

        Raises:
            LakeError: the table is unknown or not partitioned by experiment.
        """
        return self._keys_of(EXPERIMENT_KEY, table)

    def studies(self, table: str) -> list[str]:
        """Studies that the table was committed for, sorted.

        Raises:
            LakeError: the table is unknown or not partitioned by study.
        """
        return self._keys_of(STUDY_KEY, table)

    def _keys_of(self, partition: str, table: str) -> list[str]:
        if table_spec(table).partition != partition:
            raise LakeError(f"table {table} is not partitioned by {partition}")
        return self.keys(table)

    def manifest(self, table: str, experiment: str | None = None) -> Manifest | None:
        """The partition's manifest now; None if nothing was committed, or it is being deleted with all that is its."""
        folder = self.folder(table, experiment)
        return None if is_going(self.root, experiment, table_spec(table).partition) else load_manifest(folder)

    def manifests(self, table: str) -> list[tuple[Path, Manifest]]:
        """Folder and manifest of every committed partition, sorted by key."""
        keys: Sequence[str | None] = self.keys(table) if table_spec(table).partitioned else [None]
        pairs = [(self.folder(table, key), self.manifest(table, key)) for key in keys]
        return [(folder, manifest) for folder, manifest in pairs if manifest is not None]

    def generation(self, table: str, experiment: str | None = None) -> int:
        """Number of the partition's last commit; 0 if there is none."""
        manifest = self.manifest(table, experiment)
        return manifest.generation if manifest else 0

    def properties(self, table: str, experiment: str | None = None) -> dict[str, Any]:
        """What writers stored with the partition by `Writer.set_property`."""
        manifest = self.manifest(table, experiment)
        return dict(manifest.properties) if manifest else {}

    def writer(self, table: str, experiment: str | None = None, timeout: float = 0.0) -> Writer:
        """A writer of one partition, to be entered with ``with``; waits up to ``timeout`` seconds for the lock then.

        Raises:
            LakeError: an unknown table or a key that can't be.
        """
        return Writer(self.folder(table, experiment), table_spec(table), experiment, timeout)

    def read(
        self,
        table: str,
        experiment: str | None = None,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """Rows in the table's order; of all partitions, or of one, or of those that a condition names.

        ``where`` maps columns to a value, or to a list or set of values; parts and row groups that can't hold them
        are not read. Vectors come as ``fixed_size_list<float32>[d]``, or as lists where sizes differ. Without rows the
        schema is the declared one.

        Raises:
            CorruptPart: a file is missing or damaged.
            LakeError: an unknown table or column.
        """
        spec = table_spec(table)
        where = dict(where or {})
        for name in [*(columns or []), *where]:
            spec.column(name)
        wanted = spec.names if columns is None else list(columns)
        keys: Sequence[str | None] = [experiment]
        if experiment is None and spec.partition is not None:
            keys = self.keys(table)
            if spec.partition in where:
                named = {spec.partition: where[spec.partition]}
                keys = [key for key in keys if labels_verdict({spec.partition: str(key)}, named)]
        read = list(dict.fromkeys([*wanted, *spec.sort]))
        tables = [part for key in keys for part in self._read_partition(spec, key, read, where) if part.num_rows]
        if not tables:
            return spec.arrow_schema().empty_table().select(wanted)
        return sorted_rows(spec, stack(spec, tables)).select(wanted)

    def _read_partition(
        self, spec: TableSpec, experiment: str | None, columns: list[str], where: Where, again: bool = True
    ) -> list[pa.Table]:
        folder = self.folder(spec.name, experiment)
        manifest = self.manifest(spec.name, experiment)
        parts = manifest.parts if manifest else ()
        try:
            return [
                read_part(folder, part, spec, columns, where)
                for part in parts
                if labels_verdict(part.labels, where) is not False
            ]
        except CorruptPart:
            # A part may have been dropped and removed since the manifest was read. That is no damage: look again, once.
            if again and self.manifest(spec.name, experiment) != manifest:
                return self._read_partition(spec, experiment, columns, where, again=False)
            raise

    def verify(self, table: str, experiment: str | None = None) -> list[Problem]:
        """Read every byte of a partition and list what is wrong: damaged or missing parts, keys that come twice."""
        spec = table_spec(table)
        folder = self.folder(table, experiment)
        try:
            manifest = self.manifest(table, experiment)
        except CorruptPart as error:
            return [Problem(error.path, str(error))]
        problems = []
        keys = []
        for part in manifest.parts if manifest else ():
            try:
                check_content(folder, part)
                keys.append(read_part(folder, part, spec, spec.key, {}))
            except CorruptPart as error:
                problems.append(Problem(error.path, str(error)))
        if keys:
            counts = pa.concat_tables(keys).group_by(list(spec.key)).aggregate([([], "count_all")])
            twice = counts.filter(pc.field("count_all") > 1)
            if twice.num_rows:
                example = {name: twice[name][0].as_py() for name in spec.key}
                message = f"{twice.num_rows} keys come more than once, such as {example}; re-materialise this partition"
                problems.append(Problem(folder, message))
        return problems

    def delete(self, table: str, experiment: str | None = None, timeout: float = 0.0, now: bool = False) -> None:
        """Delete a partition; nothing happens if there is none. A new writer starts it anew.

        Its parts stay on the disk for those who read them, until `remove_old`; with ``now`` they go at once, readers
        or not.

        Raises:
            PartitionLocked: a writer is at work on it.
            LakeWriteError: the disk is full or refuses; nothing was deleted.
        """
        folder = self.folder(table, experiment)
        if not folder.exists():
            return
        with locked(folder / LOCK, timeout):
            self._delete(folder, now)

    def delete_experiment(self, experiment: str, now: bool = False) -> None:
        """Delete all partitions of an experiment: all are gone or none is.

        After a death in between the experiment is gone, too; calling this again, or `panic gc`, removes the rest. The
        record that clusters must follow stays until `removal.end_deletion`.

        Raises:
            PartitionLocked: a writer is at work on one of them; nothing was deleted.
            LakeWriteError: the disk is full or refuses.
        """
        self._delete_all(EXPERIMENT_KEY, experiment, now)

    def delete_study(self, study: str, now: bool = False) -> None:
        """Delete all partitions of a study, as `delete_experiment` those of an experiment, which stays.

        Raises:
            PartitionLocked: a writer is at work on one of them; nothing was deleted.
            LakeWriteError: the disk is full or refuses.
        """
        self._delete_all(STUDY_KEY, study, now)

    def _delete_all(self, partition: str, key: str, now: bool) -> None:
        tables = [table for table, spec in reversed(TABLES.items()) if spec.partition == partition]
        folders = [self.folder(table, key) for table in tables]
        with ExitStack() as locks:
            # Also those of tables that hold nothing, so that no writer starts them meanwhile; but last.
            for folder in sorted(folders, key=lambda folder: not folder.exists()):
                locks.enter_context(locked(folder / LOCK))
            begin_deletion(self.root, key, partition)
            for folder in folders:
                self._delete(folder, now)
            tables_are_gone(self.root, key, partition)

    def _delete(self, folder: Path, now: bool) -> None:
        if not now:
            bury(folder)
        if now or not (folder / DELETED).exists():
            self._erase(folder)

    def _erase(self, folder: Path) -> None:
        erase(folder, LOCK)
        if folder.parent != self.root:
            with suppress(OSError):  # others are in it
                folder.parent.rmdir()

    def remove_old(
        self, table: str, experiment: str | None = None, older_than_seconds: float = GRACE_SECONDS, timeout: float = 0.0
    ) -> int:
        """Remove parts that were dropped by a commit or a deletion at least so long ago; give how many.

        Rebuild the catalog first: its views name files.

        Raises:
            PartitionLocked: a writer is at work on the partition.
        """
        folder = self.folder(table, experiment)
        if not (folder / MANIFEST).exists() and not (folder / DELETED).exists():
            return 0
        with locked(folder / LOCK, timeout):
            limit = time.time() - older_than_seconds
            removed = forget(folder, limit)
            manifest = load_manifest(folder)
            if manifest is None:
                if not deleted_parts(folder):
                    self._erase(folder)
                return removed
            old = [part for part in manifest.retired if part.at <= limit]
            if old:
                kept = tuple(part for part in manifest.retired if part not in old)
                save_manifest(folder, replace(manifest, retired=kept))
                remove_strays(folder, load_manifest(folder) or manifest)
            return removed + len(old)

    def tidy(self, older_than_seconds: float = GRACE_SECONDS) -> int:
        """`remove_old` for every partition; those that are being written are left for the next time.

        Without it, each compaction would leave a second copy of its rows on the disk for good.
        """
        removed = 0
        for table, experiment in self.places():
            with suppress(PartitionLocked):
                removed += self.remove_old(table, experiment, older_than_seconds)
        return removed

    def places(self) -> list[tuple[str, str | None]]:
        """(table, key) of every partition's folder on the disk, of those also that hold nothing any more."""
        found: list[tuple[str, str | None]] = []
        for table, spec in TABLES.items():
            folder, prefix = self.root / table, f"{spec.partition}="
            if not spec.partitioned:
                found += [(table, None)] if folder.is_dir() else []
                continue
            keys = (path.name.removeprefix(prefix) for path in folder.glob(f"{prefix}*") if path.is_dir())
            found += [(table, key) for key in sorted(keys) if _KEY.fullmatch(key)]
        return found
