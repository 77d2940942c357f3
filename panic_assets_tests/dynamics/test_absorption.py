"""Absorption: planted cycles are found as planted, and repeats that prove nothing are not called cycles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.dynamics.absorption import (
    ABSORPTION,
    Dwell,
    Repeat,
    attractor,
    compute,
    dwell_times,
    first_repeat,
    shared_probability,
    watched,
)
from panic_assets.dynamics.corpus import Corpus, Run, load_corpus
from panic_assets.dynamics.findings import Findings
from panic_assets.dynamics.stage import analyse
from panic_assets.lake import Lake
from panic_assets.loop.cycles import CycleDetector
from panic_assets_tests.dynamics.systems import run
from panic_assets_tests.dynamics.test_stage import embedded
from panic_assets_tests.loop.parts import experiment


def planted(number: int, transient: int, length: int, basin: str = "x", network: str = "A") -> Run:
    """A run of a ring of one model, stopped by the loop's own detector when it closed its cycle."""
    detector, outputs = CycleDetector(len(network.split(" -> "))), []
    for place in range(1000):
        before = place < transient
        outputs.append(f"{number}-{place}" if before else f"{basin}{(place - transient) % length}")
        found = detector.watch(place, outputs[-1])
        if found:
            return run(number, outputs, (found.transient, found.length), network)
    raise AssertionError("it never closed")


def wandering(number: int, length: int, network: str = "A", seed: int = 7) -> Run:
    return run(number, [f"{number}-{place}" for place in range(length)], network=network, seed=seed)


def corpus(folder: Path, runs: list[Run]) -> Corpus:
    return Corpus("small", tuple(runs), {}, Lake(folder))


def group(found: Findings, statistic: str, network: str = "A") -> tuple[float, int]:
    (row,) = [
        g
        for g in found.groups
        if g.statistic == statistic and g.group.network == network and g.group.prompt_number == -1
    ]
    return row.estimate.value, row.runs


def test_a_planted_cycle_of_seven_after_five(tmp_path: Path) -> None:
    found = compute(corpus(tmp_path, [planted(0, 5, 7), planted(1, 5, 7), planted(2, 9, 1), wandering(3, 40)]))
    one = {r.statistic: r for r in found.runs if r.run_number == 0}
    assert (one["transient_length"].value, one["cycle_length"].value) == (5.0, 7.0)
    assert one["absorption"].label == "cycle"
    assert one["first_text_repeat"].value == 12.0
    assert one["distinct_texts"].value == 12.0
    labels = {r.run_number: r.label for r in found.runs if r.statistic == "absorption"}
    assert labels == {0: "cycle", 1: "cycle", 2: "fixed point", 3: "open"}
    assert group(found, "absorbed_share") == (0.75, 4)
    assert group(found, "fixed_point_share") == (0.25, 4)
    assert group(found, "attractors") == (2.0, 3)
    assert group(found, "largest_basin") == (2.0, 3)
    assert group(found, "same_attractor_probability")[0] == pytest.approx(1 / 3)
    assert group(found, "median_cycle_entered")[0] == 5.0
    assert group(found, "median_cycle_closed")[0] == 12.0
    curve = next(c for c in found.curves if c.curve == "cycle_closed_by")
    assert dict(zip(curve.x, curve.values, strict=True))[10.0] == pytest.approx(0.25)
    lengths = next(c for c in found.curves if c.curve == "cycle_length_share")
    assert dict(zip(lengths.x, lengths.values, strict=True)) == pytest.approx({1.0: 1 / 3, 7.0: 2 / 3})


def test_attractors_are_the_same_wherever_they_were_entered() -> None:
    outputs = ["a", "b", "c", "d", "b", "c", "d"]
    one = run(0, outputs[:5], (1, 3), "A")
    other = run(1, ["z", "d", "b", "c", "d"], (1, 3), "A")
    assert attractor(one) == attractor(other)
    # In a ring of two the same outputs in the other places are another cycle.
    even = run(2, ["a", "b", "a"], (0, 2), "A -> B")
    odd = run(3, ["b", "a", "b"], (0, 2), "A -> B")
    assert attractor(even) != attractor(odd)
    assert attractor(wandering(4, 5)) is None


def test_repeats_of_unseeded_runs_are_no_cycles(tmp_path: Path) -> None:
    loud = [run(k, ["a", "b", "c", "a", "d", "e"], network="A", seed=-1) for k in range(4)]
    found = compute(corpus(tmp_path, loud))
    assert {r.label for r in found.runs if r.statistic == "absorption"} == {"not watched"}
    assert not [g for g in found.groups if "cycle" in g.statistic or g.statistic in {"attractors", "absorbed_share"}]
    (row,) = [g for g in found.groups if g.statistic == "median_text_repeat" and g.group.prompt_number == -1]
    assert row.estimate.value == 3.0
    assert row.method.startswith("label repeats")


def test_models_that_do_not_repeat_themselves_are_not_watched() -> None:
    seeded = run(0, ["a", "b", "a", "c"], network="A")  # came back, went on elsewhere, and no cycle was noted
    assert watched([seeded, wandering(1, 5), wandering(2, 5, "B"), wandering(3, 5, "B", seed=-1)]) == [
        False,
        False,
        True,
        False,
    ]
    settled = run(4, ["a", "a"], (0, 1), "C", seed=-1)
    assert watched([settled, wandering(5, 3, "C", seed=-1)]) == [True, True]


def test_stays_are_counted_place_by_place_and_the_last_is_open() -> None:
    assert dwell_times(["a", "a", "b", "c", "c", "c"], 1) == Dwell((2, 1), (3,))
    assert dwell_times([b"1", "a", b"2", "a", b"3", "b"], 2) == Dwell((2,), (1,))
    assert dwell_times([b"1", "a", b"1", "a", b"3", "b"], 2, bytes) == Dwell((2,), (1,))
    assert dwell_times([], 2) == Dwell((), ())
    assert first_repeat(["a", "b", "b", "a"], 2) is None
    assert first_repeat(["a", "b", "c", "b"], 2) == Repeat(1, 3)


def test_a_fixed_point_holds_its_output_until_the_longest_run_ends(tmp_path: Path) -> None:
    found = compute(corpus(tmp_path, [planted(0, 9, 1), wandering(1, 50)]))
    longest = {r.run_number: r.value for r in found.runs if r.statistic == "longest_text_dwell"}
    assert longest == {0: 41.0, 1: 1.0}


def test_the_chance_of_a_shared_attractor_holds_the_truth_in_its_interval() -> None:
    weights, inside = np.array([0.5, 0.3, 0.2]), 0
    generator = np.random.default_rng(2)
    for _ in range(100):
        names = [str(k) for k in generator.choice(3, 60, p=weights)]
        found = shared_probability(names)
        inside += bool(found.low <= np.sum(weights**2) <= found.high)
    assert 0.88 <= inside / 100 <= 0.99


def test_runs_of_a_real_loop(tmp_path: Path) -> None:
    lake = embedded(tmp_path, experiment(seeds=[7, -1]))
    summary = analyse(lake, "small", ABSORPTION)
    assert summary.rows["run_statistics"] > 0
    corpus = load_corpus(lake, "small")
    for one in corpus.runs:
        if one.transient_length is not None:
            assert one.outputs[one.transient_length] == one.outputs[one.transient_length + (one.cycle_length or 0)]


def test_runs_without_outputs_are_left_out(tmp_path: Path) -> None:
    compute(corpus(tmp_path, [run(0, []), run(1, ["a"])])).tables("small", "absorption")
