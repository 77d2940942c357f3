"""Quarantine: taking out of a partition what is damaged or wrong, so that it is kept elsewhere and told of.

Here belong cutting parts and rows out of a partition by a commit, putting files aside, and making a manifest of the
parts that lie there. What is wrong is told by the caller. Whatever leaves the lake is in the quarantine, with a note,
before the commit that takes it away: a death in between leaves a second copy, never none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from panic_assets.lake.durable import replace_file, sync_folder
from panic_assets.lake.errors import CorruptPart
from panic_assets.lake.manifest import Manifest, Part, load_manifest
from panic_assets.lake.parts import read_part, reading, write_part
from panic_assets.lake.rows import sorted_rows, upgrade
from panic_assets.lake.schemas import TableSpec
from panic_assets.lake.writer import Writer, remove_strays

NOTE = "note.json"
Key: TypeAlias = tuple[Any, ...]
_GENERATION = re.compile(r"part-(\d{8})-[0-9a-f]+\.parquet")


@dataclass
class Ward:
    """A folder of the quarantine for one partition; made when the first thing comes into it."""

    folder: Path
    _notes: list[dict[str, Any]] = field(default_factory=list)

    def admit_file(self, path: Path, why: str) -> None:
        """Keep a file under its own name, linked where that can be, and note it. Nothing happens if it is gone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / path.name
        number = 1
        while target.exists():
            number += 1
            target = self.folder / f"{path.name}.{number}"
        try:
            os.link(path, target)
        except FileNotFoundError:
            return
        except OSError:  # another disk, or one without links
            shutil.copyfile(path, target)
        self._note({"what": "file", "file": target.name, "from": str(path), "why": why, **_facts(target)})

    def admit_rows(self, spec: TableSpec, tables: Iterator[pa.Table], origin: Path, why: Mapping[str, int]) -> None:
        """Keep rows, at least one table of them, as a Parquet file of the columns that they had."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"rows-of-{origin.name}"
        first = next(tables)
        rows = first.num_rows
        with pq.ParquetWriter(target, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
                rows += table.num_rows
        with open(target, "rb") as file:
            os.fsync(file.fileno())
        noted = {"what": "rows", "table": spec.name, "rows": rows, "file": target.name, "from": str(origin)}
        self._note(noted | {"why": dict(why), **_facts(target)})

    def _note(self, entry: dict[str, Any]) -> None:
        self._notes.append(entry)
        replace_file(self.folder / NOTE, json.dumps(self._notes, indent=1, ensure_ascii=False).encode())
        sync_folder(self.folder)


class Surgeon(Writer):
    """A writer that cuts parts and rows out of a partition; what it cuts goes to a `Ward`.

    Whoever uses it holds the partition's lock.
    """

    def __enter__(self) -> Surgeon:
        """Look at the partition as it is. Nothing is cleared away."""
        self._manifest = load_manifest(self._folder) or self._manifest
        self._roll_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget what was not committed."""
        self._roll_back()
        if kind is not None:
            remove_strays(self._folder, self._manifest)

    def cut(
        self,
        lost: Mapping[str, str],
        doomed: Mapping[Key, str],
        single: Collection[Key],
        ward: Ward,
        by: Sequence[str] | None = None,
    ) -> int:
        """Take out parts by name and rows by key; give how many rows went. Visible after `commit`.

        ``lost`` and ``doomed`` say why. Of the rows of a ``single`` key the first stays. ``by`` names the columns of
        these keys, by default those of the table's key.

        Raises:
            CorruptPart: a part that is not lost can't be read.
            LakeWriteError: the disk is full or refuses.
        """
        cut, kept, seen = 0, list[Part](), set[Key]()
        for part in self._parts:
            if part.file in lost:
                ward.admit_file(self._folder / part.file, lost[part.file])
                continue
            why: dict[str, int] = {}
            masks = list(self._masks(part, doomed, single, seen, by or self._spec.key, why))
            bad = sum(why.values())
            cut += bad
            if not bad:
                kept.append(part)
                continue
            ward.admit_rows(self._spec, self._rows(part, masks, False), self._folder / part.file, why)
            if bad < part.rows:
                groups = self._rows(part, masks, True)
                rest = write_part(self._folder, self._spec, self.generation + 1, part.labels, groups)
                kept.append(rest)
        touched = [part.labels for part in self._parts if part not in kept]
        self._parts = [replace(part, compacted=False) if part.labels in touched else part for part in kept]
        return cut

    def renumber(self, column: str) -> None:
        """Number all rows of a small table 0, 1, 2, ... in their order."""
        tables = [read_part(self._folder, part, self._spec, self._spec.names, {}) for part in self._parts]
        if tables:
            rows = sorted_rows(self._spec, pa.concat_tables(tables))
            place = rows.schema.get_field_index(column)
            numbers = pa.array(range(rows.num_rows), rows.schema.field(place).type)
            self.replace(rows.set_column(place, rows.schema.field(place), numbers), {})

    def keep_properties(self, properties: Mapping[str, Any]) -> None:
        """Make these the properties of the next commit, and no others."""
        self._properties = dict(properties)

    def _masks(
        self,
        part: Part,
        doomed: Mapping[Key, str],
        single: Collection[Key],
        seen: set[Key],
        by: Sequence[str],
        why: dict[str, int],
    ) -> Iterator[list[bool]]:
        """For each row group, which of its rows stay; counts in ``why`` those that go."""
        if not doomed and not single:
            return
        with reading(self._folder, part) as path, pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            for number in range(parquet.num_row_groups):
                mask = []
                for key in keys_of(by, parquet.read_row_group(number, columns=list(by))):
                    rule = doomed.get(key) or ("keys_are_unique" if key in single and key in seen else None)
                    if key in single:
                        seen.add(key)
                    if rule:
                        why[rule] = why.get(rule, 0) + 1
                    mask.append(rule is None)
                yield mask

    def _rows(self, part: Part, masks: Sequence[list[bool]], stay: bool) -> Iterator[pa.Table]:
        """The row groups of a part, of the rows that stay or of the others; empty ones left out."""
        schema = self._spec.arrow_schema(part.dimension)
        with reading(self._folder, part) as path, pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            for number, mask in enumerate(masks):
                chosen = [value is stay for value in mask]
                if any(chosen):
                    table = parquet.read_row_group(number).filter(pa.array(chosen))
                    # What stays is of the declared form. What goes may be what it likes.
                    yield upgrade(self._spec, table, self._spec.names).cast(schema) if stay else table


