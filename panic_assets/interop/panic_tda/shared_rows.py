"""Rows of what belongs to no single run: clusterings and divergence exponents.

Here belongs the shape of these rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

from panic_assets.interop.panic_tda.mapping import model_name
from panic_assets.interop.panic_tda.records import Rejected, SourceClustering, SourceLyapunov
from panic_assets.interop.panic_tda.report import rejected

#: Columns of ``imported_experiments`` that hold a list of the source as JSON.
LISTS = ("networks", "prompts", "embedding_models")


def clustering_row(key: str, clustering: SourceClustering) -> dict[str, Any]:
    """The row of ``imported_clusterings`` in one partition."""
    return {
        "experiment": key,
        "clustering_source_id": clustering.source_id,
        "embedding_model": model_name(clustering.embedding_model),
        "algorithm": clustering.algorithm,
        "parameters": json.dumps(clustering.parameters, sort_keys=True, ensure_ascii=False),
        "layer": clustering.layer,
        **vars(clustering.times),
    }


def exponent_row(
    key: str, record: SourceLyapunov | Rejected, taken: Container[tuple[str, str, str]]
) -> dict[str, Any] | Rejected:
    """The row of ``imported_exponents``; rejected if ``taken`` holds one of its network, prompt and model."""
    if isinstance(record, Rejected):
        return record
    network, model = record.network, model_name(record.embedding_model)
    if (network, record.prompt, model) in taken:
        reason = f"a second one of {network}, {record.prompt!r} and {record.embedding_model}"
        return rejected(record, "repeated_exponent", reason)
    return {
        "experiment": key,
        "network": network,
        "prompt": record.prompt,
        "embedding_model": model,
        "source_id": record.source_id,
        "exponent": record.exponent,
        "r_squared": record.r_squared,
        "divergence_curve": record.divergence_curve,
        "num_pairs": record.num_pairs,
        "num_timesteps": record.num_timesteps,
        **vars(record.times),
    }
