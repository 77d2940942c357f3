"""The topology stage on a lake: what is done again, what is left, and that the rows say what the mathematics says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.lake import Lake
from panic_assets.topology.features import diagram_features
from panic_assets.topology.persistence import Diagram, persistence_diagrams
from panic_assets.topology.stage import persist_experiment, trajectories
from panic_assets_tests.topology.clouds import circle, noise

SPACE = "M@1/2/raw"
TABLES = ("persistence_diagrams", "persistence_features")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def rows_of(points: np.ndarray, run: int, **values: Any) -> list[dict[str, Any]]:
    """Rows of the table of embeddings: a prompt far away, then the points."""
    row = {"experiment": "small", "run_number": run, "embedding_model": "M", "space": SPACE, "modality": "text"}
    far = np.full((1, points.shape[1]), 50.0, np.float32)
    cloud = np.concatenate([far, points.astype(np.float32)])
    return [row | values | {"sequence_number": place, "vector": point} for place, point in enumerate(cloud, start=-1)]


def put(lake: Lake, *groups: list[dict[str, Any]]) -> None:
    with lake.writer("embeddings", "small") as writer:
        for rows in groups:
            writer.replace(rows, {name: rows[0][name] for name in ("run_number", "embedding_model", "modality")})
        writer.commit()


def stored(lake: Lake) -> dict[tuple[int, str, str, int], dict[str, Any]]:
    names = ("run_number", "embedding_model", "modality", "homology_dimension")
    rows = lake.read("persistence_diagrams", "small").to_pylist()
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows)
    return found


def generations(lake: Lake) -> list[int]:
    return [lake.generation(table, "small") for table in TABLES]


def test_nothing_to_do_is_done_without_writing(lake: Lake) -> None:
    summary = persist_experiment(lake, "small")
    assert (summary.trajectories, summary.computed, summary.status) == (0, 0, {})
    assert generations(lake) == [0, 0]


def test_diagrams_are_those_of_the_outputs_without_the_prompt(lake: Lake) -> None:
    clouds: list[np.ndarray] = [circle(20), noise(12, 2)]
    put(lake, *(rows_of(points, run) for run, points in enumerate(clouds)))
    summary = persist_experiment(lake, "small")
    assert (summary.trajectories, summary.computed, summary.status) == (2, 2, {"complete": 6})
    found = stored(lake)
    for run, points in enumerate(clouds):
        expected = persistence_diagrams(points.astype(np.float32))
        for diagram in expected.diagrams:
            row = found[run, "M", "text", diagram.homology_dimension]
            assert np.array_equal(row["births"], diagram.births)
            assert np.array_equal(row["deaths"], diagram.deaths)
            assert (row["points"], row["distinct_points"]) == (len(points), expected.distinct_points)
            assert (row["threshold"], row["status"], row["metric"]) == (None, "complete", "euclidean")
    assert len(found[0, "M", "text", 1]["births"]) == 1  # the circle


def test_features_are_those_of_the_diagrams(lake: Lake) -> None:
    put(lake, rows_of(circle(20), 0), rows_of(noise(15, 2), 1))
    persist_experiment(lake, "small")
    features = lake.read("persistence_features", "small").to_pylist()
    found = stored(lake)
    assert len(features) == len(found) == 6
    for row in features:
        of = found[row["run_number"], row["embedding_model"], row["modality"], row["homology_dimension"]]
        bars = Diagram(of["homology_dimension"], np.array(of["births"]), np.array(of["deaths"]))
        expected = diagram_features(bars)
        for name in ("bars", "infinite_bars", "total_persistence", "max_persistence", "entropy", "entropy_normalised"):
            assert row[name] == getattr(expected, name)


def test_a_second_time_nothing_is_computed_or_written(lake: Lake) -> None:
    put(lake, rows_of(circle(10), 0))
    persist_experiment(lake, "small")
    before = generations(lake)
    summary = persist_experiment(lake, "small")
    assert (summary.trajectories, summary.computed, summary.status) == (1, 0, {"complete": 3})
    assert generations(lake) == before


def test_only_what_grew_is_computed_again(lake: Lake) -> None:
    put(lake, rows_of(circle(10), 0), rows_of(circle(12), 1))
    persist_experiment(lake, "small")
    before = stored(lake)
    put(lake, rows_of(np.concatenate([circle(12), circle(6) * 3]), 1), rows_of(circle(8), 2))
    summary = persist_experiment(lake, "small")
    assert (summary.trajectories, summary.computed) == (3, 2)
    after = stored(lake)
    assert len(after) == 9
    for key, row in before.items():
        assert (after[key] == row) == (key[0] == 0)
    assert {row["points"] for key, row in after.items() if key[0] == 1} == {18}
    assert lake.read("persistence_features", "small").num_rows == 9


def test_other_points_of_equal_number_are_computed_again(lake: Lake) -> None:
    put(lake, rows_of(circle(10), 0))
    persist_experiment(lake, "small")
    put(lake, rows_of(2 * circle(10), 0))
    assert persist_experiment(lake, "small").computed == 1
    assert max(stored(lake)[0, "M", "text", 0]["deaths"][:-1]) > 1


def test_another_space_is_computed_again(lake: Lake) -> None:
    put(lake, rows_of(circle(10), 0))
    persist_experiment(lake, "small")
    put(lake, rows_of(circle(10), 0, space="M@2/2/raw"))
    assert persist_experiment(lake, "small").computed == 1


def test_texts_and_pictures_of_a_joint_model_are_two_trajectories(lake: Lake) -> None:
    """Their places alternate, as in a ring of both."""
    texts, pictures = circle(12), 3 * circle(9)
    put(lake, rows_of(texts, 0))
    put(lake, rows_of(pictures, 0, modality="image")[1:])
    held = {(t.run_number, t.modality): t.points for t in trajectories(lake, "small")}
    assert np.array_equal(held[0, "text"], texts.astype(np.float32))
    assert np.array_equal(held[0, "image"], pictures.astype(np.float32))
    assert persist_experiment(lake, "small").trajectories == 2
    assert {key[2]: row["points"] for key, row in stored(lake).items()} == {"text": 12, "image": 9}
    # One of the two grows.
    put(lake, rows_of(3 * circle(10), 0, modality="image")[1:])
    assert persist_experiment(lake, "small").computed == 1
    assert {key[2]: row["points"] for key, row in stored(lake).items()} == {"text": 12, "image": 10}


def test_each_embedding_model_has_its_own(lake: Lake) -> None:
    put(lake, rows_of(circle(10), 0))
    put(lake, rows_of(noise(8, 3), 0, embedding_model="N", space="N@1/3/raw"))
    assert persist_experiment(lake, "small").trajectories == 2
    assert {key[1]: row["points"] for key, row in stored(lake).items()} == {"M": 10, "N": 8}


@pytest.mark.parametrize("count", [1, 2])
def test_short_trajectories_have_their_rows_too(lake: Lake, count: int) -> None:
    put(lake, rows_of(circle(count), 0))
    status = "too_few_points" if count < 2 else "complete"
    assert persist_experiment(lake, "small").status == {status: 3}
    assert stored(lake)[0, "M", "text", 0]["points"] == count


def test_a_prompt_alone_is_no_trajectory(lake: Lake) -> None:
    put(lake, rows_of(circle(5), 0)[:1])
    assert persist_experiment(lake, "small").trajectories == 0


def test_progress_counts_what_is_to_be_done(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panic_assets.topology.stage._CHUNK", 2)
    put(lake, *(rows_of(circle(4 + run), run) for run in range(5)))
    told: list[tuple[int, int]] = []
    persist_experiment(lake, "small", on_progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert {key[0]: row["points"] for key, row in stored(lake).items()} == {run: 4 + run for run in range(5)}


def test_what_was_committed_before_a_death_is_not_computed_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panic_assets.topology.stage._CHUNK", 1)
    put(lake, *(rows_of(circle(5), run) for run in range(3)))

    def die(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        persist_experiment(lake, "small", on_progress=die)
    assert {key[0] for key in stored(lake)} == {0, 1}
    assert persist_experiment(lake, "small").computed == 1
    assert {key[0] for key in stored(lake)} == {0, 1, 2}
    assert lake.read("persistence_features", "small").num_rows == 9


def test_a_diagram_that_costs_too_much_is_cut_and_marked(lake: Lake) -> None:
    put(lake, rows_of(noise(150, 40), 0), rows_of(noise(10, 40), 1))
    summary = persist_experiment(lake, "small", budget_seconds=0.2, workers=1)
    assert summary.status["complete"] == 3
    row = stored(lake)[0, "M", "text", 0]
    assert row["status"] in ("thresholded", "incomplete")
    assert row["points"] == 150
