"""Databases of both eras become partitions: every row, vector, pixel and bar, and no more."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from panic_assets.errors import PanicError
from panic_assets.interop.panic_tda.importer import ImportFailed
from panic_assets.interop.panic_tda.mapping import run_identity
from panic_assets.interop.panic_tda.schema import TABLES as SOURCE_TABLES
from panic_assets.lake import PartitionLocked, images
from panic_assets.loop.ids import invocation_id
from panic_assets_tests.interop.panic_tda.databases import (
    ELIXIR_VARIANTS,
    PYTHON_VARIANTS,
    Built,
    elixir_database,
    python_database,
)
from panic_assets_tests.interop.panic_tda.imports import (
    bring,
    broken_rules,
    everything,
    generations,
    lake_of,
    quarantined,
    written_report,
)

BUILDERS = {"python": python_database, "elixir": elixir_database}
ALL = [("python", variant) for variant in PYTHON_VARIANTS] + [("elixir", variant) for variant in ELIXIR_VARIANTS]


def build(folder: Path, era: str = "python", **values: Any) -> Built:
    return BUILDERS[era](folder / f"{era}.sqlite", **values)


def by_source(data: Path, table: str) -> dict[str, dict[str, Any]]:
    return {row["source_id"]: row for row in lake_of(data).read(table).to_pylist()}


@pytest.mark.parametrize(("era", "variant"), ALL)
def test_a_database_becomes_exactly_its_rows(era: str, variant: str, tmp_path: Path) -> None:
    built = build(tmp_path, era, variant=variant, experiments=1 + (variant in ("created", "final")), runs=1)
    content, lake = built.content, lake_of(tmp_path / "data")
    report = bring(built.path, tmp_path / "data")
    assert not report.kinds
    assert broken_rules(tmp_path / "data") == []
    keys = {row["source_id"]: row["experiment"] for row in lake.read("imported_experiments").to_pylist()}
    assert set(keys) == {e.source_id for e in content.experiments}

    runs = by_source(tmp_path / "data", "imported_runs")
    planned = {(row["experiment"], row["run_number"]): row for row in lake.read("runs").to_pylist()}
    assert len(planned) == len(runs) == len(content.runs)
    for run in content.runs:
        held = runs[run.source_id]
        plan = planned[held["experiment"], held["run_number"]]
        assert held["experiment"] == keys[run.experiment_id]
        assert plan["run_id"] == run_identity(run.source_id)
        assert (plan["models"], plan["prompt"], plan["max_length"]) == (
            run.network,
            run.initial_prompt,
            run.max_length,
        )
        assert plan["seed"] == (-1 if run.seed is None else run.seed)
        assert (held["source_seed"], held["source_run_number"]) == (run.seed, run.run_number)
        assert held["inserted_at"] == run.times.inserted_at
    check_invocations(built, tmp_path / "data", runs, planned)
    check_embeddings(built, tmp_path / "data")
    check_the_rest(built, tmp_path / "data", runs)


def check_invocations(built: Built, data: Path, runs: dict[str, Any], planned: dict[Any, Any]) -> None:
    lake, content = lake_of(data), built.content
    rows = {(r["experiment"], r["run_number"], r["sequence_number"]): r for r in lake.read("invocations").to_pylist()}
    sources = by_source(data, "imported_invocations")
    pictures = {(row["experiment"], row["image_hash"]): row for row in lake.read("images").to_pylist()}
    assert len(rows) == len(sources) == len(content.invocations)
    first: dict[Any, Any] = {}
    for invocation in content.invocations:
        own = sources[invocation.source_id]
        place = (own["experiment"], own["run_number"], own["sequence_number"])
        row = rows[place]
        assert place[:2] == (runs[invocation.run_id]["experiment"], runs[invocation.run_id]["run_number"])
        assert place[2] == invocation.sequence_number
        assert row["invocation_id"] == invocation_id(planned[place[:2]]["run_id"], place[2])
        assert (row["model"], row["type"], row["text"]) == (invocation.model, invocation.type, invocation.text)
        seed = invocation.seed if invocation.seed not in (None, -1) else None
        times = (row["started_at"], row["completed_at"], own["inserted_at"], own["updated_at"])
        assert row["seed"] == seed
        assert times == tuple(vars(invocation.times).values())
        assert own["input_source_id"] == invocation.input_id
        assert [row[name] for name in ("batch_size", "device", "model_seconds", "retries")] == [None] * 4
        if invocation.image is not None:
            picture = pictures[place[0], row["image_hash"]]
            pixels = content.pixels[invocation.source_id]
            assert row["image_hash"] == images.pixel_hash(pixels)
            assert np.array_equal(images.decode(picture["image"]), pixels)
            assert (picture["height"], picture["width"]) == pixels.shape[:2]
            assert picture["format"] == ("webp-lossless" if invocation.image[:4] == b"RIFF" else "avif")
            key = (place[0], row["image_hash"])
            first[key] = min(first.get(key, place), place)
    assert {key: (key[0], p["run_number"], p["sequence_number"]) for key, p in pictures.items()} == first
    stored = {picture["image"] for picture in pictures.values()}
    assert stored <= {invocation.image for invocation in content.invocations}


def check_embeddings(built: Built, data: Path) -> None:
    lake = lake_of(data)
    places = {r["source_id"]: r for r in lake.read("imported_invocations").to_pylist()}
    media = {i.source_id: i.type for i in built.content.invocations}
    held = {
        (r["experiment"], r["run_number"], r["sequence_number"], r["embedding_model"]): r
        for r in lake.read("embeddings").to_pylist()
    }
    sources = by_source(data, "imported_embeddings")
    assert len(held) == len(sources) == len(built.content.embeddings)
    for embedding in built.content.embeddings:
        own, parent = sources[embedding.source_id], places[embedding.invocation_id]
        place = (*(parent[name] for name in ("experiment", "run_number", "sequence_number")),)
        row = held[(*place, f"imported/{embedding.embedding_model}")]
        assert (own["experiment"], own["run_number"], own["sequence_number"]) == place
        assert np.array_equal(np.asarray(row["vector"], np.float32), embedding.vector)
        assert row["modality"] == media[embedding.invocation_id]
        assert embedding.vector is not None
        dimension = len(embedding.vector)
        assert row["space"] == f"imported/{embedding.embedding_model}@unknown/{dimension}/normalised"
        assert (own["started_at"], own["completed_at"]) == (
            embedding.times.started_at,
            embedding.times.completed_at,
        )


def check_the_rest(built: Built, data: Path, runs: dict[str, Any]) -> None:
    lake, content = lake_of(data), built.content
    diagrams = {(r["source_id"], r["homology_dimension"]): r for r in lake.read("imported_diagrams").to_pylist()}
    assert len(diagrams) == 3 * len(content.diagrams)
    for diagram in content.diagrams:
        assert diagram.diagrams is not None
        assert diagram.entropy is not None
        for dimension, bars in enumerate(diagram.diagrams):
            row = diagrams[diagram.source_id, dimension]
            assert row["run_number"] == runs[diagram.run_id]["run_number"]
            assert row["embedding_model"] == f"imported/{diagram.embedding_model}"
            assert np.array_equal(np.stack([row["births"], row["deaths"]], axis=1), bars.reshape(-1, 2))
            assert row["entropy"] == diagram.entropy[dimension]
            assert row["more"] == (diagram.more if dimension == 0 else None)
    assignments = by_source(data, "imported_assignments")
    embeddings = by_source(data, "imported_embeddings")
    assert len(assignments) == len(content.assignments)
    for assignment in content.assignments:
        row, parent = assignments[assignment.source_id], embeddings[assignment.embedding_id]
        for name in ("experiment", "run_number", "sequence_number", "embedding_model"):
            assert row[name] == parent[name]
        assert (row["clustering_source_id"], row["medoid_source_id"]) == (
            assignment.clustering_id,
            assignment.medoid_embedding_id,
        )
    clusterings = {r["clustering_source_id"]: r for r in lake.read("imported_clusterings").to_pylist()}
    assert {name: (row["algorithm"], row["layer"]) for name, row in clusterings.items()} == {
        c.source_id: (c.algorithm, c.layer) for c in content.clusterings
    }
    exponents = by_source(data, "imported_exponents")
    assert {x.source_id: (x.exponent, x.r_squared, x.divergence_curve) for x in content.exponents} == {
        name: (row["exponent"], row["r_squared"], row["divergence_curve"]) for name, row in exponents.items()
    }


@pytest.mark.parametrize("era", ["python", "elixir"])
def test_outcomes_say_why_runs_ended(era: str, tmp_path: Path) -> None:
    built = build(tmp_path, era)
    bring(built.path, tmp_path / "data")
    runs = by_source(tmp_path / "data", "imported_runs")
    outcomes = {(r["experiment"], r["run_number"]): r for r in lake_of(tmp_path / "data").read("outcomes").to_pylist()}
    found = {}
    for source_id, run in runs.items():
        outcome = outcomes[run["experiment"], run["run_number"]]
        found[source_id] = outcome["stop_reason"]
        assert (outcome["cycle_length"] is not None) == (outcome["stop_reason"] == "cycle")
        duplicate = outcome["stop_reason"] in ("cycle", "duplicate")
        assert run["source_stop_reason"] == ("duplicate" if duplicate else outcome["stop_reason"])
        assert (run["source_loop_length"] is not None) == duplicate
        assert [outcome[name] for name in ("shared", "retries", "model_seconds", "events")] == [None] * 4
    assert found == built.content.stops


def test_a_second_import_writes_nothing(tmp_path: Path) -> None:
    built = build(tmp_path)
    first = bring(built.path, tmp_path / "data")
    before = generations(tmp_path / "data")
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "data" / "experiments").iterdir()}
    # The same database elsewhere, under another name.
    again = bring(built.path.rename(tmp_path / "moved.sqlite"), tmp_path / "data")
    assert generations(tmp_path / "data") == before
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data" / "experiments").iterdir()} == files
    assert again.tally.plain == first.tally.plain
    assert not again.written


def test_a_dry_run_reports_the_same_and_writes_nothing(tmp_path: Path) -> None:
    built = build(tmp_path, corruptions=["null_output", "orphan_diagram", "truncated_image"])
    dry = bring(built.path, tmp_path / "data", dry_run=True)
    assert not (tmp_path / "data").exists()
    real = bring(built.path, tmp_path / "data")
    assert dry.facts == real.facts
    assert dry.folder is None


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    built = build(tmp_path, corruptions=["null_output", "vector_with_nan", "orphan_run", "malformed_prompts"])
    report = bring(built.path, tmp_path / "data")
    with sqlite3.connect(built.path) as connection:
        for table, count in report.source.items():
            ((rows,),) = connection.execute(f"SELECT count(*) FROM {SOURCE_TABLES['python'][table]}").fetchall()
            assert count == rows == report.tally.rows(table), table
    kept = quarantined(report)
    assert len(kept) == report.tally.all_of("rejected") > 4
    assert written_report(report) == report.facts


def test_diagrams_may_be_left_out_and_brought_in_later(tmp_path: Path) -> None:
    built = build(tmp_path, corruptions=["truncated_diagram"])
    without = bring(built.path, tmp_path / "data", skip_diagrams=True)
    lake = lake_of(tmp_path / "data")
    assert lake.read("imported_diagrams").num_rows == 0
    assert without.tally.of("diagrams", "skipped") == len(built.content.diagrams)
    later = bring(built.path, tmp_path / "data")
    assert set(later.written) == {"imported_diagrams", "imported_runs"}
    bring(built.path, tmp_path / "other")
    assert everything(tmp_path / "data") == everything(tmp_path / "other")
    # What is there stays when they are left out again.
    before = generations(tmp_path / "data")
    bring(built.path, tmp_path / "data", skip_diagrams=True)
    assert generations(tmp_path / "data") == before


def test_one_experiment_of_several(tmp_path: Path) -> None:
    built = build(tmp_path, experiments=3)
    chosen = built.content.experiments[1].source_id
    report = bring(built.path, tmp_path / "data", experiments=(chosen,))
    held = lake_of(tmp_path / "data").read("imported_experiments").to_pylist()
    assert [row["source_id"] for row in held] == [chosen]
    assert report.tally.of("experiments", "skipped") == 2
    with pytest.raises(ImportFailed, match="no experiment begins so"):
        bring(built.path, tmp_path / "data", experiments=("ffff",))
    with pytest.raises(ImportFailed, match="3 experiments begin so"):
        bring(built.path, tmp_path / "data", experiments=(chosen[:4],))
    rest = bring(built.path, tmp_path / "data")
    assert rest.tally.of("experiments", "imported") == 3
    assert lake_of(tmp_path / "data").read("runs").num_rows == len(built.content.runs)


def test_a_name_that_something_else_bears_is_left_to_it(tmp_path: Path) -> None:
    built = build(tmp_path, experiments=1)
    source_id = built.content.experiments[0].source_id
    folder = tmp_path / "data" / "experiments"
    folder.mkdir(parents=True)
    (folder / f"tda-{source_id[:8]}.yaml").write_text("networks: [[DummyT2I, DummyI2T]]\n")
    bring(built.path, tmp_path / "data")
    assert lake_of(tmp_path / "data").experiments("runs") == [f"tda-{source_id[:9]}"]


def test_the_file_of_an_import_can_be_changed_by_a_person(tmp_path: Path) -> None:
    built = build(tmp_path, experiments=1)
    bring(built.path, tmp_path / "data")
    (path,) = (tmp_path / "data" / "experiments").iterdir()
    values = yaml.safe_load(path.read_text())
    assert (values["imported_from"], values["embedding_models"]) == ("panic-tda", [])
    path.write_text(yaml.safe_dump(values | {"embedding_models": ["DummyText"]}))
    before = path.read_text()
    bring(built.path, tmp_path / "data")
    assert path.read_text() == before


def test_somebody_else_at_work_is_not_disturbed(tmp_path: Path) -> None:
    built = build(tmp_path, experiments=1)
    bring(built.path, tmp_path / "data")
    lake = lake_of(tmp_path / "data")
    (key,) = lake.experiments("runs")
    with lake.writer("embeddings", key), pytest.raises(PartitionLocked):
        bring(built.path, tmp_path / "data")


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\0" + b"\0" * 200])
def test_what_is_no_database_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.sqlite"
    path.write_bytes(content)
    with pytest.raises(PanicError, match=r"some\.sqlite"):
        bring(path, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_being_written_is_read_as_of_one_moment(tmp_path: Path) -> None:
    built = build(tmp_path)
    with sqlite3.connect(built.path) as writing:
        writing.execute("PRAGMA journal_mode=WAL")
        writing.execute("DELETE FROM embeddingcluster")  # not committed
        report = bring(built.path, tmp_path / "data")
        assert report.tally.of("assignments", "imported") == len(built.content.assignments)
        writing.rollback()
    assert broken_rules(tmp_path / "data") == []
