"""What a table is: columns with type, unit and meaning, keys, order and storage settings.

Here belong the shapes of a declaration, and the columns that many tables have. The tables themselves are declared in
``schemas`` and its neighbours whose names end in ``_tables``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from panic_assets.lake.errors import LakeError

MIB = 1024 * 1024
#: What a table can be partitioned by: the name of a column, and of the folders, ``experiment=<key>``.
EXPERIMENT_KEY, STUDY_KEY = "experiment", "study"

# Nested fields are called "element" because Parquet calls them so: the type is then the same before and after a file.
_FLOAT32 = pa.field("element", pa.float32(), nullable=False)
STRINGS = pa.list_(pa.field("element", pa.string()))
INTEGERS = pa.list_(pa.field("element", pa.int32()))
DOUBLES = pa.list_(pa.field("element", pa.float64()))
#: Stands for ``fixed_size_list<float32 not null>[d]`` with d free to differ between label sets.
VECTOR = pa.list_(_FLOAT32)
TIME = pa.timestamp("us", tz="UTC")
HASH = pa.binary(16)


def vector_type(dimension: int) -> pa.DataType:
    """Arrow type of vectors of ``dimension`` float32 numbers."""
    return pa.list_(_FLOAT32, dimension)


def owner(partition: str, key: str) -> str:
    """The name of an experiment or a study that nothing else has: ``demo`` is an experiment, ``study=demo`` a study."""
    return key if partition == EXPERIMENT_KEY else f"{partition}={key}"


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, its unit ("" for none), what it means, and whether it may be null."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSpec:
    """One table.

    ``partition`` is the first column of a table that has a folder for each value of it (an experiment, a study), None
    for a table that has one folder. ``key`` names a row once. ``sort`` is the order of rows, a total one for rows with
    distinct keys. ``labels`` are string columns that every part holds one value of, so that readers skip parts by the
    manifest alone. A ``content_addressed`` table keeps the first row of each key and ignores later ones. ``part_bytes``
    bounds the parts that compaction makes.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...]
    partition: str | None = EXPERIMENT_KEY
    labels: tuple[str, ...] = ()
    row_group_rows: int = 122_880
    compression: str = "zstd"
    compression_level: int | None = 3
    dictionary: bool = True
    content_addressed: bool = False
    part_bytes: int = 1 << 62
    schema_version: int = 1

    @property
    def partitioned(self) -> bool:
        """Whether there is a folder for each experiment or study."""
        return self.partition is not None

    @property
    def of_experiment(self) -> bool:
        """Whether there is a folder for each experiment."""
        return self.partition == EXPERIMENT_KEY

    @property
    def of_study(self) -> bool:
        """Whether there is a folder for each study."""
        return self.partition == STUDY_KEY

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def vector(self) -> str | None:
        """Name of the vector column, None where there is none."""
        return next((column.name for column in self.columns if column.type is VECTOR), None)

    def column(self, name: str) -> Column:
        """The column called ``name``.

        Raises:
            LakeError: there is none; the message names near ones.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise LakeError(f"table {self.name} has no column {name!r}{near(name, self.names)}")

    def arrow_schema(self, dimension: int | None = None) -> pa.Schema:
        """The Arrow schema, with table and schema version in its metadata.

        ``dimension`` is the size of the vectors; without it a vector column is a list of any size.
        """
        fields = [
            pa.field(
                column.name,
                vector_type(dimension) if column.type is VECTOR and dimension is not None else column.type,
                nullable=column.nullable,
            )
            for column in self.columns
        ]
        return pa.schema(fields, {"table": self.name, "schema_version": str(self.schema_version)})


def near(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that says what was meant instead."""
    found = get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"; did you mean {' or '.join(found)}?" if found else f"; there are {', '.join(known)}"


def text(name: str, meaning: str, nullable: bool = False) -> Column:
    """A column of text."""
    return Column(name, pa.string(), "", meaning, nullable)


def number(name: str, kind: pa.DataType, meaning: str, unit: str = "", nullable: bool = False) -> Column:
    """A column of numbers."""
    return Column(name, kind, unit, meaning, nullable)


def time(name: str, meaning: str, nullable: bool = False) -> Column:
    """A column of times, UTC."""
    return Column(name, TIME, "UTC", meaning, nullable)


EXPERIMENT = text(EXPERIMENT_KEY, "Key of the experiment.")
STUDY = text(STUDY_KEY, "Key of the study.")
RUN = number("run_number", pa.int32(), "Number of the run within its experiment, from 0.")
SEQUENCE = number("sequence_number", pa.int32(), "Place of the invocation in its run, from 0.")
OUTPUT = number("sequence_number", pa.int32(), "Place of the embedded output in its run, from 0; -1 is the prompt.")
EMBEDDING_MODEL = text("embedding_model", "Name of the embedding model.")
MODALITY = text("modality", "Medium of the embedded outputs: text or image.")
DIMENSION = number("homology_dimension", pa.int8(), "Homology dimension: 0 components, 1 loops, 2 voids.")
CLUSTERING = Column("clustering_id", HASH, "", "Identity of the clustering: a hash of what it was computed from.")
