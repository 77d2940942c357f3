"""The partition that an experiment is imported into: locks, commits, and what of it is whole.

Here belongs the order of writing. A run is whole once its row of ``imported_runs`` is committed, which comes last;
what a killed import left of others is dropped by the next. Which rows there are is told by the callers.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa

from panic_assets.interop.panic_tda.mapping import IMPORTED
from panic_assets.lake import Lake
from panic_assets.lake.writer import Writer
from panic_assets.loop.places import settle_places

#: In the order of their commits: what a row names is there before it.
TABLES = (
    "imported_experiments",
    "images",
    "invocations",
    "imported_invocations",
    "embeddings",
    "imported_embeddings",
    "imported_diagrams",
    "imported_assignments",
    "imported_clusterings",
    "imported_exponents",
    "outcomes",
    "imported_runs",
)
#: Those with rows of a run, apart from pictures, which several runs may share.
_OF_RUNS = tuple(table for table in TABLES[2:] if table not in ("imported_clusterings", "imported_exponents"))
_LAST = ("outcomes", "imported_runs")
_COMMIT_ROWS, _COMMIT_BYTES, _COMMIT_SECONDS = 50_000, 512 * 2**20, 30.0
_APPEND_ROWS, _APPEND_BYTES = 2000, 16 * 2**20
_FLIP_RUNS = 8
_WHOLE = "whole"


class Sink(Protocol):
    """Where the rows of a run go."""

    def add(self, table: str, row: Mapping[str, Any], size: int = 0) -> None:
        """Add a row; ``size``: bytes of what is large in it."""

    def add_table(self, table: str, rows: pa.Table) -> None:
        """Add several."""

    def make_raw(self, model: str, space: str) -> None:
        """Say of all vectors of a model that they are in ``space``."""


class Nowhere:
    """A sink that keeps nothing."""

    def add(self, table: str, row: Mapping[str, Any], size: int = 0) -> None:
        """Drop a row."""

    def add_table(self, table: str, rows: pa.Table) -> None:
        """Drop several."""

    def make_raw(self, model: str, space: str) -> None:
        """Nothing is held."""


class Partition:
    """Writers of one experiment's tables; a context manager that holds their locks. See `Sink`."""

    def __init__(self, lake: Lake, experiment: str, written: Counter[str]) -> None:
        self._lake, self._key, self._written = lake, experiment, written
        self._writers: dict[str, Writer] = {}
        self._locks = ExitStack()
        self._waiting: dict[str, list[Mapping[str, Any]]] = {}
        self._sizes: Counter[str] = Counter()
        self._rows, self._bytes, self._since = 0, 0, time.monotonic()
        self._held: set[int] = set()

    def __enter__(self) -> Partition:
        """Take the locks.

        Raises:
            PartitionLocked: somebody else is at work on a table of the experiment.
        """
        with ExitStack() as locks:
            for table in TABLES:
                self._writers[table] = locks.enter_context(self._lake.writer(table, self._key))
            self._locks = locks.pop_all()
        rows = self._lake.read("outcomes", self._key, columns=["run_number"])
        self._held = set(rows.column("run_number").to_pylist())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the locks back; what was not committed is dropped."""
        self._locks.__exit__(kind, error, trace)

    def finished(self) -> dict[int, dict[str, Any]]:
        """Rows of ``imported_runs`` by number: the runs that are whole."""
        return {row["run_number"]: row for row in self._lake.read("imported_runs", self._key).to_pylist()}

    @property
    def is_whole(self) -> bool:
        """Whether the last import of this experiment came to its end."""
        return bool(self._writers["imported_experiments"].properties.get(_WHOLE))

    def describe(self, row: Mapping[str, Any]) -> None:
        """Write where the experiment comes from. When it was first imported, and from which file, stays as it was."""
        held = self._lake.read("imported_experiments", self._key).to_pylist()
        kept = {name: held[0][name] for name in ("imported_at", "source_file")} if held else {}
        if held and held[0] == {**row, **kept}:
            return
        self._writers["imported_experiments"].replace([{**row, **kept}], {})
        self._writers["imported_experiments"].commit()

    def begin(self, stale: Collection[int]) -> None:
        """Mark the import as going on; drop the rows of runs that are not whole, and of ``stale`` ones."""
        self._mark(False)
        left = self._numbers() - set(self.finished())
        gone = sorted(left | set(stale))
        if not gone:
            return
        # From the mark back to the invocations, so that at any moment nothing is there whose parent is not.
        for table in reversed(_OF_RUNS):
            self._writers[table].replace([], {"run_number": gone})
            self._writers[table].commit()
        self._held -= set(gone)

    def _numbers(self) -> set[int]:
        """Runs of which some table holds rows."""
        numbers: set[int] = set()
        for table in _OF_RUNS:
            where = {} if table != "embeddings" else {"embedding_model": self._imported_models()}
            rows = self._lake.read(table, self._key, columns=["run_number"], where=where)
            numbers |= set(rows.column("run_number").unique().to_pylist())
        return numbers

    def _imported_models(self) -> list[str]:
        manifest = self._lake.manifest("embeddings", self._key)
        labels = {part.labels["embedding_model"] for part in manifest.parts} if manifest else set()
        return sorted(label for label in labels if label.startswith(IMPORTED))

    def spaces(self) -> dict[str, tuple[int, bool]]:
        """Dimension of each imported model's vectors, and whether their space is one of unit vectors."""
        found = {}
        for model in self._imported_models():
            rows = self._lake.read("embeddings", self._key, columns=["space"], where={"embedding_model": model})
            if rows.num_rows:
                _, dimension, kind = rows.column("space")[0].as_py().rsplit("/", 2)
                found[model] = (int(dimension), kind == "normalised")
        return found

    def media(self) -> dict[str, str]:
        """Medium of each model of the rings."""
        rows = self._lake.read("invocations", self._key, columns=["model", "type"])
        pairs = rows.group_by(["model", "type"]).aggregate([]).to_pylist()
        return {row["model"]: row["type"] for row in pairs}

    def assigned(self) -> set[str]:
        """Clusterings that assign outputs of the experiment."""
        rows = self._lake.read("imported_assignments", self._key, columns=["clustering_source_id"])
        return set(rows.column(0).unique().to_pylist())

    def drop_diagrams(self, numbers: Collection[int]) -> None:
        """Drop imported diagrams of these runs, which an import without them may have left half written."""
        self._writers["imported_diagrams"].replace([], {"run_number": sorted(numbers)})

    def add(self, table: str, row: Mapping[str, Any], size: int = 0) -> None:
        """Add a row of a run."""
        self._waiting.setdefault(table, []).append(row)
        self._sizes[table] += size
        self._rows, self._bytes = self._rows + 1, self._bytes + size
        is_much = len(self._waiting[table]) >= _APPEND_ROWS or self._sizes[table] >= _APPEND_BYTES
        if is_much and table not in _LAST:
            self._append(table)

    def add_table(self, table: str, rows: pa.Table) -> None:
        """Add several rows of a run."""
        self._append(table)
        self._writers[table].append(rows)
        self._written[table] += rows.num_rows
        self._rows, self._bytes = self._rows + rows.num_rows, self._bytes + rows.nbytes

    def make_raw(self, model: str, space: str) -> None:
        """Say of all vectors of a model that they are in ``space``: one of them is not of unit length."""
        self.commit()
        writer = self._writers["embeddings"]
        where = {"embedding_model": model}
        rows = self._lake.read("embeddings", self._key, columns=["run_number"], where=where)
        numbers = rows.column("run_number").unique().to_pylist()
        if not numbers:
            return
        # All of the old parts go by their label, unread; they can be read until the commit.
        writer.replace([], where)
        for start in range(0, len(numbers), _FLIP_RUNS):
            some = self._lake.read("embeddings", self._key, where=where | {"run_number": numbers[start:][:_FLIP_RUNS]})
            place = some.schema.get_field_index("space")
            writer.append(some.set_column(place, some.schema.field(place), pa.array([space] * some.num_rows)))
        writer.commit()

    def replace(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make ``rows`` the whole content of a table that is small, unless they are that."""
        names = [name for name in self._lake.read(table, self._key).column_names]
        full = [{name: row.get(name) for name in names} for row in rows]
        held = self._lake.read(table, self._key).to_pylist()
        if sorted(held, key=_canonical) != sorted(full, key=_canonical):
            self._mark(False)
            self._writers[table].replace(rows, {})
            self._written[table] += len(rows)

    def commit_if_due(self) -> None:
        """Commit if much has come since the last time; to be called when a run is whole."""
        if (
            self._rows >= _COMMIT_ROWS
            or self._bytes >= _COMMIT_BYTES
            or time.monotonic() - self._since >= _COMMIT_SECONDS
        ):
            self.commit()

    def commit(self) -> None:
        """Make visible what was added so far, in the order of the tables."""
        for table in TABLES:
            self._hand_over(table)
            self._writers[table].commit()
        self._rows, self._bytes, self._since = 0, 0, time.monotonic()

    def end(self, rewritten: bool) -> None:
        """Commit, bring all tables into their order, and mark the import as whole; nothing if it is that already.

        ``rewritten``: runs were imported again, so that pictures may appear first elsewhere now.
        """
        if self.is_whole:
            return
        if rewritten:
            self.commit()
            settle_places(self._lake, self._key, self._writers["images"])
        for table in TABLES[1:]:
            self._hand_over(table)
            self._writers[table].compact()
        self._mark(True)

    def _mark(self, whole: bool) -> None:
        writer = self._writers["imported_experiments"]
        if bool(writer.properties.get(_WHOLE)) != whole:
            writer.set_property(_WHOLE, whole)
            writer.commit()

    def _hand_over(self, table: str) -> None:
        """Give the writer of a table what waits for it."""
        if table in _LAST:
            self._replace_runs(table)
        else:
            self._append(table)

    def _append(self, table: str) -> None:
        rows = self._waiting.pop(table, [])
        self._sizes[table] = 0
        if rows:
            self._writers[table].append(rows)
            self._written[table] += len(rows)

    def _replace_runs(self, table: str) -> None:
        """Rows that each stand for a run: a run that has one gets another."""
        rows = self._waiting.pop(table, [])
        if not rows:
            return
        numbers = {row["run_number"] for row in rows}
        if numbers & self._held:
            self._writers[table].replace(rows, {"run_number": sorted(numbers)})
        else:
            self._writers[table].append(rows)
        self._written[table] += len(rows)
        if table == _LAST[-1]:
            self._held |= numbers


def _canonical(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=str)