def keys_of(names: Sequence[str], table: pa.Table) -> Iterator[Key]:
    """The values of some columns, row by row."""
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


@dataclass(frozen=True)
class Rebuilt:
    """A manifest made of parts; ``aside`` are files that it does not name, each with the reason."""

    manifest: Manifest
    aside: dict[str, str]


def rebuild(
    folder: Path, spec: TableSpec, experiment: str | None, describe: Callable[[TableSpec, str | None, Path], Part]
) -> Rebuilt:
    """The manifest that the parts in a folder make, the newest first; nothing is written.

    A part whose keys a newer one has is what that one was made of, and stays aside. ``describe`` reads a part whole.
    Properties are lost: what they mark as done is done again.
    """
    chosen: list[Part] = []
    aside: dict[str, str] = {}
    held: set[Key] = set()
    files = sorted(folder.glob("*.parquet"), key=lambda path: (-_generation(path), path.name))
    for path in files:
        try:
            part = describe(spec, experiment, path)
            with pq.ParquetFile(path) as parquet:
                keys = list(keys_of(spec.key, parquet.read(columns=list(spec.key))))
        except (CorruptPart, pa.ArrowException, OSError) as error:
            aside[path.name] = f"can't be a part of the table: {error}"
            continue
        if held.intersection(keys):
            aside[path.name] = "newer parts hold its rows"
            continue
        held.update(keys)
        chosen.append(part)
    generation = max(map(_generation, files), default=0) + 1
    return Rebuilt(Manifest(spec.name, experiment, generation, spec.schema_version, tuple(reversed(chosen))), aside)


def discard(folder: Path, names: Collection[str]) -> None:
    """Remove files that are in the quarantine."""
    for name in names:
        with suppress(FileNotFoundError):
            (folder / name).unlink()


def checksum_of(path: Path) -> str:
    """blake2b-128 of a file, as a manifest has it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _generation(path: Path) -> int:
    match = _GENERATION.fullmatch(path.name)
    return int(match[1]) if match else 0


def _facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "checksum": checksum_of(path)}
