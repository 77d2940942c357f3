"""The tables of the lake: columns with type, unit and meaning, keys, order and storage settings.

This is the only place that says what a table holds. Writers are checked against it, the catalog's views and the
documentation are made from it. How rows get into files belongs to the neighbours (`rows`, `parts`, `writer`).

A table may gain nullable columns (raise its ``schema_version``); a column never changes its type or meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from panic_assets.lake.errors import LakeError

MIB = 1024 * 1024

# Nested fields are called "element" because Parquet calls them so: the type is then the same before and after a file.
_FLOAT32 = pa.field("element", pa.float32(), nullable=False)
STRINGS = pa.list_(pa.field("element", pa.string()))
_INTEGERS = pa.list_(pa.field("element", pa.int32()))
DOUBLES = pa.list_(pa.field("element", pa.float64()))
#: Stands for ``fixed_size_list<float32 not null>[d]`` with d free to differ between label sets.
VECTOR = pa.list_(_FLOAT32)
TIME = pa.timestamp("us", tz="UTC")
HASH = pa.binary(16)


def vector_type(dimension: int) -> pa.DataType:
    """Arrow type of vectors of ``dimension`` float32 numbers."""
    return pa.list_(_FLOAT32, dimension)


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

    ``key`` names a row once. ``sort`` is the order of rows, a total one for rows with distinct keys. ``labels`` are
    string columns that every part holds one value of, so that readers skip parts by the manifest alone. A
    ``content_addressed`` table keeps the first row of each key and ignores later ones. ``part_bytes`` bounds the
    parts that compaction makes.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...]
    partitioned: bool = True
    labels: tuple[str, ...] = ()
    row_group_rows: int = 122_880
    compression: str = "zstd"
    compression_level: int | None = 3
    dictionary: bool = True
    content_addressed: bool = False
    part_bytes: int = 1 << 62
    schema_version: int = 1

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
        raise LakeError(f"table {self.name} has no column {name!r}{_near(name, self.names)}")

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


def table_spec(name: str) -> TableSpec:
    """The table called ``name``.

    Raises:
        LakeError: there is none; the message names near ones.
    """
    if name not in TABLES:
        raise LakeError(f"there is no table {name!r}{_near(name, TABLES)}")
    return TABLES[name]


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=3, cutoff=0.4)
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(known)}"


def _text(name: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, pa.string(), "", meaning, nullable)


def _number(name: str, kind: pa.DataType, meaning: str, unit: str = "", nullable: bool = False) -> Column:
    return Column(name, kind, unit, meaning, nullable)


def _time(name: str, meaning: str, nullable: bool = False) -> Column:
    return Column(name, TIME, "UTC", meaning, nullable)


_EXPERIMENT = _text("experiment", "Key of the experiment.")
_RUN = _number("run_number", pa.int32(), "Number of the run within its experiment, from 0.")
_SEQUENCE = _number("sequence_number", pa.int32(), "Place of the invocation in its run, from 0.")
_OUTPUT = _number("sequence_number", pa.int32(), "Place of the embedded output in its run, from 0; -1 is the prompt.")
_EMBEDDING_MODEL = _text("embedding_model", "Name of the embedding model.")
_MODALITY = _text("modality", "Medium of the embedded outputs: text or image.")
_DIMENSION = _number("homology_dimension", pa.int8(), "Homology dimension: 0 components, 1 loops, 2 voids.")
_CLUSTERING = Column("clustering_id", HASH, "", "Identity of the clustering: a hash of what it was computed from.")

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "experiments",
            "What was asked for: one row for each experiment.",
            (
                _EXPERIMENT,
                _text("experiment_id", "blake2b-128 of the canonical configuration, as 32 hexadecimal digits."),
                _text("config", "The whole experiment file as JSON."),
                _text("description", "The author's words on what the experiment is for.", nullable=True),
                _number("max_length", pa.int32(), "Length at which a run stops.", "invocations"),
                _text("cycle_policy", "What happens when a seeded run repeats itself: stop or continue."),
                _text("image_format", "How pictures are stored, such as webp-lossless."),
                _time("created_at", "When the experiment was first planned."),
            ),
            key=("experiment",),
            sort=("experiment",),
        ),
        TableSpec(
            "prompts",
            "Initial texts with their tags.",
            (
                _EXPERIMENT,
                _number("prompt_number", pa.int32(), "Number of the prompt within its experiment, from 0."),
                _text("prompt", "The initial text."),
                _text("tags", "Tags by which analyses group prompts: a JSON object of strings.", nullable=True),
            ),
            key=("experiment", "prompt_number"),
            sort=("experiment", "prompt_number"),
        ),
        TableSpec(
            "runs",
            "Every planned run: a network, started from a prompt with a seed.",
            (
                _EXPERIMENT,
                _RUN,
                Column("run_id", HASH, "", "Identity of the run: blake2b-128 of network, prompt, seed, replicate."),
                _text("network", "The ring of models, written A -> B -> C."),
                Column("models", STRINGS, "", "The ring of models as a list."),
                _number("prompt_number", pa.int32(), "Number of the prompt within its experiment, from 0."),
                _text("prompt", "The initial text."),
                _number("seed", pa.int64(), "Seed of every invocation; -1 is unseeded."),
                _number("replicate", pa.int32(), "Which repeat of an equal (network, prompt, seed), from 0."),
                _number("max_length", pa.int32(), "Length at which the run stops.", "invocations"),
            ),
            key=("experiment", "run_number"),
            sort=("experiment", "run_number"),
        ),
        TableSpec(
            "invocations",
            "Every model call and its output; pictures are in `images`, by hash.",
            (
                _EXPERIMENT,
                _RUN,
                _SEQUENCE,
                Column(
                    "invocation_id", HASH, "", "Identity: blake2b-128 of the run's identity and the sequence number."
                ),
                _text("model", "Name of the model that was called."),
                _text("model_revision", "Revision of the model's weights.", nullable=True),
                _text("type", "Medium of the output: text or image."),
                _number("seed", pa.int64(), "Number that the noise was drawn from, recorded even when unseeded."),
                _number("batch_size", pa.int32(), "Size of the batch it was computed in, padding included.", "items"),
                _text("device", "Device it was computed on, such as cpu or a GPU's name.", nullable=True),
                _text("text", "The output, when it is text.", nullable=True),
                Column("image_hash", HASH, "", "Hash of the output's pixels, when it is a picture.", nullable=True),
                Column("flags", STRINGS, "", "Doubts about the output, such as black_image or empty_text."),
                _number("model_seconds", pa.float64(), "Its share of the time that its call took.", "seconds"),
                _number("retries", pa.int32(), "How often it was tried again.", "calls"),
                _time("started_at", "When its batch was started."),
                _time("completed_at", "When its batch was done."),
            ),
            key=("experiment", "run_number", "sequence_number"),
            sort=("experiment", "run_number", "sequence_number"),
            schema_version=2,
        ),
        TableSpec(
            "images",
            "Every distinct picture of an experiment, once, in encoded form.",
            (
                _EXPERIMENT,
                Column("image_hash", HASH, "", "blake2b-128 over shape and pixels."),
                _number("run_number", pa.int32(), "The first run, by number, in which the picture appears."),
                _number("sequence_number", pa.int32(), "Place at which it appears first in that run."),
                _text("format", "Encoding, such as webp-lossless."),
                _number("width", pa.int32(), "Width of the picture.", "pixels"),
                _number("height", pa.int32(), "Height of the picture.", "pixels"),
                _number("byte_size", pa.int64(), "Size of the encoded picture.", "bytes"),
                Column("image", pa.large_binary(), "", "The encoded picture."),
            ),
            key=("experiment", "image_hash"),
            sort=("experiment", "run_number", "sequence_number", "image_hash"),
            # One picture is then read with its 32 neighbours, which are those of the same run.
            row_group_rows=32,
            compression="none",
            compression_level=None,
            dictionary=False,
            content_addressed=True,
            part_bytes=512 * MIB,
        ),
        TableSpec(
            "outcomes",
            "How each run ended.",
            (
                _EXPERIMENT,
                _RUN,
                _text("stop_reason", "Why it ended: length, cycle, failed or quality."),
                _number("length", pa.int32(), "Invocations that were completed.", "invocations"),
                _number("transient_length", pa.int32(), "Invocations before the cycle.", "invocations", nullable=True),
                _number("cycle_length", pa.int32(), "Period of the cycle.", "invocations", nullable=True),
                _text("error", "What failed, when the run failed.", nullable=True),
                _time("failed_at", "When it failed.", nullable=True),
                _number("flagged", pa.int32(), "Outputs with at least one flag.", "invocations"),
                _number(
                    "shared",
                    pa.int32(),
                    "Invocations with the model, input and seed of another: such work is done once.",
                    "invocations",
                ),
                _number("retries", pa.int32(), "Calls that were tried again.", "calls"),
                _number("model_seconds", pa.float64(), "The run's share of the time spent in models.", "seconds"),
                _time("started_at", "When its first invocation was started.", nullable=True),
                _time("completed_at", "When the run ended."),
                _number("events", pa.int32(), "Rows of `events` that name the run.", "events", nullable=True),
            ),
            key=("experiment", "run_number"),
            sort=("experiment", "run_number"),
            schema_version=2,
        ),
        TableSpec(
            "events",
            "What went wrong while an experiment was run, and was dealt with.",
            (
                _EXPERIMENT,
                _number("number", pa.int64(), "Place among the events of the experiment."),
                _time("at", "When it happened."),
                _text("kind", "out_of_memory, timed_out, device_lost, bad_output, or error."),
                _text("model", "Model that was called.", nullable=True),
                _text("device", "Device that it was called on.", nullable=True),
                _text("message", "What was said."),
                Column("run_numbers", _INTEGERS, "", "Runs that waited for the call; empty where none did."),
            ),
            key=("experiment", "number"),
            sort=("experiment", "number"),
        ),
        TableSpec(
            "embeddings",
            "Vectors of outputs and prompts; the sequence of a run is its trajectory.",
            (
                _EXPERIMENT,
                _RUN,
                _OUTPUT,
                _EMBEDDING_MODEL,
                _text("space", "Vectors compare only within a space: model@revision/dimension/normalised or raw."),
                _text("modality", "What was embedded: text or image."),
                Column("vector", VECTOR, "", "The embedding; its size is the dimension of the space."),
            ),
            key=("experiment", "run_number", "sequence_number", "embedding_model"),
            sort=("experiment", "embedding_model", "run_number", "sequence_number"),
            labels=("embedding_model",),
            row_group_rows=8192,
            compression_level=1,
        ),
        TableSpec(
            "persistence_diagrams",
            "Persistence diagrams of trajectories, one row for each homology dimension.",
            (
                _EXPERIMENT,
                _RUN,
                _EMBEDDING_MODEL,
                _MODALITY,
                _DIMENSION,
                Column("births", DOUBLES, "distance", "Scales at which features appear."),
                Column("deaths", DOUBLES, "distance", "Scales at which they vanish, same order; infinity: never."),
                _number("points", pa.int32(), "Points of the trajectory.", "points"),
                _number("distinct_points", pa.int32(), "Distinct points of the trajectory.", "points"),
                _number(
                    "threshold", pa.float64(), "Scale up to which it is exact; null: all.", "distance", nullable=True
                ),
                _text("metric", "Distance between points, such as euclidean.", nullable=True),
                _text("status", "complete, thresholded, incomplete or too_few_points."),
                _number("seconds", pa.float64(), "Time that the diagram took.", "seconds"),
            ),
            key=("experiment", "run_number", "embedding_model", "modality", "homology_dimension"),
            sort=("experiment", "embedding_model", "modality", "run_number", "homology_dimension"),
            labels=("embedding_model",),
        ),
        TableSpec(
            "persistence_features",
            "Numbers that sum up a persistence diagram.",
            (
                _EXPERIMENT,
                _RUN,
                _EMBEDDING_MODEL,
                _MODALITY,
                _DIMENSION,
                _number("bars", pa.int32(), "Features, infinite ones included.", "bars"),
                _number("infinite_bars", pa.int32(), "Features that never vanish.", "bars"),
                _number("total_persistence", pa.float64(), "Sum of the lengths of finite bars.", "distance"),
                _number("max_persistence", pa.float64(), "Length of the longest finite bar.", "distance"),
                _number("entropy", pa.float64(), "Persistence entropy of finite bars.", "nats", nullable=True),
                _number("entropy_normalised", pa.float64(), "Entropy over ln(number of bars), 0 to 1.", nullable=True),
            ),
            key=("experiment", "run_number", "embedding_model", "modality", "homology_dimension"),
            sort=("experiment", "embedding_model", "modality", "run_number", "homology_dimension"),
            labels=("embedding_model",),
        ),
        TableSpec(
            "clusterings",
            "Every clustering of embeddings across experiments.",
            (
                _CLUSTERING,
                _EMBEDDING_MODEL,
                _MODALITY,
                _text("space", "Space of the clustered vectors."),
                _text("algorithm", "Name of the algorithm."),
                _text("parameters", "Its parameters as JSON."),
                _number("seed", pa.int64(), "Seed of its random steps.", nullable=True),
                _number("points", pa.int64(), "Clustered embeddings.", "points"),
                _number("distinct_points", pa.int64(), "Distinct ones: equal points are clustered as one.", "points"),
                _number("clusters", pa.int32(), "Clusters found.", "clusters"),
                _number("outlier_share", pa.float64(), "Share of points in no cluster, 0 to 1."),
                _time("created_at", "When it was computed."),
            ),
            key=("clustering_id",),
            sort=("embedding_model", "clustering_id"),
            partitioned=False,
            labels=("embedding_model",),
        ),
        TableSpec(
            "clusters",
            "The clusters of each clustering, with the output at the heart of each.",
            (
                _CLUSTERING,
                _EMBEDDING_MODEL,
                _MODALITY,
                _number("cluster", pa.int32(), "Number of the cluster; 0 is the largest."),
                _number("size", pa.int64(), "Embeddings in it.", "points"),
                _text("medoid_experiment", "Experiment of the medoid."),
                _number("medoid_run_number", pa.int32(), "Run of the medoid."),
                _number("medoid_sequence_number", pa.int32(), "Place of the medoid in its run."),
                _text("medoid_text", "The medoid, when it is text.", nullable=True),
                _number("share", pa.float64(), "Size over all points of the clustering, 0 to 1."),
                _number("stability", pa.float64(), "How long it lasts over densities.", nullable=True),
            ),
            key=("clustering_id", "cluster"),
            sort=("embedding_model", "clustering_id", "cluster"),
            partitioned=False,
            labels=("embedding_model",),
        ),
        TableSpec(
            "cluster_assignments",
            "Which cluster each embedding fell into.",
            (
                _CLUSTERING,
                _EMBEDDING_MODEL,
                _MODALITY,
                _EXPERIMENT,
                _RUN,
                _OUTPUT,
                _number("cluster", pa.int32(), "Number of the cluster; -1 is an outlier."),
                _number("probability", pa.float32(), "Strength of membership, 0 to 1."),
            ),
            key=("clustering_id", "experiment", "run_number", "sequence_number"),
            sort=("embedding_model", "clustering_id", "experiment", "run_number", "sequence_number"),
            partitioned=False,
            labels=("embedding_model",),
        ),
    )
}

SCHEMA_VERSION: dict[str, int] = {name: spec.schema_version for name, spec in TABLES.items()}
