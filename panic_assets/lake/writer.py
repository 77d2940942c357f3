"""The writer of one partition: rows become parts, a commit makes them visible.

Here belongs the commit protocol: lock, parts, manifest, in that order. A part is written under a temporary name,
synced and renamed; the manifest is then replaced atomically. What is on disk but not in the manifest is not there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from panic_assets.lake.compaction import compact_parts
from panic_assets.lake.durable import sync_folder
from panic_assets.lake.errors import LakeError, LakeWriteError, SchemaViolation
from panic_assets.lake.locks import acquire, release
from panic_assets.lake.manifest import Manifest, Part, Retired, load_manifest, save_manifest
from panic_assets.lake.parts import read_part, row_groups, write_part
from panic_assets.lake.removal import refuse_while_going, remove_strays
from panic_assets.lake.rows import Rows, Where, conform, labels_verdict, sorted_rows, where_expression
from panic_assets.lake.schemas import MIB, TableSpec

LOCK = "_lock"
#: Rows wait in memory up to this many bytes (for each label set), so that a commit is one part and not hundreds.
BUFFER_BYTES = 64 * MIB

_Labels = tuple[tuple[str, str], ...]


class Writer:
    """Writes one partition; made by `Lake.writer`, used as a context manager.

    Leaving the block after an error drops what was not committed; leaving it normally with uncommitted rows is an
    error of the caller and raises.
    """

    def __init__(self, folder: Path, spec: TableSpec, key: str | None, timeout: float = 0.0) -> None:
        self._folder, self._spec, self._key = folder, spec, key
        self._timeout = timeout
        self._lock: int | None = None
        self._manifest = Manifest(spec.name, key, 0, spec.schema_version)
        self._parts: list[Part] = []
        self._properties: dict[str, Any] = {}
        self._buffers: dict[_Labels, list[pa.Table]] = {}
        self._buffered_bytes: dict[_Labels, int] = {}
        self._keys: set[tuple[Any, ...]] | None = None  # of a content-addressed table, once they are needed

    def __enter__(self) -> Writer:
        """Take the lock and clear away what a dead writer left.

        Raises:
            PartitionLocked: another writer is at work.
            LakeError: the experiment or study is being deleted.
        """
        self._lock = acquire(self._folder / LOCK, self._timeout)
        try:
            refuse_while_going(self._folder.parent.parent, self._key, self._spec.partition)
            self._manifest = load_manifest(self._folder) or self._manifest
            self._roll_back()
            remove_strays(self._folder, self._manifest)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back.

        Raises:
            LakeError: rows or properties were not committed.
        """
        forgotten = self._changed
        self._roll_back()
        remove_strays(self._folder, self._manifest)
        self._release()
        if forgotten and kind is None:
            raise LakeError(f"{self._folder}: the writer was closed with uncommitted changes; call commit()")

    @property
    def generation(self) -> int:
        """Generation of the last commit; 0 before the first."""
        return self._manifest.generation

    @property
    def properties(self) -> dict[str, Any]:
        """Properties as they will be committed."""
        return dict(self._properties)

    def append(self, rows: Rows, labels: Mapping[str, str] | None = None) -> None:
        """Add rows, visible after the next commit. ``labels`` are columns that hold one value in all these rows.

        The label columns of the table's declaration need not be named: rows are split by them anyway.

        Raises:
            SchemaViolation: the rows don't fit the table; none was added.
            LakeWriteError: the disk is full; the rows stay with the writer and `commit` may be tried again.
        """
        self._take(conform(self._spec, rows, {**(labels or {}), **self._own}))

    def replace(self, rows: Rows, where: Where) -> None:
        """Drop every row that meets ``where`` (all, if it is empty), committed or not, and add ``rows``.

        Values are compared for equality; a list or set means any of them. The new rows must meet ``where`` too.

        Raises:
            SchemaViolation: the rows don't fit the table or don't meet ``where``; nothing was changed.
            CorruptPart: a part that must be split can't be read.
        """
        pieces = conform(self._spec, rows, self._own)
        condition = where_expression(self._spec, where)
        for _, table in pieces:
            if condition is not None and table.filter(condition).num_rows != table.num_rows:
                raise SchemaViolation(self._spec.name, ", ".join(where), f"new rows with {dict(where)}", "other rows")
        self._drop(where)
        self._take(pieces)

    def set_property(self, key: str, value: Any) -> None:
        """Set a JSON value that the next commit stores with the partition.

        Raises:
            LakeError: the value is not JSON.
        """
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise LakeError(f"{self._folder}: property {key!r} must be a JSON value ({error})") from error
        self._properties[key] = value

    def commit(self) -> int:
        """Make everything so far visible at once; give the generation, which is the old one if nothing changed.

        Raises:
            LakeWriteError: the disk is full or refuses; nothing is lost, and calling again tries again.
        """
        for labels in list(self._buffers):
            self._flush(labels)
        if self._changed or not self._manifest.generation:
            self._publish()
        return self.generation

    def compact(self) -> int:
        """Commit with all rows in the table's order, in one part for each label set (or few, if parts are bounded).

        Equal rows make equal files. Old parts stay on disk for readers that still hold them: see `Lake.remove_old`.

        Raises:
            LakeWriteError: the disk is full or refuses; the partition is as it was.
            CorruptPart: a part can't be read.
        """
        for labels in list(self._buffers):
            self._flush(labels)
        groups: dict[_Labels, list[Part]] = {}
        for part in self._parts:
            groups.setdefault(_frozen(part.labels), []).append(part)
        compacted: list[Part] = []
        for _, parts in sorted(groups.items()):
            is_done = all(part.compacted for part in parts)
            compacted += parts if is_done else compact_parts(self._folder, self._spec, self.generation + 1, parts)
        self._parts = compacted
        return self.commit()

    @property
    def _own(self) -> dict[str, str]:
        return {self._spec.partition: self._key} if self._spec.partition and self._key is not None else {}

    @property
    def _changed(self) -> bool:
        before = self._manifest
        return bool(self._buffers) or tuple(self._parts) != before.parts or self._properties != before.properties

    def _take(self, pieces: Sequence[tuple[dict[str, str], pa.Table]]) -> None:
        for labels, table in pieces:
            if self._spec.vector:
                self._check_dimension(labels, table)
        for labels, table in pieces:
            kept = self._only_new(table) if self._spec.content_addressed else table
            if kept.num_rows:
                key = _frozen(labels)
                self._buffers.setdefault(key, []).append(kept)
                self._buffered_bytes[key] = self._buffered_bytes.get(key, 0) + kept.nbytes
                if self._buffered_bytes[key] >= BUFFER_BYTES:
                    self._flush(key)

    def _only_new(self, table: pa.Table) -> pa.Table:
        """Without rows whose key is already there, or comes twice."""
        key = list(self._spec.key)
        if self._keys is None:
            held = [read_part(self._folder, part, self._spec, key, {}) for part in self._parts]
            held += [buffered.select(key) for tables in self._buffers.values() for buffered in tables]
            self._keys = {row for table in held for row in _key_tuples(table)}
        mask = []
        for row in _key_tuples(table.select(key)):
            mask.append(row not in self._keys)
            self._keys.add(row)
        return table.filter(pa.array(mask, pa.bool_()))

    def _check_dimension(self, labels: Mapping[str, str], table: pa.Table) -> None:
        dimension = table.schema.field(self._spec.vector).type.list_size
        known = {part.dimension for part in self._parts if part.labels == labels}
        known |= {t.schema.field(self._spec.vector).type.list_size for t in self._buffers.get(_frozen(labels), [])}
        if known - {dimension}:
            size = next(iter(known - {dimension}))
            expected = f"{size} numbers, as the rows of {labels} that are there; replace() these first"
            raise SchemaViolation(self._spec.name, str(self._spec.vector), expected, f"{dimension} numbers")

    def _flush(self, labels: _Labels) -> None:
        table = sorted_rows(self._spec, pa.concat_tables(self._buffers[labels]))
        groups = row_groups(self._spec, table)
        self._parts.append(write_part(self._folder, self._spec, self.generation + 1, dict(labels), groups))
        del self._buffers[labels], self._buffered_bytes[labels]

    def _drop(self, where: Where) -> None:
        condition = where_expression(self._spec, where)
        kept: list[Part] = []
        touched: list[dict[str, str]] = []
        for part in self._parts:
            verdict = labels_verdict(part.labels, where)
            rest = part if verdict is False else None
            if verdict is None and condition is not None:
                table = read_part(self._folder, part, self._spec, self._spec.names, {})
                remaining = table.filter(~condition | condition.is_null())
                if remaining.num_rows == table.num_rows:
                    rest = part
                elif remaining.num_rows:
                    groups = row_groups(self._spec, remaining)
                    rest = write_part(self._folder, self._spec, self.generation + 1, part.labels, groups)
            if rest is not None:
                kept.append(rest)
            if rest is not part:
                touched.append(part.labels)
        # The parts beside a dropped one no longer end where compaction would end them.
        self._parts = [replace(part, compacted=False) if part.labels in touched else part for part in kept]
        for labels, tables in list(self._buffers.items()):
            left = [] if condition is None else [t.filter(~condition | condition.is_null()) for t in tables]
            self._buffers[labels] = [table for table in left if table.num_rows]
            self._buffered_bytes[labels] = sum(table.nbytes for table in left)
            if not self._buffers[labels]:
                del self._buffers[labels], self._buffered_bytes[labels]
        self._keys = None

    def _publish(self) -> None:
        before, current = self._manifest, {part.file for part in self._parts}
        now = time.time()
        dropped = [Retired(part.file, now) for part in before.parts if part.file not in current]
        manifest = Manifest(
            self._spec.name,
            self._key,
            before.generation + 1,
            self._spec.schema_version,
            tuple(self._parts),
            (*before.retired, *dropped),
            dict(self._properties),
        )
        try:
            sync_folder(self._folder)  # the parts' names are durable before anything refers to them
        except OSError as error:
            raise LakeWriteError(self._folder, str(error), "mend the cause, then run again") from error
        save_manifest(self._folder, manifest)
        self._manifest = manifest

    def _roll_back(self) -> None:
        self._parts = list(self._manifest.parts)
        self._properties = dict(self._manifest.properties)
        self._buffers, self._buffered_bytes, self._keys = {}, {}, None

    def _release(self) -> None:
        if self._lock is not None:
            release(self._lock)
            self._lock = None


def _frozen(labels: Mapping[str, str]) -> _Labels:
    return tuple(sorted(labels.items()))


def _key_tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
