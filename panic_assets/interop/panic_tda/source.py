"""A PANIC-TDA database as records, row by row, in constant memory.

Here belongs finding rows and accounting for every one of them; ``decoding`` says what a row means.

How rows are found. A query first lists the SQLite row numbers of one parent's children through an index, then each row
is read by its number. So no blob is ever sorted, memory is bounded by the row numbers of one run, and a broken page
costs the rows on it alone. Invocations and diagrams are found by run, embeddings by each invocation of the run,
assignments by each embedding; all over an import is linear. Where a layout lacks one of these indexes (early Elixir
databases have none from run to invocations), one pass over the table makes it in SQLite's temporary storage, which is
never the source. Runs and exponents are few; they may be found by a scan for each experiment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

from panic_assets.interop.panic_tda import decoding, values
from panic_assets.interop.panic_tda.opening import Opened
from panic_assets.interop.panic_tda.reaching import UNREACHED
from panic_assets.interop.panic_tda.records import (
    Rejected,
    SourceAssignment,
    SourceClustering,
    SourceDiagram,
    SourceEmbedding,
    SourceExperiment,
    SourceInvocation,
    SourceLyapunov,
    SourceRun,
)
from panic_assets.interop.panic_tda.schema import SourceError, Table, recognise
from panic_assets.interop.panic_tda.values import BadValue, Clock

T = TypeVar("T")
Raw = str | bytes | int | float | None
OUTLIER_LABEL = -1
_ORDER = " ORDER BY "
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_FORMAT")
_BATCH = 256
# Tables of millions of rows, with the column by which their rows are found.
_LARGE = {"invocations": "run_id", "embeddings": "invocation_id", "diagrams": "run_id", "assignments": "embedding_id"}

_DECODERS = {
    "invocations": decoding.invocation,
    "embeddings": decoding.embedding,
    "diagrams": decoding.diagram,
}


class Source:
    """One database, read as it was at the moment of opening; use it in a ``with``.

    Naive times of rows that the engine of the Python era wrote are local to ``timezone``; those of its clusterings, and
    all of the Elixir era, are UTC.

    Raises:
        SourceError: the file is no SQLite file, no PANIC-TDA database, or damaged where its tables are described; or
            there is no such time zone.
    """

    def __init__(self, path: Path, timezone: str = "UTC") -> None:
        self.path = Path(path)
        try:
            zone = ZoneInfo(timezone)
        except (OSError, ValueError, KeyError):
            raise SourceError(f"timezone: {timezone!r} is unknown; name one such as Australia/Sydney or UTC") from None
        self._opened = Opened(self.path)
        self._connection = self._opened.connection
        try:
            layout = recognise(self._connection, str(self.path))
        except sqlite3.DatabaseError as error:
            self.close()
            raise SourceError(
                f"{self.path} is damaged where its tables are described: {error}. "
                "Rescue it with `sqlite3 FILE .recover`."
            ) from None
        except SourceError:
            self.close()
            raise
        self.era, self.variant, self._tables = layout.era, layout.variant, layout.tables
        engine = zone if self.era == "python" else UTC
        self._clocks = {
            holds: Clock(UTC if holds == "clusterings" else engine, table.default_now)
            for holds, table in self._tables.items()
        }
        self._mapped: set[str] = set()
        self._last: tuple[str, list[Raw]] | None = None
        self._labels: dict[Raw, dict[int, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    def experiments(self) -> Iterator[SourceExperiment | Rejected]:
        """All experiments, by identifier."""
        return self._all("experiments", "id", decoding.experiment)

    def runs(self, experiment_id: str) -> Iterator[SourceRun | Rejected]:
        """Runs of an experiment, by number where they have one, else by identifier."""
        order = "run_number, id" if "run_number" in self._tables["runs"].columns else "id"
        for raw in self._spelled("experiments", experiment_id):
            yield from self._of("runs", f"experiment_id = ? ORDER BY {order}", raw, decoding.run)

    def invocations(self, run_id: str) -> Iterator[SourceInvocation | Rejected]:
        """Invocations of a run, by sequence number."""
        for raw in self._spelled("runs", run_id):
            yield from self._of(
                "invocations", f"{self._by('invocations')} ORDER BY sequence_number, rowid", raw, decoding.invocation
            )

    def embeddings(self, run_id: str) -> Iterator[SourceEmbedding | Rejected]:
        """Embeddings of the invocations of a run, by model and sequence number."""
        rows: list[tuple[str, int, int]] = []
        condition = self._by("embeddings")
        for place, invocation in enumerate(self._members(run_id)):
            for found in self._keys("embeddings", "rowid, embedding_model", condition, invocation):
                if isinstance(found, Rejected):
                    yield found
                else:
                    rows.append((str(found[1]), place, found[0]))
        for _, _, number in sorted(rows):
            yield self._record("embeddings", number, decoding.embedding)

    def diagrams(self, run_id: str) -> Iterator[SourceDiagram | Rejected]:
        """Diagrams of a run, by model."""
        for raw in self._spelled("runs", run_id):
            yield from self._of(
                "diagrams", f"{self._by('diagrams')} ORDER BY embedding_model, rowid", raw, decoding.diagram
            )

    def clusterings(self) -> Iterator[SourceClustering | Rejected]:
        """All clusterings, by identifier."""
        return self._all("clusterings", "id", decoding.clustering)

    def assignments(self, run_id: str) -> Iterator[SourceAssignment | Rejected]:
        """Assignments of the embeddings of a run, in the order of the invocations.

        Whether clustering and medoid exist is for the caller to see.
        """
        if "assignments" not in self._tables:
            return
        for invocation, embedding in self._embedded(run_id):
            decode = partial(self._assignment, invocation=invocation)
            yield from self._of("assignments", self._assigned(), embedding, decode)

    def exponents(self, experiment_id: str) -> Iterator[SourceLyapunov | Rejected]:
        """Divergence exponents of an experiment, by network, prompt and embedding model."""
        order = "network, prompt, embedding_model, rowid"
        for raw in self._spelled("experiments", experiment_id):
            yield from self._of("exponents", f"experiment_id = ? ORDER BY {order}", raw, decoding.exponent)

    def orphans(self) -> Iterator[Rejected]:
        """Rows of every table that no chain of existing parents joins to an experiment, each once.

        Children of a parent that exists, but is rejected, are none: they are found under its ``source_id``. Those whose
        parent lies on a broken page are told here too, as unreadable, since nothing else leads to them.
        """
        for holds, (condition, reason) in UNREACHED.items():
            if holds in self._tables and (holds != "assignments" or "embeddings" in self._tables):
                names = {name: table.name for name, table in self._tables.items()}
                yield from self._orphans(holds, condition.format(**names), reason)
        self._opened.check()

    def _orphans(self, holds: str, condition: str, reason: str) -> Iterator[Rejected]:
        told: set[int] = set()
        for found in self._keys(holds, "rowid", condition):
            if isinstance(found, Rejected):
                yield from self._orphans_one_by_one(holds, condition, reason, told)
                return
            told.add(found[0])
            yield self._orphan(holds, found[0], "orphan", reason)

    def _orphans_one_by_one(self, holds: str, condition: str, reason: str, told: set[int]) -> Iterator[Rejected]:
        """The same for a damaged database: a row whose parent can't be read does not hide the next."""
        for found in self._keys(holds, "rowid", "1"):
            if isinstance(found, Rejected) or found[0] in told:
                continue
            for judged in self._keys(holds, "rowid", f"rowid = ? AND {condition}", found[0]):
                if isinstance(judged, Rejected):
                    yield self._orphan(
                        holds, found[0], "unreadable", f"what it belongs to can't be read: {judged.reason}"
                    )
                else:
                    yield self._orphan(holds, found[0], "orphan", reason)

    def _orphan(self, holds: str, number: int, kind: str, reason: str) -> Rejected:
        row = self._row(holds, number)
        return (
            row
            if isinstance(row, Rejected)
            else Rejected(self._tables[holds].name, _named(row["id"]), kind, reason, row)
        )

    def counts(self) -> dict[str, int]:
        """Rows of each table, by the source's name of it; of a damaged one, those that can be counted."""
        return {table.name: self._count(holds) for holds, table in self._tables.items()}

    def fingerprint(self, run_id: str) -> tuple[int, ...]:
        """How many invocations, embeddings, diagrams and assignments a run has; reads identifiers alone."""
        members = self._members(run_id)
        diagrams = sum(
            not isinstance(found, Rejected)
            for raw in self._spelled("runs", run_id)
            for found in self._keys("diagrams", "rowid", self._by("diagrams"), raw)
        )
        embeddings = assignments = 0
        for _, embedding in self._embedded(run_id):
            embeddings += 1
            if "assignments" in self._tables:
                found_rows = self._keys("assignments", "rowid", self._assigned(), embedding)
                assignments += sum(not isinstance(found, Rejected) for found in found_rows)
        return len(members), embeddings, diagrams, assignments

    def has_invocation(self, source_id: str) -> bool:
        """Whether some invocation of the database bears that identifier."""
        ways = values.spellings(source_id)
        found = self._keys("invocations", "rowid", f"id IN ({', '.join('?' * len(ways))}) LIMIT 1", *ways)
        return any(not isinstance(row, Rejected) for row in found)

    def decoded(self, holds: str, row: decoding.Row) -> Any:
        """The record that the raw columns of an invocation, an embedding or a diagram make.

        Raises:
            BadValue: they make none.
        """
        return _DECODERS[holds](row, self._clocks[holds])

    # Finding rows -------------------------------------------------------------------------------------------------

    def _all(self, holds: str, order: str, decode: Callable[[decoding.Row, Clock], T]) -> Iterator[T | Rejected]:
        return self._found(holds, f"1 ORDER BY {order}, rowid", (), decode)

    def _of(
        self, holds: str, condition: str, parent: Raw, decode: Callable[[decoding.Row, Clock], T]
    ) -> Iterator[T | Rejected]:
        return self._found(holds, condition, (parent,), decode)

    def _found(
        self, holds: str, condition: str, parameters: tuple[Raw, ...], decode: Callable[[decoding.Row, Clock], T]
    ) -> Iterator[T | Rejected]:
        for found in self._keys(holds, "rowid", condition, *parameters):
            yield found if isinstance(found, Rejected) else self._record(holds, found[0], decode)
        self._opened.check()

    def _keys(self, holds: str, columns: str, condition: str, *parameters: Raw) -> Iterator[tuple[Any, ...] | Rejected]:
        """Row numbers (and more) of a table, of an absent one none; a Rejected last if the rest can't be listed."""
        table = self._tables.get(holds)
        if table is None:
            return
        count = 0
        try:
            cursor = self._connection.execute(f'SELECT {columns} FROM "{table.name}" WHERE {condition}', parameters)
            while batch := cursor.fetchmany(_BATCH):
                for row in batch:
                    count += 1
                    yield row
        except sqlite3.DatabaseError as error:
            self._tolerate(error)
            if count == 0 and _ORDER in condition:
                # To sort, all rows must be read; an index may still list those that can't.
                yield from self._keys(holds, columns, condition.split(_ORDER)[0], *parameters)
                return
            of = f" of {_shown(parameters[0])}" if parameters else ""
            yield Rejected(
                table.name,
                "",
                "unreadable",
                f"the rows{of} of table {table.name} that follow the first {count} can't be listed: {error}. They, and "
                "what belongs to them, are lost to this import; rescue the file with `sqlite3 FILE .recover`.",
                {"parent": parameters[0]} if parameters else {},
            )

    def _row(self, holds: str, number: int) -> dict[str, Any] | Rejected:
        """All raw columns of one row."""
        table = self._tables[holds]
        try:
            cursor = self._connection.execute(f'SELECT * FROM "{table.name}" WHERE rowid = ?', (number,))
            found = cursor.fetchone()
            if found is not None:
                return dict(zip((column[0] for column in cursor.description), found, strict=True))
            error: object = "an index lists it, but it is not there"
        except sqlite3.DatabaseError as broken:
            self._tolerate(broken)
            error = broken
        reason = f"row number {number} of table {table.name} can't be read: {error}"
        return Rejected(table.name, f"rowid {number}", "unreadable", reason, {"rowid": number})

    def _record(self, holds: str, number: int, decode: Callable[[decoding.Row, Clock], T]) -> T | Rejected:
        row = self._row(holds, number)
        if isinstance(row, Rejected):
            return row
        try:
            return decode(row, self._clocks[holds])
        except BadValue as error:
            return Rejected(self._tables[holds].name, _named(row["id"]), error.kind, str(error), row)

    def _tolerate(self, error: sqlite3.DatabaseError) -> None:
        """Let damage to the file pass, and nothing else."""
        name = getattr(error, "sqlite_errorname", "")
        if not name.startswith(_BROKEN):
            raise SourceError(
                f"{self.path} can't be read: {error} ({name}). Try again when nobody changes it."
            ) from error
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")

    def _spelled(self, holds: str, source_id: str) -> list[Raw]:
        """How a table spells an identifier; all of its children spell it likewise, or are orphans."""
        ways = values.spellings(source_id)
        found = self._keys(holds, "id", f"id IN ({', '.join('?' * len(ways))})", *ways)
        rows = [row[0] for row in found if not isinstance(row, Rejected)]
        # A damaged page of parents does not hide their children.
        return list(dict.fromkeys(rows)) or list(ways)

    def _by(self, holds: str) -> str:
        """The condition that finds the children of one parent, without a scan for each."""
        table, column = self._tables.get(holds), _LARGE[holds]
        if table is None or column in table.indexed:
            return f"{column} = ?"
        if holds not in self._mapped:
            self._map(holds, table, column)
        return f"rowid IN (SELECT child FROM temp.children_of_{holds} WHERE parent = ?)"

    def _map(self, holds: str, table: Table, column: str) -> None:
        """Make the missing index beside the database, in one pass."""
        name = f"temp.children_of_{holds}"
        self._connection.execute(f"CREATE TABLE {name} (parent, child INTEGER)")
        try:
            self._connection.execute(f'INSERT INTO {name} SELECT {column}, rowid FROM "{table.name}"')
        except sqlite3.DatabaseError as error:
            self._tolerate(error)
        self._connection.execute(f"CREATE INDEX temp.by_{holds} ON children_of_{holds} (parent, child)")
        self._mapped.add(holds)

    def _members(self, run_id: str) -> list[Raw]:
        """Identifiers, as stored, of the readable invocations of a run, in order; kept for the last run."""
        if self._last is None or self._last[0] != run_id:
            condition = f"{self._by('invocations')} ORDER BY sequence_number, rowid"
            numbers = [
                found[0]
                for raw in self._spelled("runs", run_id)
                for found in self._keys("invocations", "rowid", condition, raw)
                if not isinstance(found, Rejected)
            ]
            keys = (key for number in numbers for key in self._keys("invocations", "id", "rowid = ?", number))
            self._last = (run_id, [key[0] for key in keys if not isinstance(key, Rejected)])
        return self._last[1]

    def _embedded(self, run_id: str) -> Iterator[tuple[Raw, Raw]]:
        """(invocation, embedding) of a run, identifiers as stored."""
        condition = self._by("embeddings")
        for invocation in self._members(run_id):
            for found in self._keys("embeddings", "id", condition, invocation):
                if not isinstance(found, Rejected):
                    yield invocation, found[0]

    def _assigned(self) -> str:
        """A column declared as UUID compares as a number, and a number that was an identifier matches too many."""
        return f"{self._by('assignments')} AND typeof(embedding_id) NOT IN ('real', 'integer')"

    # What needs a second table ------------------------------------------------------------------------------------

    def _assignment(self, row: decoding.Row, clock: Clock, invocation: Raw) -> SourceAssignment:
        medoid = row["medoid_embedding_id"] if "medoid_embedding_id" in row else self._medoid(row)
        return SourceAssignment(
            values.identifier(row["id"], "id"),
            values.identifier(row["clustering_result_id"], "clustering_result_id"),
            values.identifier(row["embedding_id"], "embedding_id"),
            values.identifier(invocation, "invocation_id"),
            None if medoid is None else values.identifier(medoid, "medoid_embedding_id"),
            decoding.times(row, clock),
        )

    def _medoid(self, row: decoding.Row) -> Raw:
        """The medoid of a row that names its cluster by a row of table cluster, or by a label."""
        cluster = row.get("cluster_id")
        if "clusters" in self._tables:
            query = f'SELECT medoid_embedding_id, cluster_id FROM "{self._tables["clusters"].name}" WHERE id = ?'
            try:
                found = self._connection.execute(query, (cluster,)).fetchone()
            except sqlite3.DatabaseError as error:
                self._tolerate(error)
                found = None
        else:
            label = values.number(cluster, "cluster_id")
            found = (self._named_medoids(row["clustering_result_id"]).get(label), label)
        if found is None or (found[0] is None and found[1] != OUTLIER_LABEL):
            raise BadValue("no_medoid", "cluster_id", cluster, "a cluster whose medoid the database names")
        return None if found[1] == OUTLIER_LABEL else found[0]

    def _named_medoids(self, clustering: Raw) -> dict[int, str]:
        """Medoids by label, of a clustering that lists its clusters as JSON."""
        if clustering not in self._labels:
            listed: Any = []
            if "clusters" in self._tables["clusterings"].columns:
                for found in self._keys("clusterings", "clusters", "id = ?", clustering):
                    listed = [] if isinstance(found, Rejected) else found[0]
            try:
                clusters = json.loads(listed) if isinstance(listed, str) else []
                named = {c["id"]: c["medoid_embedding_id"] for c in clusters if c.get("medoid_embedding_id")}
            except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
                named = {}
            self._labels[clustering] = named
        return self._labels[clustering]

    def _count(self, holds: str) -> int:
        table = self._tables[holds]
        try:
            return int(self._connection.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0])
        except sqlite3.DatabaseError as error:
            self._tolerate(error)
        return sum(not isinstance(found, Rejected) for found in self._keys(holds, "rowid", "1"))


def _shown(raw: Any) -> str:
    return raw.hex() if isinstance(raw, bytes) else str(raw)


def _named(raw: Any) -> str:
    """The identifier of a rejected row in the one spelling; as it stands if it has none."""
    try:
        return values.identifier(raw, "id")
    except BadValue:
        return _shown(raw)
