"""Parts: immutable Parquet files, written whole, checked when read.

Here belong Parquet settings, checksums and the reading of one file. Which parts are current is in the manifest.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from panic_assets.lake.durable import describing, temporary
from panic_assets.lake.errors import CorruptPart
from panic_assets.lake.manifest import Part
from panic_assets.lake.rows import Where, labels_verdict, upgrade, where_expression
from panic_assets.lake.schemas import TableSpec

_CHECKSUM_BYTES = 16
#: Parts up to this size are hashed whole at each read, which takes a millisecond. In larger ones the checksums of the
#: pages that are read find what was altered; only `Lake.verify` looks at every byte, footers included.
SMALL_BYTES = 1024 * 1024
_CHECKED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class _Checksummed:
    """A file for writing that hashes what goes through it, so that no part is read back to be hashed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
        self.size = 0
        self.closed = False

    @property
    def checksum(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def write_part(
    folder: Path,
    spec: TableSpec,
    generation: int,
    labels: Mapping[str, str],
    groups: Iterable[pa.Table],
    compacted: bool = False,
) -> Part:
    """Write one part, a row group for each of ``groups`` (at least one), fsync it and give it its final name.

    Equal groups make equal bytes. The folder's own entry is made durable by the commit.

    Raises:
        LakeWriteError: the disk is full or refuses; no file is left.
    """
    path = folder / f"part-{generation:08d}-{secrets.token_hex(6)}.parquet"
    with describing(path):
        aside = temporary(path)
        with open(aside, "wb") as file:
            sink = _Checksummed(file)
            rows, schema = _write_groups(sink, spec, iter(groups))
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
    dimension = schema.field(spec.vector).type.list_size if spec.vector else None
    return Part(path.name, rows, sink.size, sink.checksum, spec.schema_version, dict(labels), dimension, compacted)


def _write_groups(sink: _Checksummed, spec: TableSpec, groups: Iterator[pa.Table]) -> tuple[int, pa.Schema]:
    first = next(groups)
    rows = 0
    plain = [f"{spec.vector}.list.element"] if spec.vector else []
    with pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        first.schema,
        compression=spec.compression,
        compression_level=spec.compression_level,
        # Vectors don't repeat: a dictionary of them is waste, and splitting their bytes makes them smaller.
        use_dictionary=[c.name for c in spec.columns if c.name != spec.vector] if spec.dictionary else False,
        column_encoding=dict.fromkeys(plain, "BYTE_STREAM_SPLIT") or None,
        write_page_checksum=True,  # what was altered in a page is then found by whoever reads it
    ) as writer:
        group: pa.Table | None = first
        while group is not None:
            writer.write_table(group.combine_chunks(), row_group_size=max(1, group.num_rows))
            rows += group.num_rows
            group = next(groups, None)
    return rows, first.schema


def row_groups(spec: TableSpec, table: pa.Table) -> Iterator[pa.Table]:
    """The table cut into row groups of the table's own size."""
    for start in range(0, table.num_rows, spec.row_group_rows):
        yield table.slice(start, spec.row_group_rows)


def check_size(folder: Path, part: Part) -> Path:
    """The part's path, after a look at its size.

    Raises:
        CorruptPart: missing, or of another size than was committed.
    """
    path = folder / part.file
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise CorruptPart(path, _expected(part), "no file") from None
    if size != part.bytes:
        raise CorruptPart(path, _expected(part), f"{size} bytes")
    return path


def check_content(folder: Path, part: Part) -> Path:
    """The part's path, after its checksum was computed from every byte.

    Raises:
        CorruptPart: missing or altered.
    """
    path = check_size(folder, part)
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_CHECKSUM_BYTES)).hexdigest()
    if found != part.checksum:
        raise CorruptPart(path, _expected(part), f"{part.bytes} bytes with checksum {found}")
    return path


@contextmanager
def reading(folder: Path, part: Part) -> Iterator[Path]:
    """The part's path, with errors of Parquet inside the block told as damage of this file.

    Raises:
        CorruptPart: the file is missing, was altered, or can't be decoded.
    """
    path = (check_content if part.bytes <= SMALL_BYTES else check_size)(folder, part)
    try:
        yield path
    except FileNotFoundError:
        raise CorruptPart(path, _expected(part), "no file") from None
    except (pa.ArrowException, OSError) as error:
        check_content(folder, part)
        raise CorruptPart(path, _expected(part), f"a file with that checksum that can't be read: {error}") from error


def read_part(folder: Path, part: Part, spec: TableSpec, columns: Sequence[str], where: Where) -> pa.Table:
    """The rows of one part that meet ``where``; reads only the row groups whose statistics allow it.

    Raises:
        CorruptPart: the file is missing, has another size, or can't be decoded.
    """
    with reading(folder, part) as path:
        # A list of one: a plain string would let "experiment=..." in the path become a column.
        dataset = ds.dataset([str(path)], format=_CHECKED, partitioning=None)
        has = dataset.schema.names
        rest = where if labels_verdict(part.labels, where) is None else {}
        pushed = {name: value for name, value in rest.items() if name in has}
        read = [name for name in dict.fromkeys([*columns, *rest]) if name in has]
        table = dataset.to_table(columns=read, filter=where_expression(spec, pushed))
        table = upgrade(spec, table, list(dict.fromkeys([*columns, *rest])))
    missed = where_expression(spec, {name: value for name, value in rest.items() if name not in has})
    if missed is not None:
        table = table.filter(missed)
    return table.select(list(columns)).replace_schema_metadata(spec.arrow_schema().metadata)


def _expected(part: Part) -> str:
    return f"{part.bytes} bytes with checksum {part.checksum}"
