"""What a source computed beside what is computed here from the same outputs: diagrams, vectors, clusters.

Here belongs the comparison of an imported experiment, as numbers that a reader can judge; nothing is written. A source
may have used other points (rows that could not be imported), another model revision or other parameters, so that a
difference says that something differs, not that somebody is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from panic_assets.interop.panic_tda.mapping import IMPORTED
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix

#: Bars of a source are float32 numbers: births and deaths that agree within this are equal.
BAR_TOLERANCE = 1e-5

#: Columns of `compare_imported`.
SCHEMA: dict[str, Any] = {
    "subject": pl.String,
    "embedding_model": pl.String,
    "other_model": pl.String,
    "homology_dimension": pl.Int8,
    "clustering": pl.String,
    "compared": pl.Int64,
    "equal": pl.Int64,
    "largest_difference": pl.Float64,
    "largest_entropy_difference": pl.Float64,
    "mean_agreement": pl.Float64,
    "least_agreement": pl.Float64,
}


def compare_imported(lake: Lake, experiment: str) -> pl.DataFrame:
    """Rows of three subjects, with the columns of `SCHEMA`; empty for an experiment that was not imported.

    * ``diagrams``: for each imported embedding model and homology dimension, how many runs have a diagram on both
      sides, how many of these pairs have equal bars (within 1e-5, bars of that length left out), the largest bottleneck
      distance, and the largest difference of entropies in nats.
    * ``vectors``: for each embedding model of ours (``other_model``) that was imported too, of how many outputs both
      have a vector, and mean and least cosine. Vectors of another dimension are not compared.
    * ``clusters``: for each clustering of the source and each of ours in the same model, how many outputs both assign,
      and the adjusted Rand index (``mean_agreement``); outliers count as a cluster of their own.

    Raises:
        LakeError: a table can't be read.
    """
    if not lake.generation("imported_experiments", experiment):
        return pl.DataFrame(schema=SCHEMA)
    rows = [*_diagrams(lake, experiment), *_vectors(lake, experiment), *_clusters(lake, experiment)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _diagrams(lake: Lake, experiment: str) -> Iterator[dict[str, Any]]:
    from panic_assets.topology.diagram_distances import DiagramError, bottleneck

    columns = ["run_number", "embedding_model", "homology_dimension", "births", "deaths"]
    models = _unique(lake, "imported_diagrams", experiment, "embedding_model")
    for model in models:
        where = {"embedding_model": model}
        theirs = lake.read("imported_diagrams", experiment, [*columns, "entropy"], where).to_pylist()
        ours = {
            (row["run_number"], row["homology_dimension"]): row
            for row in lake.read("persistence_diagrams", experiment, columns, where).to_pylist()
        }
        kept = ["run_number", "homology_dimension", "entropy"]
        entropies = {
            (row["run_number"], row["homology_dimension"]): row["entropy"]
            for row in lake.read("persistence_features", experiment, kept, where).to_pylist()
        }
        for dimension in sorted({row["homology_dimension"] for row in theirs}):
            compared, equal, differences, entropy_differences = 0, 0, [0.0], [0.0]
            for row in theirs:
                place = (row["run_number"], dimension)
                if row["homology_dimension"] != dimension or place not in ours:
                    continue
                one, other = _bars(row), _bars(ours[place])
                compared += 1
                equal += one.shape == other.shape and bool(np.allclose(one, other, rtol=0, atol=BAR_TOLERANCE))
                try:
                    differences.append(bottleneck(one, other))
                except DiagramError:  # the source's bars are no diagram
                    differences.append(float("inf"))
                if row["entropy"] is not None:
                    # The source's entropy of no bars is zero.
                    entropy_differences.append(abs(row["entropy"] - (entropies.get(place) or 0.0)))
            yield {
                "subject": "diagrams",
                "embedding_model": model,
                "homology_dimension": dimension,
                "compared": compared,
                "equal": equal,
                "largest_difference": max(differences) if compared else None,
                "largest_entropy_difference": max(entropy_differences) if compared else None,
            }


def _bars(row: Mapping[str, Any]) -> np.ndarray:
    """(bars, 2), sorted, without those that rounding alone keeps from length zero: repeated points make such."""
    bars = np.stack([np.asarray(row["births"], float), np.asarray(row["deaths"], float)], axis=1)
    bars = bars[~(bars[:, 1] - bars[:, 0] <= BAR_TOLERANCE)]
    rounded = np.round(bars / BAR_TOLERANCE)  # so that near births don't swap the order of their deaths
    return bars[np.lexsort((bars[:, 1], rounded[:, 0]))]


def _vectors(lake: Lake, experiment: str) -> Iterator[dict[str, Any]]:
    held = set(_unique(lake, "embeddings", experiment, "embedding_model"))
    for model in sorted(name for name in held if name.startswith(IMPORTED)):
        ours = model.removeprefix(IMPORTED)
        if ours not in held:
            continue
        similarities = []
        for run in _unique(lake, "embeddings", experiment, "run_number"):
            both = [_of_run(lake, experiment, name, run) for name in (model, ours)]
            common = sorted(set(both[0]) & set(both[1]))
            pairs = [(both[0][place], both[1][place]) for place in common]
            similarities += [_cosine(*pair) for pair in pairs if len(pair[0]) == len(pair[1])]
        yield {
            "subject": "vectors",
            "embedding_model": model,
            "other_model": ours,
            "compared": len(similarities),
            "mean_agreement": float(np.mean(similarities)) if similarities else None,
            "least_agreement": float(np.min(similarities)) if similarities else None,
        }


def _of_run(lake: Lake, experiment: str, model: str, run: int) -> dict[int, np.ndarray]:
    where = {"embedding_model": model, "run_number": run}
    rows = lake.read("embeddings", experiment, ["sequence_number", "vector"], where)
    places = rows.column("sequence_number").to_pylist()
    return dict(zip(places, matrix(rows).astype(float), strict=True)) if places else {}


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0


def _clusters(lake: Lake, experiment: str) -> Iterator[dict[str, Any]]:
    from sklearn.metrics import adjusted_rand_score

    place = ["run_number", "sequence_number"]
    theirs = pl.DataFrame(
        lake.read(
            "imported_assignments", experiment, [*place, "embedding_model", "clustering_source_id", "medoid_source_id"]
        )
    )
    columns = [*place, "embedding_model", "clustering_id", "cluster"]
    ours = pl.DataFrame(lake.read("cluster_assignments", columns=columns, where={"experiment": experiment}))
    ours = ours.with_columns(imported=pl.lit(IMPORTED) + pl.col("embedding_model").str.strip_prefix(IMPORTED))
    both = theirs.join(ours, left_on=[*place, "embedding_model"], right_on=[*place, "imported"])
    groups = ["embedding_model", "clustering_source_id", "embedding_model_right", "clustering_id"]
    for (model, source, other, _), rows in sorted(both.group_by(groups), key=lambda group: group[0]):
        yield {
            "subject": "clusters",
            "embedding_model": model,
            "other_model": other,
            "clustering": source,
            "compared": len(rows),
            "mean_agreement": float(
                adjusted_rand_score(rows["medoid_source_id"].fill_null("").to_list(), rows["cluster"].to_list())
            ),
        }


def _unique(lake: Lake, table: str, experiment: str, column: str) -> Iterable[Any]:
    return sorted(lake.read(table, experiment, [column]).column(0).unique().to_pylist())
