"""The distance stage on a lake: right distances, only new pairs computed, samples that grow with the experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panic_assets.lake import Lake
from panic_assets.topology import distance_stage
from panic_assets.topology.diagram_distances import bottleneck, wasserstein
from panic_assets.topology.distance_stage import StageError, relate_experiment
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.topology.clouds import circle, figure_eight, noise
from panic_assets_tests.topology.test_stage import put, rows_of

TABLE = "diagram_distances"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def stored(lake: Lake) -> dict[tuple[int, int, int], dict[str, Any]]:
    rows = lake.read(TABLE, "small").to_pylist()
    found = {(row["homology_dimension"], row["run_a"], row["run_b"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def diagrams(lake: Lake) -> dict[tuple[int, int], np.ndarray]:
    rows = lake.read("persistence_diagrams", "small").to_pylist()
    return {
        (row["homology_dimension"], row["run_number"]): np.stack([row["births"], row["deaths"]], axis=1).astype(float)
        for row in rows
    }


def put_diagrams(lake: Lake, runs: int, model: str = "M", seed: int = 0) -> None:
    """Random diagrams of loops, without the points they would come from."""
    rng = np.random.default_rng(seed)
    rows = []
    for run in range(runs):
        births = rng.random(3)
        row = {"experiment": "small", "run_number": run, "embedding_model": model, "modality": "text"}
        row |= {"homology_dimension": 1, "births": births, "deaths": births + rng.random(3), "points": 9}
        rows.append(row | {"distinct_points": 9, "status": "complete", "seconds": 0.0})
    with lake.writer("persistence_diagrams", "small") as writer:
        writer.replace(rows, {"embedding_model": model})
        writer.commit()


def test_nothing_to_do_is_done_without_writing(lake: Lake) -> None:
    summary = relate_experiment(lake, "small")
    assert (summary.pairs, summary.computed, summary.sampled) == (0, 0, ())
    assert lake.generation(TABLE, "small") == 0


def test_distances_are_those_of_the_diagrams(lake: Lake) -> None:
    put(lake, rows_of(circle(20), 3), rows_of(noise(12, 2), 5), rows_of(figure_eight(12), 4))
    persist_experiment(lake, "small")
    summary = relate_experiment(lake, "small")
    assert (summary.pairs, summary.computed) == (9, 9)
    bars, found = diagrams(lake), stored(lake)
    assert {key[1:] for key in found} == {(3, 4), (3, 5), (4, 5)}
    for (dimension, a, b), row in found.items():
        expected = wasserstein(bars[dimension, a], bars[dimension, b])
        assert row["wasserstein_1"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        widest = None if dimension == 0 else bottleneck(bars[dimension, a], bars[dimension, b])
        assert row["bottleneck"] == widest


def test_only_pairs_with_a_new_or_changed_diagram_are_computed(lake: Lake) -> None:
    put(lake, *(rows_of(noise(8 + run, 3, seed=run), run) for run in range(4)))
    persist_experiment(lake, "small")
    assert relate_experiment(lake, "small").computed == 3 * 6
    generation, before = lake.generation(TABLE, "small"), stored(lake)
    assert relate_experiment(lake, "small").computed == 0
    assert lake.generation(TABLE, "small") == generation
    put(lake, rows_of(2 * noise(9, 3, seed=1), 1), rows_of(noise(8, 3, seed=9), 4))
    persist_experiment(lake, "small")
    told: list[tuple[int, int]] = []
    summary = relate_experiment(lake, "small", on_progress=lambda done, total: told.append((done, total)))
    after, bars = stored(lake), diagrams(lake)
    changed = [key for key in after if 1 in key[1:] or 4 in key[1:]]
    assert (summary.pairs, len(changed)) == (3 * 10, 3 * 7)
    # A scaled run without any void keeps its diagram of voids, which is empty: nothing to compute.
    assert 2 * 7 <= summary.computed <= 3 * 7
    assert told[-1] == (3, 3)
    for key, row in after.items():
        if key not in changed:
            assert row == before[key]
        expected = wasserstein(bars[key[0], key[1]], bars[key[0], key[2]])
        assert row["wasserstein_1"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_diagrams_with_and_without_a_threshold_are_infinitely_far_apart(lake: Lake) -> None:
    """No infinite death passes for a number, and no births are ignored."""
    put_diagrams(lake, 2)
    rows = lake.read("persistence_diagrams", "small").to_pylist()
    rows[1]["deaths"][0] = float("inf")
    with lake.writer("persistence_diagrams", "small") as writer:
        writer.replace(rows, {})
        writer.commit()
    relate_experiment(lake, "small")
    (row,) = stored(lake).values()
    assert (row["wasserstein_1"], row["bottleneck"]) == (np.inf, np.inf)


def test_other_settings_are_computed_again_and_what_is_gone_goes(lake: Lake) -> None:
    put_diagrams(lake, 4)
    put_diagrams(lake, 3, model="org/N")
    assert relate_experiment(lake, "small").pairs == 6 + 3
    assert relate_experiment(lake, "small", bottleneck_from=2).computed == 9
    assert all(row["bottleneck"] is None for row in lake.read(TABLE, "small").to_pylist())
    with lake.writer("persistence_diagrams", "small") as writer:
        writer.replace([], {"embedding_model": "org/N"})
        writer.commit()
    summary = relate_experiment(lake, "small", bottleneck_from=2)
    assert (summary.pairs, summary.computed) == (6, 0)


def test_of_many_runs_a_sample_is_taken_that_stays_as_the_experiment_grows(lake: Lake) -> None:
    put_diagrams(lake, 60)
    first = relate_experiment(lake, "small", whole_runs=30)
    expected = 30 * 29 / 2
    assert abs(first.pairs - expected) < 4 * np.sqrt(expected)
    assert first.sampled == ("M/text/1",)
    assert lake.properties(TABLE, "small")["sampled"] == {"M/text/1": pytest.approx(30 * 29 / (60 * 59))}
    before = set(stored(lake))
    put_diagrams(lake, 66)
    second = relate_experiment(lake, "small", whole_runs=30)
    after = set(stored(lake))
    kept = {key for key in after if max(key[1:]) < 60}
    assert kept <= before, "a smaller share takes no pair that the larger one left out"
    assert second.computed == len(after) - len(kept)
    # Every run is as likely as any other.
    assert all(2 <= sum(run in key[1:] for key in after) <= 28 for run in range(66))


def test_what_was_committed_before_a_death_is_not_computed_again(lake: Lake) -> None:
    put_diagrams(lake, 4)
    put_diagrams(lake, 4, model="N")

    def die(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        relate_experiment(lake, "small", on_progress=die)
    assert relate_experiment(lake, "small").computed == 6


def test_a_cap_that_allows_no_pair_is_refused(lake: Lake) -> None:
    with pytest.raises(StageError, match="whole_runs is 1"):
        relate_experiment(lake, "small", whole_runs=1)


def test_hashes_of_pairs_are_uniform() -> None:
    drawn = np.concatenate([distance_stage._uniform(np.int64(run), np.arange(run + 1, 300)) for run in range(300)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 45  # chi-square, 19 degrees of freedom: p = 0.0007
