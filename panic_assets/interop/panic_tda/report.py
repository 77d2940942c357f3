"""What became of every row of the source: imported, rejected with a reason, or skipped; nothing is lost.

Here belong the counting and the two files of the quarantine: ``rejected.parquet`` with the rejected rows whole, and
``report.json`` with the numbers. Which row is rejected is judged elsewhere.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from panic_assets.errors import PanicError
from panic_assets.interop.panic_tda.records import Era, Record, Rejected
from panic_assets.interop.panic_tda.schema import TABLES
from panic_assets.lake.durable import TEMPORARY, replace_file, temporary

REJECTED, DOUBTS, REPORT = "rejected.parquet", "doubts.jsonl", "report.json"
#: Kind of rows that lie on damaged pages of the file.
UNREADABLE = "unreadable"
IMPORTED, REFUSED, SKIPPED, DOUBTFUL = "imported", "rejected", "skipped", "doubtful"
#: Longer blobs have a column of their own; shorter ones are in the row's JSON, in base64.
_LONG_BLOB = 2**20
_EXAMPLES = 5
_BUFFER_ROWS, _BUFFER_BYTES = 1000, 16 * 2**20
_SCHEMA = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("experiment", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
        pa.field("blob", pa.large_binary()),
    ]
)


class LostRows(PanicError):
    """Rows of the source are neither imported nor rejected nor skipped: a defect of the importer."""


@dataclass(frozen=True)
class Doubt:
    """A row that is imported with an attribute that says nothing, and what the source had there."""

    table: str
    source_id: str
    kind: str
    reason: str


class Tally:
    """Rows by table of the source and by what became of them."""

    def __init__(self, counts: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        for table, of in (counts or {}).items():
            self._counts[table].update(of)

    def add(self, table: str, what: str, rows: int = 1) -> None:
        """Count rows of a table."""
        if rows:
            self._counts[table][what] += rows

    def merge(self, other: Tally) -> None:
        """Add the counts of another."""
        for table, of in other._counts.items():
            self._counts[table].update(of)

    def of(self, table: str, what: str) -> int:
        """One count."""
        return self._counts[table][what] if table in self._counts else 0

    def all_of(self, what: str) -> int:
        """A count over all tables."""
        return sum(of[what] for of in self._counts.values())

    def rows(self, table: str) -> int:
        """All rows that are accounted for."""
        return sum(self.of(table, what) for what in (IMPORTED, REFUSED, SKIPPED))

    @property
    def plain(self) -> dict[str, dict[str, int]]:
        """As JSON values, sorted."""
        return {table: dict(sorted(of.items())) for table, of in sorted(self._counts.items())}

    @property
    def json(self) -> str:
        """As canonical JSON."""
        return json.dumps(self.plain, sort_keys=True)


@dataclass
class Report:
    """The outcome of an import. Tables of the source are called by what they hold, in both eras: ``names``.

    ``source``: rows of each; ``written``: rows of the lake that this import wrote, by table of the lake.
    """

    file: str
    era: Era
    variant: str
    source: dict[str, int]
    folder: Path | None
    tally: Tally = field(default_factory=Tally)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    doubts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def unaccounted(self) -> dict[str, int]:
        """Rows of the source beyond those that are imported, rejected or skipped, where there are any."""
        beyond = {table: count - self.tally.rows(table) for table, count in self.source.items()}
        return {table: count for table, count in beyond.items() if count}

    def check(self) -> None:
        """See that no row of the source is missing. Of a damaged file, which may hide some, the report tells it.

        Raises:
            LostRows: some are; the sentence names the tables and numbers.
        """
        missing = self.unaccounted
        if missing and not any(kind == UNREADABLE for _, kind in self.kinds):
            said = ", ".join(f"{count} of {self.source[table]} rows of {table}" for table, count in missing.items())
            raise LostRows(
                f"{self.file}: {said} are unaccounted for. Nothing was deleted; this is a defect of the importer, or "
                "the database was changed by its own program meanwhile: import it again"
            )

    @property
    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "file": self.file,
            "era": self.era,
            "source_schema": self.variant,
            "rows": {
                table: {"source": count}
                | {what: self.tally.of(table, what) for what in (IMPORTED, REFUSED, SKIPPED, DOUBTFUL)}
                for table, count in sorted(self.source.items())
            },
            "unaccounted": self.unaccounted,
            "rejected": _by_table(self.kinds),
            "doubtful": _by_table(self.doubts),
            "examples": dict(sorted(self.examples.items())),
            "experiments": self.experiments,
        }

    def note(self, kind: str, source_id: str, reason: str) -> None:
        """Keep a few examples of each kind."""
        held = self.examples.setdefault(kind, [])
        if len(held) < _EXAMPLES:
            held.append(f"{source_id}: {reason}")


class Quarantine:
    """Takes rejected rows and doubts, in bounded memory; a context manager. ``folder`` None: counts alone.

    The files replace earlier ones when all is over; after an error these stay.
    """

    def __init__(self, report: Report) -> None:
        self._report, self._folder = report, report.folder
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._file: pq.ParquetWriter | None = None
        self._doubts: Any = None

    def __enter__(self) -> Quarantine:
        """Start the files, under temporary names."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for stray in self._folder.glob(f"*{TEMPORARY}*"):
                stray.unlink()
            self._file = pq.ParquetWriter(temporary(self._folder / REJECTED), _SCHEMA, compression="zstd")
            self._doubts = open(temporary(self._folder / DOUBTS), "w", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the files in place, the report last."""
        if self._folder is None or self._file is None:
            return
        self._flush()
        self._file.close()
        self._doubts.close()
        for name in (REJECTED, DOUBTS):
            aside = temporary(self._folder / name)
            if kind is None:
                aside.replace(self._folder / name)
            else:
                aside.unlink(missing_ok=True)
        if kind is None:
            text = json.dumps(self._report.facts, indent=2, ensure_ascii=False)
            replace_file(self._folder / REPORT, text.encode() + b"\n")

    def reject(self, tally: Tally, row: Rejected, experiment: str | None) -> None:
        """Take a rejected row; ``experiment`` is the partition it would have gone to, where that is known."""
        names = TABLES[self._report.era]
        table = next((holds for holds, name in names.items() if name == row.table), row.table)
        tally.add(table, REFUSED)
        self._report.kinds[table, row.kind] += 1
        self._report.note(row.kind, row.source_id, row.reason)
        if self._file is None:
            return
        blob: list[bytes] = []
        values = json.dumps(_plain(row.row, blob), ensure_ascii=True)
        kept = {
            "table": names.get(row.table, row.table),
            "source_id": row.source_id,
            "experiment": experiment,
            "kind": row.kind,
        }
        self._rows.append(kept | {"reason": row.reason, "row": values, "blob": b"".join(blob) or None})
        self._bytes += len(values) + sum(map(len, blob))
        if len(self._rows) >= _BUFFER_ROWS or self._bytes >= _BUFFER_BYTES:
            self._flush()

    def doubt(self, tally: Tally, doubt: Doubt, experiment: str) -> None:
        """Take note of a doubtful attribute of an imported row."""
        tally.add(doubt.table, DOUBTFUL)
        self._report.doubts[doubt.table, doubt.kind] += 1
        self._report.note(doubt.kind, doubt.source_id, doubt.reason)
        if self._doubts is not None:
            line = dataclasses.asdict(doubt) | {"experiment": experiment}
            self._doubts.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _flush(self) -> None:
        if self._rows and self._file is not None:
            self._file.write_table(pa.Table.from_pylist(self._rows, _SCHEMA))
        self._rows, self._bytes = [], 0


def rejected(record: Record, kind: str, reason: str) -> Rejected:
    """A record as a rejected row, with all that it holds."""
    values = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return Rejected(TABLE_OF[type(record).__name__], record.source_id, kind, reason, values)


def _plain(value: Any, blob: list[bytes]) -> Any:
    """In the types of JSON; long blobs go to ``blob``, one after another, and leave their length."""
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        if len(content) > _LONG_BLOB:
            blob.append(content)
            return {"blob_bytes": len(content)}
        return {"base64": base64.b64encode(content).decode()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry, blob) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        if value.ndim == 1:
            little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
            return {"dtype": little.dtype.str, **_plain(little.tobytes(), blob)}
        return [_plain(row, blob) for row in value]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(entry, blob) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | int):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


def _by_table(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    tables: dict[str, dict[str, int]] = {}
    for (table, kind), count in sorted(counts.items()):
        tables.setdefault(table, {})[kind] = count
    return tables


#: Name of the table, in reports, of each kind of record.
TABLE_OF = {
    "SourceExperiment": "experiments",
    "SourceRun": "runs",
    "SourceInvocation": "invocations",
    "SourceEmbedding": "embeddings",
    "SourceDiagram": "diagrams",
    "SourceClustering": "clusterings",
    "SourceAssignment": "assignments",
    "SourceLyapunov": "exponents",
}
