"""The clustering of a lake: what is pooled, when it is made anew, what is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.clustering.density import Parameters
from panic_assets.clustering.stage import ClusteringSummary, cluster_lake
from panic_assets.lake import Lake, connect
from panic_assets.lake.rules import RULES, judge

TABLES = ("clusterings", "clusters", "cluster_assignments")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def vectors(count: int, seed: int) -> np.ndarray:
    """Two blobs by turns, float32 (count, 8)."""
    noise = 0.05 * np.random.default_rng(seed).standard_normal((count, 8))
    return (np.eye(8)[np.arange(count) % 2] + noise).astype(np.float32)


def put(lake: Lake, experiment: str, count: int = 24, seed: int = 0, **values: Any) -> None:
    """Embeddings of one run of texts, after its prompt, and the texts."""
    row = {"experiment": experiment, "run_number": 0, "embedding_model": "M", "space": "M@1/8/normalised"}
    row |= {"modality": "text"} | values
    points = [
        row | {"sequence_number": place, "vector": vector}
        for place, vector in enumerate(vectors(count, seed), start=-1)
    ]
    with lake.writer("embeddings", experiment) as writer:
        writer.append(points)
        writer.commit()
    if row["modality"] == "text" and not lake.read("invocations", experiment).num_rows:
        with lake.writer("invocations", experiment) as writer:
            writer.append([_invocation(experiment, place) for place in range(count - 1)])
            writer.commit()


def _invocation(experiment: str, place: int) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "run_number": 0,
        "sequence_number": place,
        "invocation_id": bytes(16),
        "model": "T",
        "type": "text",
        "seed": 1,
        "batch_size": 1,
        "text": f"{experiment} says {place}",
        "flags": [],
        "model_seconds": 0.0,
        "retries": 0,
        "started_at": NOW,
        "completed_at": NOW,
    }


def broken(lake: Lake) -> list[str]:
    with connect(lake.root) as connection:
        rules = [rule for rule in RULES if rule.asset == "clusters"]
        return [rule.name for rule in rules if not judge(connection, rule).holds]


def ids(lake: Lake) -> set[bytes]:
    return set(lake.read("clusterings").column("clustering_id").to_pylist())


def test_an_empty_lake_has_nothing_to_cluster(lake: Lake) -> None:
    assert cluster_lake(lake) == []
    assert ids(lake) == set()


def test_tables_tell_of_one_clustering(lake: Lake) -> None:
    put(lake, "first")
    put(lake, "second", seed=1)
    expected = ClusteringSummary("M", "text", "M@1/8/normalised", 46, 46, 2, 0.0, recomputed=True, computed=46)
    assert cluster_lake(lake) == [expected]
    (clustering,) = lake.read("clusterings").to_pylist()
    assert (clustering["points"], clustering["clusters"], clustering["space"]) == (46, 2, "M@1/8/normalised")
    assert json.loads(clustering["parameters"])["min_cluster_size"] == 5
    clusters = lake.read("clusters").to_pylist()
    assert [row["cluster"] for row in clusters] == [0, 1]
    assert [row["share"] for row in clusters] == [row["size"] / 46 for row in clusters]
    for row in clusters:
        assert row["medoid_text"] == f"{row['medoid_experiment']} says {row['medoid_sequence_number']}"
    assignments = lake.read("cluster_assignments").to_pylist()
    places = {(row["experiment"], row["run_number"], row["sequence_number"]) for row in assignments}
    # Prompts, at -1, are not pooled.
    assert places == {(name, 0, place) for name in ("first", "second") for place in range(23)}
    by_parity = {(row["sequence_number"] % 2, row["cluster"]) for row in assignments}
    assert len(by_parity) == 2
    assert broken(lake) == []


def test_nothing_is_computed_or_written_again(lake: Lake) -> None:
    put(lake, "first")
    cluster_lake(lake)
    generations = [lake.generation(table) for table in TABLES]
    (summary,) = cluster_lake(lake)
    assert not summary.recomputed
    assert (summary.points, summary.clusters) == (23, 2)
    assert [lake.generation(table) for table in TABLES] == generations


def test_new_points_make_a_new_clustering_and_the_old_one_goes(lake: Lake) -> None:
    put(lake, "first")
    cluster_lake(lake)
    before = ids(lake)
    put(lake, "second", seed=1)
    assert [s.recomputed for s in cluster_lake(lake)] == [True]
    assert len(ids(lake)) == 1
    assert not ids(lake) & before
    for table in TABLES:
        assert set(lake.read(table).column("clustering_id").to_pylist()) == ids(lake)
    assert broken(lake) == []


def test_the_identity_is_that_of_points_and_parameters(lake: Lake, tmp_path: Path) -> None:
    other = Lake(tmp_path / "other")
    for place in (lake, other):
        put(place, "first")
        cluster_lake(place)
    assert ids(lake) == ids(other)
    assert [s.recomputed for s in cluster_lake(lake, Parameters(floor=6))] == [True]
    assert not ids(lake) & ids(other)


def test_models_spaces_and_modalities_are_apart(lake: Lake) -> None:
    put(lake, "first")
    put(lake, "first", run_number=1, modality="image", seed=1)
    put(lake, "first", embedding_model="N", space="N@1/8/normalised", seed=2)
    put(lake, "second", space="M@2/8/normalised", seed=3)
    summaries = cluster_lake(lake)
    assert [(s.embedding_model, s.modality, s.space, s.points) for s in summaries] == [
        ("M", "image", "M@1/8/normalised", 23),
        ("M", "text", "M@1/8/normalised", 23),
        ("M", "text", "M@2/8/normalised", 23),
        ("N", "text", "N@1/8/normalised", 23),
    ]
    assert len(ids(lake)) == 4
    medoids = {(row["modality"], row["medoid_text"] is None) for row in lake.read("clusters").to_pylist()}
    assert medoids == {("image", True), ("text", False)}
    assert broken(lake) == []


def test_only_what_changed_is_computed(lake: Lake) -> None:
    put(lake, "first")
    put(lake, "first", embedding_model="N", space="N@1/8/normalised", seed=2)
    cluster_lake(lake)
    before = ids(lake)
    put(lake, "second", embedding_model="N", space="N@1/8/normalised", seed=4)
    assert {s.embedding_model: s.recomputed for s in cluster_lake(lake)} == {"M": False, "N": True}
    assert len(ids(lake) & before) == 1
    assert broken(lake) == []


def test_what_is_no_longer_in_the_lake_goes(lake: Lake) -> None:
    put(lake, "first")
    cluster_lake(lake)
    lake.delete("embeddings", "first")
    assert cluster_lake(lake) == []
    assert [lake.read(table).num_rows for table in TABLES] == [0, 0, 0]


def test_a_death_between_two_tables_is_made_good(lake: Lake) -> None:
    put(lake, "first")
    cluster_lake(lake)
    # As if it had ended after the assignments of a new clustering, before its clusters and its entry in the list.
    put(lake, "second", seed=1)
    cluster_lake(lake)
    with lake.writer("clusterings") as writer:
        writer.replace([], {})
        writer.commit()
    with lake.writer("clusters") as writer:
        writer.replace([], {})
        writer.commit()
    assert set(broken(lake)) == {"assignments_have_their_cluster"}
    assert [s.recomputed for s in cluster_lake(lake)] == [True]
    assert lake.read("cluster_assignments").num_rows == 46
    assert broken(lake) == []


def assigned(lake: Lake) -> dict[tuple[str, int, int], tuple[int, bool]]:
    rows = lake.read("cluster_assignments").to_pylist()
    return {
        (row["experiment"], row["run_number"], row["sequence_number"]): (row["cluster"], row["assigned_later"])
        for row in rows
    }


def test_a_few_new_points_join_the_clusters_that_there_are(lake: Lake) -> None:
    put(lake, "first", count=81)
    cluster_lake(lake)
    before, identity = assigned(lake), ids(lake)
    medoids = [row["medoid_text"] for row in lake.read("clusters").to_pylist()]
    put(lake, "second", count=11, seed=1)
    (summary,) = cluster_lake(lake)
    assert (summary.recomputed, summary.points, summary.assigned_later, summary.computed) == (False, 90, 10, 10)
    after = assigned(lake)
    assert ids(lake) == identity
    assert {place: after[place] for place in before} == before
    assert {late for place, (_, late) in after.items() if place[0] == "second"} == {True}
    # The two blobs come by turns and have kept their numbers; some points lie too far out for any.
    by_parity = {(place % 2, after["first", 0, place][0]) for place in range(80)}
    joined = {(place[2] % 2, label) for place, (label, late) in after.items() if late and label != -1}
    assert joined == {pair for pair in by_parity if pair[1] != -1}
    assert [row["medoid_text"] for row in lake.read("clusters").to_pylist()] == medoids
    (row,) = lake.read("clusterings").to_pylist()
    assert json.loads(row["corpus"]) == {"pooled": 80, "clustered": {"first": 80}}
    assert broken(lake) == []
    generations = [lake.generation(table) for table in TABLES]
    assert cluster_lake(lake)[0].computed == 0
    assert [lake.generation(table) for table in TABLES] == generations


def test_counts_of_clusters_are_counts_of_their_rows(lake: Lake) -> None:
    put(lake, "first", count=81)
    cluster_lake(lake)
    put(lake, "second", count=11, seed=1)
    cluster_lake(lake)
    (row,) = lake.read("clusterings").to_pylist()
    labels = [label for label, _ in assigned(lake).values()]
    clusters = lake.read("clusters").to_pylist()
    assert row["clusters"] == len(clusters) == len(set(labels) - {-1})
    assert [one["size"] for one in clusters] == [labels.count(one["cluster"]) for one in clusters]
    assert row["points"] == len(labels)
    assert row["outlier_share"] == pytest.approx(labels.count(-1) / len(labels))


def test_points_are_clustered_anew_when_asked_for_or_outgrown(lake: Lake) -> None:
    put(lake, "first", count=81)
    cluster_lake(lake)
    before = ids(lake)
    put(lake, "second", count=11, seed=1)
    assert not cluster_lake(lake)[0].recomputed
    (summary,) = cluster_lake(lake, force=True)
    assert (summary.recomputed, summary.assigned_later) == (True, 0)
    assert not ids(lake) & before
    assert not cluster_lake(lake, force=True)[0].recomputed, "nothing is new"
    put(lake, "third", count=30, seed=2)
    assert cluster_lake(lake)[0].recomputed, "29 on 90 are more than a fifth"
    assert broken(lake) == []


def test_points_that_go_take_their_rows_and_those_of_the_corpus_end_the_clustering(lake: Lake) -> None:
    put(lake, "first", count=81)
    cluster_lake(lake)
    before = ids(lake)
    put(lake, "second", count=11, seed=1)
    cluster_lake(lake)
    lake.delete("embeddings", "second")
    (summary,) = cluster_lake(lake)
    assert (summary.points, summary.assigned_later, ids(lake)) == (80, 0, before)
    assert broken(lake) == []
    put(lake, "second", count=11, seed=1)
    cluster_lake(lake)
    lake.delete("embeddings", "first")
    assert cluster_lake(lake)[0].recomputed
    assert broken(lake) == []


def test_a_death_while_new_points_were_written_is_made_good(lake: Lake) -> None:
    put(lake, "first", count=81)
    cluster_lake(lake)
    held = lake.read("clusterings")
    put(lake, "second", count=11, seed=1)
    cluster_lake(lake)
    with lake.writer("clusterings") as writer:
        writer.replace(held, {})
        writer.commit()
    assert broken(lake) == ["cluster_sizes_add_up"]
    cluster_lake(lake)
    assert broken(lake) == []


def test_a_large_pool_is_clustered_by_its_landmarks(lake: Lake) -> None:
    put(lake, "first", count=201)
    (summary,) = cluster_lake(lake, Parameters(landmarks=80))
    assert (summary.points, summary.assigned_later, summary.distinct_points, summary.clusters) == (200, 120, 80, 2)
    assert summary.outlier_share < 0.15
    labels = assigned(lake)
    assert len({(place[2] % 2, label) for place, (label, _) in labels.items() if label != -1}) == 2
    assert broken(lake) == []
    assert not cluster_lake(lake, Parameters(landmarks=80), force=True)[0].recomputed


def test_stability_and_diagnostics_are_recorded(lake: Lake) -> None:
    for run_number in range(6):
        put(lake, "first", count=31, seed=run_number, run_number=run_number, modality="image")
    (summary,) = cluster_lake(lake)
    assert summary.stability is not None
    assert summary.stability > 0.9
    assert min(row["recovery"] for row in lake.read("clusters").to_pylist()) > 0.9
    (row,) = lake.read("clusterings").to_pylist()
    assert json.loads(row["diagnostics"])["sweep"][1]["clusters"] == 2
