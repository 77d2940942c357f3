"""An imported partition goes through the real job, and what its source computed is put beside what is computed here."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml

from panic_assets.definitions import build_defs
from panic_assets.defs.launch import execute
from panic_assets.interop.comparison import SCHEMA, compare_imported
from panic_assets.interop.panic_tda.records import SourceDiagram
from panic_assets.lake import Lake
from panic_assets.lake.vectors import matrix
from panic_assets.topology.features import features
from panic_assets.topology.persistence import persistence_diagrams
from panic_assets_tests.interop.panic_tda.databases import Built, npz, python_database
from panic_assets_tests.interop.panic_tda.imports import bring
from panic_assets_tests.laboratory import resources


def with_true_diagrams(built: Built) -> None:
    """Let the source have the diagrams of its vectors, as float32, and repeated points as bars of hardly any length."""
    places = {i.source_id: (i.run_id, i.sequence_number) for i in built.content.invocations}
    with sqlite3.connect(built.path) as connection:
        for diagram in built.content.diagrams:
            vectors = [
                e.vector
                for e in sorted(built.content.embeddings, key=lambda e: places[e.invocation_id][1])
                if e.embedding_model == diagram.embedding_model and places[e.invocation_id][0] == diagram.run_id
            ]
            made = persistence_diagrams(np.stack(vectors))  # type: ignore[arg-type]
            bars = [np.stack([d.births, d.deaths], axis=1) for d in made.diagrams]
            bars[0] = np.concatenate([[[0.0, 1e-7]], bars[0]])
            entropy = [f.entropy or 0.0 for f in features(made)]
            data = npz(SourceDiagram(diagram.source_id, diagram.run_id, diagram.embedding_model, bars, entropy))
            connection.execute("UPDATE persistencediagram SET diagram_data = ? WHERE id = ?", (data, diagram.source_id))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Path, str]:
    folder = tmp_path_factory.mktemp("imported")
    built = python_database(folder / "a.sqlite", experiments=1, runs=2, length=8, rings=1)
    with_true_diagrams(built)
    bring(built.path, folder)
    (file,) = (folder / "experiments").iterdir()
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(values | {"embedding_models": ["DummyText"]}, sort_keys=False))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("experiment", [file.stem])
        # All analyses and checks are in it; it raises if a step or a check fails.
        execute(build_defs(resources(folder)).resolve_job_def("experiment"), instance, file.stem)
    return built, folder, file.stem


def test_the_usual_assets_take_an_import(ran: tuple[Built, Path, str]) -> None:
    built, folder, key = ran
    lake = Lake(folder / "lake")
    held = lake.read("embeddings", key, ["embedding_model", "sequence_number"]).to_pylist()
    models = {row["embedding_model"] for row in held}
    assert models == {"DummyText", "imported/Nomic", "imported/NomicVision"}
    assert {row["embedding_model"] for row in held if row["sequence_number"] == -1} == {"DummyText"}
    trajectories = lake.read("persistence_diagrams", key, ["embedding_model"]).column(0).unique().to_pylist()
    assert set(trajectories) == models
    assert lake.read("invocations", key).num_rows == len(built.content.invocations)
    assert lake.generation("outcomes", key) > 0
    before = {table: lake.generation(table, name) for table, name in lake.places()}
    bring(built.path, folder)
    assert {table: lake.generation(table, name) for table, name in lake.places()} == before


def test_diagrams_of_the_same_vectors_are_equal(ran: tuple[Built, Path, str]) -> None:
    built, folder, key = ran
    found = compare_imported(Lake(folder / "lake"), key).filter(pl.col("subject") == "diagrams")
    assert len(found) == 2 * 3
    assert found["compared"].to_list() == found["equal"].to_list()
    per_model = found.group_by("embedding_model").agg(pl.max("compared"))
    assert per_model["compared"].sum() == len(built.content.diagrams)
    assert found["largest_difference"].to_numpy().max() < 1e-5
    assert found["largest_entropy_difference"].to_numpy().max() < 1e-5


def test_an_entropy_or_a_bar_that_differs_is_seen(ran: tuple[Built, Path, str], tmp_path: Path) -> None:
    _, folder, key = ran
    lake, other = Lake(folder / "lake"), Lake(tmp_path / "lake")
    for table in ("imported_experiments", "imported_diagrams", "persistence_diagrams", "persistence_features"):
        rows = lake.read(table, key).to_pylist()
        if table == "imported_diagrams":
            row = next(r for r in rows if r["homology_dimension"] == 0 and len(r["deaths"]) > 2)
            row["deaths"][1], row["entropy"] = row["deaths"][1] + 0.25, row["entropy"] + 0.5
            model = row["embedding_model"]
        with other.writer(table, key) as writer:
            writer.append(rows)
            writer.commit()
    found = compare_imported(other, key).filter(
        (pl.col("embedding_model") == model) & (pl.col("homology_dimension") == 0)
    )
    (result,) = found.to_dicts()
    assert result["compared"] - result["equal"] == 1
    assert result["largest_difference"] > 0.01
    assert result["largest_entropy_difference"] == pytest.approx(0.5, abs=1e-5)


def test_vectors_and_clusters_of_one_name_are_put_side_by_side(ran: tuple[Built, Path, str], tmp_path: Path) -> None:
    """As if Nomic were a model of ours: the same vectors, one of them turned round; clusters as the source's."""
    _, folder, key = ran
    lake, other = Lake(folder / "lake"), Lake(tmp_path / "lake")
    theirs = lake.read("embeddings", key, where={"embedding_model": "imported/Nomic"})
    vectors = 3 * matrix(theirs)
    vectors[0] = -vectors[0]
    ours = theirs.to_pylist()
    for row, vector in zip(ours, vectors, strict=True):
        row |= {"embedding_model": "Nomic", "space": "Nomic@1/16/raw", "vector": vector}
    assignments = lake.read("imported_assignments", key).to_pylist()
    first = min(row["clustering_source_id"] for row in assignments)
    numbers = {None: -1}
    made = []
    for row in assignments:
        if row["clustering_source_id"] == first:
            number = numbers.setdefault(row["medoid_source_id"], len(numbers) - 1)
            place = {name: row[name] for name in ("experiment", "run_number", "sequence_number", "embedding_model")}
            made.append(place | {"clustering_id": b"c" * 16, "modality": "text", "cluster": number, "probability": 1.0})
    tables = {
        "imported_experiments": lake.read("imported_experiments", key).to_pylist(),
        "embeddings": [*theirs.to_pylist(), *ours],
        "imported_assignments": assignments,
        "cluster_assignments": made,
    }
    for table, rows in tables.items():
        with other.writer(table, None if table == "cluster_assignments" else key) as writer:
            writer.append(rows)
            writer.commit()
    found = compare_imported(other, key)
    (vectors_row,) = found.filter(pl.col("subject") == "vectors").to_dicts()
    assert (vectors_row["embedding_model"], vectors_row["other_model"]) == ("imported/Nomic", "Nomic")
    assert vectors_row["compared"] == len(ours)
    assert vectors_row["least_agreement"] == pytest.approx(-1)
    assert vectors_row["mean_agreement"] == pytest.approx(1 - 2 / len(ours))
    clusters = {row["clustering"]: row for row in found.filter(pl.col("subject") == "clusters").to_dicts()}
    assert len(clusters) == 2
    assert clusters[first]["mean_agreement"] == 1
    assert all(row["compared"] == len(made) for row in clusters.values())
    assert min(row["mean_agreement"] for row in clusters.values()) < 1


def test_what_was_not_imported_has_nothing_to_compare(tmp_path: Path) -> None:
    found = compare_imported(Lake(tmp_path), "demo")
    assert found.is_empty()
    assert found.columns == list(SCHEMA)
