"""The tables of imported experiments: what only the system that they come from says of them.

Here belong declarations alone. What an import has in common with any experiment is in the tables of any experiment;
these are joined to it by the same keys. An identifier of the source is 32 lowercase hexadecimal digits.
"""

from __future__ import annotations

import pyarrow as pa

from panic_assets.lake.specs import (
    DIMENSION,
    DOUBLES,
    EMBEDDING_MODEL,
    EXPERIMENT,
    OUTPUT,
    RUN,
    SEQUENCE,
    Column,
    TableSpec,
    number,
    text,
    time,
)

_ID = text("source_id", "Identifier of the row in the source.")
_WORKED = (
    time("started_at", "When the source started on it.", nullable=True),
    time("completed_at", "When the source was done with it.", nullable=True),
)
_WRITTEN = (
    time("inserted_at", "When the source wrote the row.", nullable=True),
    time("updated_at", "When the source last changed the row.", nullable=True),
)
_CLUSTERING = text("clustering_source_id", "Identifier of the clustering in the source.")

IMPORTED_TABLES = (
    TableSpec(
        "imported_experiments",
        "Where an imported experiment comes from, and what its source says of it.",
        (
            EXPERIMENT,
            _ID,
            text("system", "The system it comes from, such as panic-tda."),
            text("era", "Generation of that system: python, elixir or live."),
            text("source_schema", "Variant of the source's schema."),
            text("source_file", "Name of the file, without its folder; of live runs that of the network."),
            text("networks", "Networks as the source lists them, as JSON."),
            text("prompts", "Prompts as the source lists them, as JSON."),
            text("seeds", "Seeds as the source lists them, as JSON.", nullable=True),
            number("num_runs", pa.int32(), "Runs of each network and prompt.", "runs", nullable=True),
            text("embedding_models", "Embedding models as the source lists them, as JSON."),
            number("max_length", pa.int32(), "Length at which a run was to stop.", "invocations"),
            *_WORKED,
            *_WRITTEN,
            time("imported_at", "When it was first imported."),
        ),
        key=("experiment",),
        sort=("experiment",),
    ),
    TableSpec(
        "imported_runs",
        "Runs as their source has them.",
        (
            EXPERIMENT,
            RUN,
            _ID,
            number("source_seed", pa.int64(), "Seed that the source gives; null: it has none.", nullable=True),
            number("source_run_number", pa.int32(), "Replicate that the source counts.", nullable=True),
            text(
                "source_stop_reason",
                "Why it ended by the source's own rule: length, duplicate (two outputs whose lossy hashes agree) or "
                "unknown; of live runs why they ended (stopped, pre_empted, failed, length, budget, duration, "
                "restarted), skipped, or running. A true cycle is in `outcomes`.",
            ),
            number("source_loop_length", pa.int32(), "Distance of those two outputs.", "invocations", nullable=True),
            number("source_invocations", pa.int32(), "Rows that the source has of it.", "invocations"),
            number("rejected", pa.int32(), "Those that could not be imported.", "invocations"),
            text(
                "tally",
                "Rows of the source that belong to it, as JSON: by table of the source what was imported, rejected, "
                "skipped by an option, and doubtful (imported with an attribute that says nothing).",
            ),
            text("fingerprint", "What tells, as JSON, whether the source has gained rows of it since its import."),
            *_WRITTEN,
        ),
        key=("experiment", "run_number"),
        sort=("experiment", "run_number"),
    ),
    TableSpec(
        "imported_invocations",
        "Identifiers and times of imported invocations.",
        (
            EXPERIMENT,
            RUN,
            SEQUENCE,
            _ID,
            text("input_source_id", "Identifier of the invocation that it followed.", nullable=True),
            *_WRITTEN,
        ),
        key=("experiment", "run_number", "sequence_number"),
        sort=("experiment", "run_number", "sequence_number"),
    ),
    TableSpec(
        "imported_embeddings",
        "Identifiers and times of imported embeddings; their vectors are in `embeddings`.",
        (EXPERIMENT, RUN, OUTPUT, EMBEDDING_MODEL, _ID, *_WORKED, *_WRITTEN),
        key=("experiment", "run_number", "sequence_number", "embedding_model"),
        sort=("experiment", "embedding_model", "run_number", "sequence_number"),
        labels=("embedding_model",),
    ),
    TableSpec(
        "imported_diagrams",
        "Persistence diagrams as their source computed them; ours are in `persistence_diagrams`.",
        (
            EXPERIMENT,
            RUN,
            EMBEDDING_MODEL,
            DIMENSION,
            _ID,
            Column("births", DOUBLES, "distance", "Scales at which features appear."),
            Column("deaths", DOUBLES, "distance", "Scales at which they vanish, same order; infinity: never."),
            number("entropy", pa.float64(), "Persistence entropy that the source stored.", "nats", nullable=True),
            Column(
                "more",
                pa.large_binary(),
                "",
                "The stored bytes, once for each run, where they hold more than this (generators).",
                nullable=True,
            ),
            *_WORKED,
            *_WRITTEN,
        ),
        key=("experiment", "run_number", "embedding_model", "homology_dimension"),
        sort=("experiment", "embedding_model", "run_number", "homology_dimension"),
        labels=("embedding_model",),
    ),
    TableSpec(
        "imported_clusterings",
        "Clusterings of the source that assign outputs of the experiment; they were made over all its experiments.",
        (
            EXPERIMENT,
            _CLUSTERING,
            EMBEDDING_MODEL,
            text("algorithm", "Name of the algorithm."),
            text("parameters", "Its parameters as JSON."),
            number("layer", pa.int32(), "Layer of a hierarchy, 0 is the finest.", nullable=True),
            *_WORKED,
            *_WRITTEN,
        ),
        key=("experiment", "clustering_source_id"),
        sort=("experiment", "embedding_model", "clustering_source_id"),
        labels=("embedding_model",),
    ),
    TableSpec(
        "imported_assignments",
        "Which cluster of the source each imported embedding fell into.",
        (
            EXPERIMENT,
            _CLUSTERING,
            EMBEDDING_MODEL,
            RUN,
            OUTPUT,
            _ID,
            text(
                "medoid_source_id",
                "Identifier of the embedding at the heart of the cluster, by which it is named; null: an outlier.",
                nullable=True,
            ),
            *_WRITTEN,
        ),
        key=("experiment", "clustering_source_id", "run_number", "sequence_number"),
        sort=("experiment", "embedding_model", "clustering_source_id", "run_number", "sequence_number"),
        labels=("embedding_model",),
    ),
    TableSpec(
        "imported_exponents",
        "Divergence exponents that the source stored; ours are in `dynamics`.",
        (
            EXPERIMENT,
            text("network", "The ring of models, written A -> B."),
            text("prompt", "The initial text."),
            EMBEDDING_MODEL,
            _ID,
            number("exponent", pa.float64(), "Slope of the log mean distance.", "1 / embedding index", nullable=True),
            number("r_squared", pa.float64(), "Share of variance that the line explains.", nullable=True),
            Column("divergence_curve", DOUBLES, "distance", "Mean distance of the pairs at each embedding index."),
            number("num_pairs", pa.int32(), "Pairs of runs.", "pairs", nullable=True),
            number("num_timesteps", pa.int32(), "Embedding indices.", "embeddings", nullable=True),
            *_WORKED,
            *_WRITTEN,
        ),
        key=("experiment", "network", "prompt", "embedding_model"),
        sort=("experiment", "embedding_model", "network", "prompt"),
        labels=("embedding_model",),
    ),
)
