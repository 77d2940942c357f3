"""The tables of analyses: numbers about runs, about groups of runs, and curves, each with its uncertainty.

Here belong declarations alone. They are long and narrow, so that a new analysis is rows and no new column. A statistic
that belongs to no embedding has an empty ``embedding_model`` and ``modality``.
"""

from __future__ import annotations

import pyarrow as pa

from panic_assets.lake.specs import (
    CLUSTERING,
    DIMENSION,
    EMBEDDING_MODEL,
    EXPERIMENT,
    MODALITY,
    RUN,
    TableSpec,
    number,
    text,
)

_ANALYSIS = text("analysis", "Name of the analysis; its page is docs/analyses/<name>.md.")
_SPACE = (
    text("embedding_model", "Name of the embedding model; empty where none is concerned."),
    text("modality", "Medium of the embedded outputs: text or image; empty where none is concerned."),
)
_GROUP = (
    text("network", "The ring of models, written A -> B; empty for all networks together."),
    number("prompt_number", pa.int32(), "Number of the prompt; -1 for all prompts together."),
    text("contrast", "What is compared, such as category=control; empty for a whole group."),
)
_LOW = number("low", pa.float64(), "Lower end of its interval.", nullable=True)
_HIGH = number("high", pa.float64(), "Upper end of its interval.", nullable=True)
_DETAILS = text("details", "What else belongs to it, as a JSON object.", nullable=True)

ANALYSIS_TABLES = (
    TableSpec(
        "run_statistics",
        "Numbers and labels of single runs.",
        (
            EXPERIMENT,
            _ANALYSIS,
            *_SPACE,
            RUN,
            text("statistic", "What was measured."),
            number("value", pa.float64(), "The number; null where it can't be told.", nullable=True),
            text("label", "The label, where it is one.", nullable=True),
            text("unit", "Unit of the value; empty for none."),
            _LOW,
            _HIGH,
            _DETAILS,
        ),
        key=("experiment", "analysis", "embedding_model", "modality", "run_number", "statistic"),
        sort=("experiment", "analysis", "embedding_model", "modality", "statistic", "run_number"),
        labels=("analysis",),
    ),
    TableSpec(
        "dynamics",
        "Statistics of groups of runs, with uncertainty.",
        (
            EXPERIMENT,
            _ANALYSIS,
            *_SPACE,
            *_GROUP,
            text("statistic", "What was measured."),
            number("value", pa.float64(), "The estimate; null where it can't be told.", nullable=True),
            _LOW,
            _HIGH,
            number("confidence", pa.float64(), "Nominal coverage of the interval, such as 0.95.", nullable=True),
            number("runs", pa.int32(), "Runs that it rests on.", "runs"),
            number("p_value", pa.float64(), "Of the null hypothesis that ``method`` names.", nullable=True),
            number("p_adjusted", pa.float64(), "Adjusted for all tests of the analysis.", nullable=True),
            text("unit", "Unit of the value; empty for none."),
            text("method", "How value and interval were found, in a few words."),
            _DETAILS,
        ),
        key=(
            "experiment",
            "analysis",
            "embedding_model",
            "modality",
            "network",
            "prompt_number",
            "contrast",
            "statistic",
        ),
        sort=(
            "experiment",
            "analysis",
            "embedding_model",
            "modality",
            "statistic",
            "network",
            "prompt_number",
            "contrast",
        ),
        labels=("analysis",),
    ),
    TableSpec(
        "curves",
        "Statistics along an axis, such as time or scale, with uncertainty.",
        (
            EXPERIMENT,
            _ANALYSIS,
            *_SPACE,
            *_GROUP,
            number("run_number", pa.int32(), "Number of the run; -1 for a group."),
            text("curve", "What was measured."),
            number("x", pa.float64(), "Place on the axis."),
            text("x_unit", "What the axis counts, such as invocations."),
            number("value", pa.float64(), "The value there.", nullable=True),
            _LOW,
            _HIGH,
        ),
        key=(
            "experiment",
            "analysis",
            "embedding_model",
            "modality",
            "network",
            "prompt_number",
            "contrast",
            "run_number",
            "curve",
            "x",
        ),
        sort=(
            "experiment",
            "analysis",
            "embedding_model",
            "modality",
            "curve",
            "network",
            "prompt_number",
            "contrast",
            "run_number",
            "x",
        ),
        labels=("analysis",),
    ),
    TableSpec(
        "diagram_distances",
        "Distances between the persistence diagrams of two runs of an experiment.",
        (
            EXPERIMENT,
            EMBEDDING_MODEL,
            MODALITY,
            DIMENSION,
            number("run_a", pa.int32(), "The run of the lower number."),
            number("run_b", pa.int32(), "The run of the higher number."),
            number("wasserstein_1", pa.float64(), "1-Wasserstein distance, ground metric L-infinity.", "distance"),
            number("bottleneck", pa.float64(), "Bottleneck distance; null: not asked for.", "distance", nullable=True),
        ),
        key=("experiment", "embedding_model", "modality", "homology_dimension", "run_a", "run_b"),
        sort=("experiment", "embedding_model", "modality", "homology_dimension", "run_a", "run_b"),
        labels=("embedding_model",),
    ),
    TableSpec(
        "transitions",
        "Passages from state to state within runs; never from one run to the next.",
        (
            EXPERIMENT,
            CLUSTERING,
            EMBEDDING_MODEL,
            MODALITY,
            text("network", "The ring of models, written A -> B; empty for all networks together."),
            text("kind", "bigram: neighbours as they come; core: between core sets, by milestoning."),
            number("lag", pa.int32(), "Distance in the sequence of embedded outputs.", "outputs"),
            number("from_state", pa.int32(), "Cluster before; -1 is an outlier."),
            number("to_state", pa.int32(), "Cluster after; -1 is an outlier."),
            number("count", pa.int64(), "Passages seen.", "passages"),
            number("probability", pa.float64(), "Share of the passages that leave from_state.", nullable=True),
            _LOW,
            _HIGH,
        ),
        key=("experiment", "clustering_id", "network", "kind", "lag", "from_state", "to_state"),
        sort=("experiment", "embedding_model", "clustering_id", "network", "kind", "lag", "from_state", "to_state"),
        labels=("embedding_model",),
    ),
)
