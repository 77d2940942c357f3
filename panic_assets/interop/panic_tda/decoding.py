"""What one row means: from its raw columns to a record, for both eras.

Here belongs the meaning of whole rows; single values are read by ``values``, blobs by ``etf`` and ``archives``. A
column that a layout lacks is None in the record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from panic_assets.interop.panic_tda import archives, etf, values
from panic_assets.interop.panic_tda.records import (
    SourceClustering,
    SourceDiagram,
    SourceEmbedding,
    SourceExperiment,
    SourceInvocation,
    SourceLyapunov,
    SourceRun,
    Times,
)
from panic_assets.interop.panic_tda.values import BadValue, Clock

Row = Mapping[str, Any]
_MOST_DIMENSIONS = 16


def times(row: Row, clock: Clock) -> Times:
    """When a row was worked on and written."""
    written = "inserted_at" if "inserted_at" in row else "created_at"
    return Times(*(clock.read(row, column) for column in ("started_at", "completed_at", written, "updated_at")))


def experiment(row: Row, clock: Clock) -> SourceExperiment:
    """An experiment; one network or several, seeds or a number of runs."""
    single = "networks" not in row
    return SourceExperiment(
        values.identifier(row["id"], "id"),
        [values.texts(row["network"], "network")] if single else values.rings(row["networks"], "networks"),
        values.texts(row["prompts"], "prompts"),
        values.texts(row["embedding_models"], "embedding_models"),
        values.number(row["max_length"], "max_length"),
        values.numbers(row["seeds"], "seeds") if "seeds" in row else None,
        values.number(row["num_runs"], "num_runs") if "num_runs" in row else None,
        times(row, clock),
    )


def run(row: Row, clock: Clock) -> SourceRun:
    """A run."""
    return SourceRun(
        values.identifier(row["id"], "id"),
        values.identifier(row["experiment_id"], "experiment_id"),
        values.texts(row["network"], "network"),
        values.text(row["initial_prompt"], "initial_prompt"),
        values.number(row["max_length"], "max_length"),
        values.number(row["seed"], "seed") if "seed" in row else None,
        values.number(row["run_number"], "run_number") if "run_number" in row else None,
        times(row, clock),
    )


def invocation(row: Row, clock: Clock) -> SourceInvocation:
    """An invocation with the one output that its type asks for. What an image shows is for others to see."""
    column = "output_image" if "output_image" in row else "output_image_data"
    kind = values.modality(row["type"], "type")
    said, image = row["output_text"], row[column]
    if said is None and image is None:
        raise BadValue("no_output", "output_text", said, f"the output of type {kind}, nor is {column}")
    if said is not None and image is not None:
        raise BadValue("both_outputs", column, image, "absent, although output_text is there")
    if (image is None) != (kind == "text"):
        raise BadValue("wrong_output", "type", row["type"], f"that of {'output_text' if image is None else column}")
    if image is not None and not isinstance(image, bytes):
        raise BadValue("bad_image", column, image, "the bytes of an image")
    before = row["input_invocation_id"]
    return SourceInvocation(
        values.identifier(row["id"], "id"),
        values.identifier(row["run_id"], "run_id"),
        values.number(row["sequence_number"], "sequence_number"),
        values.text(row["model"], "model"),
        kind,
        values.number(row["seed"], "seed") if "seed" in row else None,
        None if before is None else values.identifier(before, "input_invocation_id"),
        None if said is None else values.text(said, "output_text"),
        image,
        times(row, clock),
    )


def embedding(row: Row, clock: Clock) -> SourceEmbedding:
    """An embedding."""
    return SourceEmbedding(
        values.identifier(row["id"], "id"),
        values.identifier(row["invocation_id"], "invocation_id"),
        values.text(row["embedding_model"], "embedding_model"),
        values.vector(row["vector"], "vector"),
        times(row, clock),
    )


def clustering(row: Row, clock: Clock) -> SourceClustering:
    """A clustering."""
    return SourceClustering(
        values.identifier(row["id"], "id"),
        values.text(row["embedding_model"], "embedding_model"),
        values.text(row["algorithm"], "algorithm"),
        values.mapping(row["parameters"], "parameters"),
        values.number(row["layer"], "layer") if "layer" in row else None,
        times(row, clock),
    )


def diagram(row: Row, clock: Clock) -> SourceDiagram:
    """Persistence diagrams: a zip of arrays or a term of Erlang, whichever the bytes are."""
    data = row["diagram_data"]
    bars, entropy, more = (None, None, None) if data is None else _blob("bad_diagram", "diagram_data", data, _diagrams)
    return SourceDiagram(
        values.identifier(row["id"], "id"),
        values.identifier(row["run_id"], "run_id"),
        values.text(row["embedding_model"], "embedding_model"),
        bars,
        entropy,
        more,
        times(row, clock),
    )


def exponent(row: Row, clock: Clock) -> SourceLyapunov:
    """A divergence exponent."""
    data = row["lyapunov_data"]
    found = {} if data is None else _blob("bad_exponents", "lyapunov_data", data, _exponents)
    return SourceLyapunov(
        values.identifier(row["id"], "id"),
        values.identifier(row["experiment_id"], "experiment_id"),
        " -> ".join(values.texts(row["network"], "network")),
        values.text(row["prompt"], "prompt"),
        values.text(row["embedding_model"], "embedding_model"),
        found.get("exponent"),
        found.get("r_squared"),
        found.get("divergence_curve", []),
        found.get("num_pairs"),
        found.get("num_timesteps"),
        times(row, clock),
    )


def _blob(kind: str, column: str, data: Any, read: Callable[[bytes], Any]) -> Any:
    if not isinstance(data, bytes):
        raise BadValue(kind, column, data, "a blob")
    try:
        return read(data)
    except (archives.BadArchive, etf.BadTerm, TypeError, ValueError, OverflowError) as error:
        raise BadValue(kind, column, data, f"readable: it {error}") from None


def _diagrams(data: bytes) -> tuple[list[np.ndarray], list[float] | None, bytes | None]:
    return _of_term(data) if data[:1] == b"\x83" else _of_archive(data)


def _of_archive(data: bytes) -> tuple[list[np.ndarray], list[float] | None, bytes | None]:
    arrays, names = archives.read(data, lambda name: name.startswith("dgms_") or name == "entropy")
    if "dgms_count" not in arrays:
        raise ValueError(f"has no dgms_count, only {', '.join(names[:8]) or 'nothing'}")
    count = int(arrays["dgms_count"].reshape(-1)[0]) if arrays["dgms_count"].size == 1 else -1
    wanted = [f"dgms_{k}" for k in range(count)] if 0 <= count <= _MOST_DIMENSIONS else ["a plausible dgms_count"]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    entropy = [float(e) for e in arrays["entropy"].reshape(-1)] if "entropy" in arrays else None
    more = data if set(names) - {*wanted, "dgms_count", "entropy"} else None
    return [_bars(arrays[name]) for name in wanted], entropy, more


def _of_term(data: bytes) -> tuple[list[np.ndarray], list[float] | None, bytes | None]:
    found = etf.decode(data)
    if not isinstance(found, dict) or not isinstance(found.get("dgms"), list):
        raise ValueError("is a term without a list dgms")
    if len(found["dgms"]) > _MOST_DIMENSIONS:
        raise ValueError(f"has {len(found['dgms'])} dimensions")
    entropy = found.get("entropy")
    bars = [_bars(np.array(bars, dtype=np.float64)) for bars in found["dgms"]]
    # A number of edges is always stored, and always 0.
    more = data if set(found) - {"dgms", "entropy", "num_edges"} or found.get("num_edges") else None
    return bars, None if entropy is None else [float(e) for e in entropy], more


def _bars(found: np.ndarray) -> np.ndarray:
    bars = np.asarray(found, dtype=np.float64).reshape(0, 2) if found.size == 0 else found.astype(np.float64)
    if bars.ndim != 2 or bars.shape[1] != 2:
        raise ValueError(f"has a diagram of shape {found.shape} instead of (bars, 2)")
    if np.isnan(bars).any() or np.isinf(bars[:, 0]).any():
        raise ValueError("has a bar whose birth is not finite, or whose death is no number")
    return bars


def _exponents(data: bytes) -> dict[str, Any]:
    found = etf.decode(data)
    if not isinstance(found, dict):
        raise ValueError("is a term, but no map")
    curve = found.get("divergence_curve")
    read: dict[str, Any] = {name: _float(found.get(name)) for name in ("exponent", "r_squared")}
    read["divergence_curve"] = [float(d) for d in curve] if curve is not None else []
    for name in ("num_pairs", "num_timesteps"):
        read[name] = None if found.get(name) is None else values.number(found[name], name)
    return read


def _float(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"has {value!r} where a number belongs")
    return None if math.isnan(value) else float(value)
