"""Compaction: many parts in the order they came become few in the table's order, in bounded memory.

Here belongs the sort outside memory. When to compact and how to commit it is the writer's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from panic_assets.lake.durable import describing, temporary
from panic_assets.lake.manifest import Part
from panic_assets.lake.parts import reading, write_part
from panic_assets.lake.rows import upgrade
from panic_assets.lake.schemas import TableSpec


def compact_parts(folder: Path, spec: TableSpec, generation: int, parts: Sequence[Part]) -> list[Part]:
    """Write the rows of ``parts``, which share their labels, as compacted parts; equal rows make equal bytes.

    The rows go through an uncompressed Arrow file that is mapped, not loaded: beside the key columns, memory holds
    one row group of input or a few of output. Disk holds the rows a third time until this returns.

    Raises:
        CorruptPart: a part can't be read.
        LakeWriteError: the disk is full or refuses; the old parts stand.
    """
    spill = folder / "compaction.arrow"
    try:
        with describing(spill):
            _spill(folder, temporary(spill), spec, parts)
        with pa.memory_map(str(temporary(spill))) as mapped:
            batches = pa.ipc.open_file(mapped)
            groups = _Groups(spec, [batches.get_batch(n) for n in range(batches.num_record_batches)])
            written = []
            while groups.left:
                written.append(write_part(folder, spec, generation, parts[0].labels, groups.for_one_part(), True))
            del groups, batches
        return written
    finally:
        temporary(spill).unlink(missing_ok=True)


def _spill(folder: Path, path: Path, spec: TableSpec, parts: Sequence[Part]) -> None:
    schema = spec.arrow_schema(parts[0].dimension)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as out:
        for part in parts:
            with reading(folder, part) as source, pq.ParquetFile(source, page_checksum_verification=True) as parquet:
                for number in range(parquet.num_row_groups):
                    table = upgrade(spec, parquet.read_row_group(number), spec.names)
                    out.write_table(table.cast(schema))


class _Groups:
    """The row groups of the output, each gathered from wherever its rows lie."""

    def __init__(self, spec: TableSpec, batches: list[pa.RecordBatch]) -> None:
        self._spec = spec
        self._batches = batches
        # Columns that hold one value in all rows of a label set order nothing, and would be most of the memory.
        same = {*spec.labels, spec.partition}
        by = [name for name in spec.sort if name not in same]
        self._order = np.arange(sum(batch.num_rows for batch in batches), dtype=np.int64)
        if by:
            keys = pa.Table.from_batches([batch.select(by) for batch in batches])
            self._order = (
                pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in by]).to_numpy().view(np.int64)
            )
        self._starts = np.concatenate([[0], np.cumsum([batch.num_rows for batch in batches])])
        self._done = 0

    @property
    def left(self) -> int:
        """Rows that are in no group yet."""
        return len(self._order) - self._done

    def for_one_part(self) -> Iterator[pa.Table]:
        """Groups until the part is as large as the table allows, or all rows are done."""
        size = 0
        while self.left and size < self._spec.part_bytes:
            group = self._gather(self._order[self._done : self._done + self._spec.row_group_rows])
            self._done += group.num_rows
            size += group.nbytes
            yield group

    def _gather(self, rows: np.ndarray) -> pa.Table:
        sources = np.searchsorted(self._starts, rows, side="right") - 1
        by_source = np.argsort(sources, kind="stable")
        bounds = np.flatnonzero(np.diff(sources[by_source])) + 1
        taken = [
            self._batches[sources[chunk[0]]].take(pa.array(rows[chunk] - self._starts[sources[chunk[0]]]))
            for chunk in np.split(by_source, bounds)
        ]
        back = np.empty_like(by_source)
        back[by_source] = np.arange(len(by_source))
        return pa.Table.from_batches(taken).combine_chunks().take(pa.array(back))
