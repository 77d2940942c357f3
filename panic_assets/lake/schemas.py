"""The tables of the lake.

This and the neighbours whose names end in ``_tables`` are the only places that say what a table holds. Writers are
checked against them, the catalog's views and the documentation are made from them. How rows get into files belongs to
`rows`, `parts` and `writer`.

A table may gain nullable columns (raise its ``schema_version``); a column never changes its type or meaning.
"""

from __future__ import annotations

import pyarrow as pa

from panic_assets.lake.analysis_tables import ANALYSIS_TABLES
from panic_assets.lake.codec_tables import CODEC_TABLES
from panic_assets.lake.errors import LakeError
from panic_assets.lake.imported_tables import IMPORTED_TABLES
from panic_assets.lake.specs import (
    CLUSTERING,
    DIMENSION,
    DOUBLES,
    EMBEDDING_MODEL,
    EXPERIMENT,
    HASH,
    INTEGERS,
    MIB,
    MODALITY,
    OUTPUT,
    RUN,
    SEQUENCE,
    STRINGS,
    VECTOR,
    Column,
    TableSpec,
    near,
    number,
    text,
    time,
    vector_type,
)
from panic_assets.lake.study_tables import STUDY_TABLES

__all__ = ["MIB", "SCHEMA_VERSION", "TABLES", "VECTOR", "Column", "TableSpec", "table_spec", "vector_type"]

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "experiments",
            "What was asked for: one row for each experiment.",
            (
                EXPERIMENT,
                text("experiment_id", "blake2b-128 of the canonical configuration, as 32 hexadecimal digits."),
                text("config", "The whole experiment file as JSON."),
                text("description", "The author's words on what the experiment is for.", nullable=True),
                number("max_length", pa.int32(), "Length at which a run stops.", "invocations"),
                text("cycle_policy", "What happens when a seeded run repeats itself: stop or continue."),
                text("image_format", "How pictures are stored, such as webp-lossless."),
                time("created_at", "When the experiment was first planned."),
            ),
            key=("experiment",),
            sort=("experiment",),
        ),
        TableSpec(
            "prompts",
            "Initial texts with their tags.",
            (
                EXPERIMENT,
                number("prompt_number", pa.int32(), "Number of the prompt within its experiment, from 0."),
                text("prompt", "The initial text."),
                text("tags", "Tags by which analyses group prompts: a JSON object of strings.", nullable=True),
            ),
            key=("experiment", "prompt_number"),
            sort=("experiment", "prompt_number"),
        ),
        TableSpec(
            "runs",
            "Every planned run: a network, started from a prompt with a seed.",
            (
                EXPERIMENT,
                RUN,
                Column("run_id", HASH, "", "Identity of the run: blake2b-128 of network, prompt, seed, replicate."),
                text("network", "The ring of models, written A -> B -> C."),
                Column("models", STRINGS, "", "The ring of models as a list."),
                number("prompt_number", pa.int32(), "Number of the prompt within its experiment, from 0."),
                text("prompt", "The initial text."),
                number("seed", pa.int64(), "Seed of every invocation; -1 is unseeded."),
                number("replicate", pa.int32(), "Which repeat of an equal (network, prompt, seed), from 0."),
                number("max_length", pa.int32(), "Length at which the run stops.", "invocations"),
            ),
            key=("experiment", "run_number"),
            sort=("experiment", "run_number"),
        ),
        TableSpec(
            "invocations",
            "Every model call and its output; pictures are in `images` and sounds in `sounds`, by hash.",
            (
                EXPERIMENT,
                RUN,
                SEQUENCE,
                Column(
                    "invocation_id", HASH, "", "Identity: blake2b-128 of the run's identity and the sequence number."
                ),
                text("model", "Name of the model that was called."),
                text("model_revision", "Revision of the model's weights.", nullable=True),
                text("type", "Medium of the output: text, image or audio."),
                number(
                    "seed",
                    pa.int64(),
                    "Number that the noise was drawn from, recorded even when unseeded; null: imported without one.",
                    nullable=True,
                ),
                number(
                    "batch_size",
                    pa.int32(),
                    "Size of the batch it was computed in, padding included.",
                    "items",
                    nullable=True,
                ),
                text("device", "Device it was computed on, such as cpu or a GPU's name.", nullable=True),
                text("text", "The output, when it is text.", nullable=True),
                Column("image_hash", HASH, "", "Hash of the output's pixels, when it is a picture.", nullable=True),
                Column("flags", STRINGS, "", "Doubts about the output, such as black_image or empty_text."),
                number(
                    "model_seconds", pa.float64(), "Its share of the time that its call took.", "seconds", nullable=True
                ),
                number("retries", pa.int32(), "How often it was tried again.", "calls", nullable=True),
                time("started_at", "When its batch was started.", nullable=True),
                time("completed_at", "When its batch was done.", nullable=True),
                Column("audio_hash", HASH, "", "Hash of the output's stored bytes, when it is a sound.", nullable=True),
            ),
            key=("experiment", "run_number", "sequence_number"),
            sort=("experiment", "run_number", "sequence_number"),
            schema_version=3,
        ),
        TableSpec(
            "images",
            "Every distinct picture of an experiment, once, in encoded form.",
            (
                EXPERIMENT,
                Column("image_hash", HASH, "", "blake2b-128 over shape and pixels."),
                number("run_number", pa.int32(), "The first run, by number, in which the picture appears."),
                number("sequence_number", pa.int32(), "Place at which it appears first in that run."),
                text("format", "Encoding, such as webp-lossless."),
                number("width", pa.int32(), "Width of the picture.", "pixels"),
                number("height", pa.int32(), "Height of the picture.", "pixels"),
                number("byte_size", pa.int64(), "Size of the encoded picture.", "bytes"),
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
            "sounds",
            "Every distinct sound of an experiment, once, in encoded form.",
            (
                EXPERIMENT,
                Column("audio_hash", HASH, "", "blake2b-128 of the stored bytes."),
                number("run_number", pa.int32(), "The first run, by number, in which the sound appears."),
                number("sequence_number", pa.int32(), "Place at which it appears first in that run."),
                text("format", "Encoding, as a media type such as audio/ogg."),
                number("seconds", pa.float64(), "Duration of the sound.", "seconds", nullable=True),
                number("byte_size", pa.int64(), "Size of the encoded sound.", "bytes"),
                Column("sound", pa.large_binary(), "", "The encoded sound."),
            ),
            key=("experiment", "audio_hash"),
            sort=("experiment", "run_number", "sequence_number", "audio_hash"),
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
                EXPERIMENT,
                RUN,
                text(
                    "stop_reason",
                    "Why it ended: length, cycle, failed or quality; of imported runs also duplicate (the source took "
                    "two outputs for equal) or unknown.",
                ),
                number("length", pa.int32(), "Invocations that were completed.", "invocations"),
                number("transient_length", pa.int32(), "Invocations before the cycle.", "invocations", nullable=True),
                number("cycle_length", pa.int32(), "Period of the cycle.", "invocations", nullable=True),
                text("error", "What failed, when the run failed.", nullable=True),
                time("failed_at", "When it failed.", nullable=True),
                number("flagged", pa.int32(), "Outputs with at least one flag.", "invocations"),
                number(
                    "shared",
                    pa.int32(),
                    "Invocations with the model, input and seed of another: such work is done once.",
                    "invocations",
                    nullable=True,
                ),
                number("retries", pa.int32(), "Calls that were tried again.", "calls", nullable=True),
                number(
                    "model_seconds",
                    pa.float64(),
                    "The run's share of the time spent in models.",
                    "seconds",
                    nullable=True,
                ),
                time("started_at", "When its first invocation was started.", nullable=True),
                time("completed_at", "When the run ended.", nullable=True),
                number("events", pa.int32(), "Rows of `events` that name the run.", "events", nullable=True),
            ),
            key=("experiment", "run_number"),
            sort=("experiment", "run_number"),
            schema_version=3,
        ),
        TableSpec(
            "events",
            "What went wrong while an experiment was run, and was dealt with.",
            (
                EXPERIMENT,
                number("number", pa.int64(), "Place among the events of the experiment."),
                time("happened_at", "When it happened."),
                text("kind", "out_of_memory, timed_out, device_lost, bad_output, or error."),
                text("model", "Model that was called.", nullable=True),
                text("device", "Device that it was called on.", nullable=True),
                text("message", "What was said."),
                Column("run_numbers", INTEGERS, "", "Runs that waited for the call; empty where none did."),
            ),
            key=("experiment", "number"),
            sort=("experiment", "number"),
        ),
        TableSpec(
            "embeddings",
            "Vectors of outputs and prompts; the sequence of a run is its trajectory.",
            (
                EXPERIMENT,
                RUN,
                OUTPUT,
                EMBEDDING_MODEL,
                text("space", "Vectors compare only within a space: model@revision/dimension/normalised or raw."),
                text("modality", "What was embedded: text or image."),
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
                EXPERIMENT,
                RUN,
                EMBEDDING_MODEL,
                MODALITY,
                DIMENSION,
                Column("births", DOUBLES, "distance", "Scales at which features appear."),
                Column("deaths", DOUBLES, "distance", "Scales at which they vanish, same order; infinity: never."),
                number("points", pa.int32(), "Points of the trajectory.", "points"),
                number("distinct_points", pa.int32(), "Distinct points of the trajectory.", "points"),
                number(
                    "threshold", pa.float64(), "Scale up to which it is exact; null: all.", "distance", nullable=True
                ),
                text("metric", "Distance between points, such as euclidean.", nullable=True),
                text("status", "complete, thresholded, incomplete or too_few_points."),
                number("seconds", pa.float64(), "Time that the diagram took.", "seconds"),
            ),
            key=("experiment", "run_number", "embedding_model", "modality", "homology_dimension"),
            sort=("experiment", "embedding_model", "modality", "run_number", "homology_dimension"),
            labels=("embedding_model",),
        ),
        TableSpec(
            "persistence_features",
            "Numbers that sum up a persistence diagram.",
            (
                EXPERIMENT,
                RUN,
                EMBEDDING_MODEL,
                MODALITY,
                DIMENSION,
                number("bars", pa.int32(), "Features, infinite ones included.", "bars"),
                number("infinite_bars", pa.int32(), "Features that never vanish.", "bars"),
                number("total_persistence", pa.float64(), "Sum of the lengths of finite bars.", "distance"),
                number("max_persistence", pa.float64(), "Length of the longest finite bar.", "distance"),
                number("entropy", pa.float64(), "Persistence entropy of finite bars.", "nats", nullable=True),
                number("entropy_normalised", pa.float64(), "Entropy over ln(number of bars), 0 to 1.", nullable=True),
            ),
            key=("experiment", "run_number", "embedding_model", "modality", "homology_dimension"),
            sort=("experiment", "embedding_model", "modality", "run_number", "homology_dimension"),
            labels=("embedding_model",),
        ),
        TableSpec(
            "clusterings",
            "Every clustering of embeddings across experiments.",
            (
                CLUSTERING,
                EMBEDDING_MODEL,
                MODALITY,
                text("space", "Space of the clustered vectors."),
                text("algorithm", "Name of the algorithm."),
                text("parameters", "Its parameters as JSON."),
                number("seed", pa.int64(), "Seed of its random steps.", nullable=True),
                number("points", pa.int64(), "Embeddings, later ones included.", "points"),
                number("distinct_points", pa.int64(), "Distinct ones: equal points are clustered as one.", "points"),
                number("clusters", pa.int32(), "Clusters found.", "clusters"),
                number("outlier_share", pa.float64(), "Share of points in no cluster, 0 to 1."),
                time("created_at", "When it was computed."),
                text(
                    "corpus",
                    "Frozen corpus as JSON: points pooled, and clustered by experiment.",
                    nullable=True,
                ),
                number("assigned_later", pa.int64(), "Those of its points that took no part.", "points", nullable=True),
                number("stability", pa.float64(), "Mean agreement with subsamples of runs (ARI).", nullable=True),
                text("diagnostics", "Density around outliers, and other cluster sizes, as JSON.", nullable=True),
            ),
            key=("clustering_id",),
            sort=("embedding_model", "clustering_id"),
            partition=None,
            labels=("embedding_model",),
            schema_version=2,
        ),
        TableSpec(
            "clusters",
            "The clusters of each clustering, with the output at the heart of each.",
            (
                CLUSTERING,
                EMBEDDING_MODEL,
                MODALITY,
                number("cluster", pa.int32(), "Number of the cluster; 0 is the largest."),
                number("size", pa.int64(), "Embeddings in it.", "points"),
                text("medoid_experiment", "Experiment of the medoid."),
                number("medoid_run_number", pa.int32(), "Run of the medoid."),
                number("medoid_sequence_number", pa.int32(), "Place of the medoid in its run."),
                text("medoid_text", "The medoid, when it is text.", nullable=True),
                number("share", pa.float64(), "Size over all points of the clustering, 0 to 1."),
                number("stability", pa.float64(), "How long it lasts over densities.", nullable=True),
                number("recovery", pa.float64(), "Mean best Jaccard overlap in subsamples of runs.", nullable=True),
                number("reach", pa.float64(), "Distance up to which new points join it.", "chord", nullable=True),
            ),
            key=("clustering_id", "cluster"),
            sort=("embedding_model", "clustering_id", "cluster"),
            partition=None,
            labels=("embedding_model",),
            schema_version=2,
        ),
        TableSpec(
            "cluster_assignments",
            "Which cluster each embedding fell into.",
            (
                CLUSTERING,
                EMBEDDING_MODEL,
                MODALITY,
                EXPERIMENT,
                RUN,
                OUTPUT,
                number("cluster", pa.int32(), "Number of the cluster; -1 is an outlier."),
                number("probability", pa.float32(), "Strength of membership, 0 to 1."),
                Column("assigned_later", pa.bool_(), "", "It took no part and joined afterwards.", nullable=True),
            ),
            key=("clustering_id", "experiment", "run_number", "sequence_number"),
            sort=("embedding_model", "clustering_id", "experiment", "run_number", "sequence_number"),
            partition=None,
            labels=("embedding_model",),
            schema_version=2,
        ),
        *ANALYSIS_TABLES,
        *IMPORTED_TABLES,
        *CODEC_TABLES,
        *STUDY_TABLES,
    )
}

SCHEMA_VERSION: dict[str, int] = {name: spec.schema_version for name, spec in TABLES.items()}


def table_spec(name: str) -> TableSpec:
    """The table called ``name``.

    Raises:
        LakeError: there is none; the message names near ones.
    """
    if name not in TABLES:
        raise LakeError(f"there is no table {name!r}{near(name, TABLES)}")
    return TABLES[name]
