"""The analysis of clusters in time, on planted labels and on a real lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from panic_assets.clustering.stage import cluster_lake
from panic_assets.dynamics import markov
from panic_assets.dynamics.cluster_dynamics import CLUSTER_DYNAMICS, cluster_dynamics
from panic_assets.dynamics.corpus import Corpus
from panic_assets.dynamics.findings import Findings, GroupStatistic
from panic_assets.dynamics.stage import analyse
from panic_assets.dynamics.symbols import LabelledRun, labelled_spaces
from panic_assets.lake import Lake
from panic_assets_tests.dynamics.test_core_sets import PLANTED, chains
from panic_assets_tests.dynamics.test_stage import ASKED, embedded
from panic_assets_tests.dynamics.test_symbols import labelled

IDS = [bytes([number]) * 16 for number in range(3)]


def planted(folder: Path, runs: Sequence[LabelledRun], identity: bytes = IDS[1], day: int = 2) -> Corpus:
    """A lake with a clustering that gives runs these labels, added to what is there."""
    lake = Lake(folder)
    own = {"clustering_id": identity, "embedding_model": "M", "modality": "text"}
    assignments = [
        own
        | {"experiment": "small", "run_number": one.run.number, "sequence_number": place}
        | {"cluster": label, "probability": 1.0, "assigned_later": False}
        for one in runs
        for place, label in zip(one.sequence_numbers.tolist(), one.labels.tolist(), strict=True)
    ]
    clustering = own | {
        "space": "M@1/8/normalised",
        "algorithm": "planted",
        "parameters": "{}",
        "points": len(assignments),
        "distinct_points": len(assignments),
        "clusters": 3,
        "outlier_share": 0.0,
        "created_at": datetime(2026, 1, day, tzinfo=UTC),
    }
    for table, rows in (("cluster_assignments", assignments), ("clusterings", [clustering])):
        with lake.writer(table) as writer:
            writer.append(rows)
            writer.commit()
    return Corpus("small", tuple(one.run for one in runs), {}, lake)


def told(findings: Findings, statistic: str, contrast: str = "") -> GroupStatistic:
    (found,) = [g for g in findings.groups if g.statistic == statistic and g.group.contrast == contrast]
    return found


def test_a_planted_chain_is_told_with_its_uncertainty_in_invocations(tmp_path: Path) -> None:
    runs = [
        labelled(own.tolist(), number, stride=2, first=1) for number, own in enumerate(chains(PLANTED, 60, 150, seed=4))
    ]
    findings = cluster_dynamics(planted(tmp_path, runs))
    truth = markov.stationary(PLANTED)
    for state in range(3):
        found = told(findings, "stationary_probability", f"cluster={state}")
        assert found.estimate.low - 0.03 < truth[state] < found.estimate.high + 0.03
    lag = told(findings, "slowest_timescale").details
    assert lag is not None
    assert lag["validated"]
    assert told(findings, "slowest_timescale").estimate.value == pytest.approx(
        2 * markov.timescales(PLANTED, 1)[0], rel=0.25
    )
    # It is found in whole lags, so that it may be one lag too long besides its error.
    mixing = told(findings, "mixing_time").estimate.value
    assert mixing == pytest.approx(2 * markov.mixing_time(PLANTED), abs=lag["lag_invocations"] + 4)
    assert told(findings, "mean_dwell").unit == "invocations"
    # Mean dwell in a state is 1 / (1 - T_ii) labels of two invocations each; all states together: by passages out.
    dwell = 2 / (markov.stationary(PLANTED) @ (1 - np.diag(PLANTED)))
    assert told(findings, "mean_dwell").estimate.value == pytest.approx(dwell, rel=0.15)
    balance = told(findings, "flux_asymmetry")
    assert balance.p_value is not None
    assert {curve.curve for curve in findings.curves} >= {
        "dwell_survival",
        "implied_timescale_2",
        "chapman_kolmogorov_seen",
        "chapman_kolmogorov_predicted",
    }
    (survival,) = [curve for curve in findings.curves if curve.curve == "dwell_survival"]
    assert survival.x[0] == 2
    assert (np.diff(survival.values) <= 0).all()
    (middle,) = [g for g in findings.groups if g.statistic == "committor"]
    assert 0 < middle.estimate.value < 1


def test_no_passage_leads_from_one_run_to_the_next(tmp_path: Path) -> None:
    """Labels sorted so that every join of two runs would be a passage that no run has."""
    runs = [labelled([number, number, -1, number], number) for number in range(3)]
    findings = cluster_dynamics(planted(tmp_path, runs))
    rows = [row for row in findings.transitions if row["kind"] == "bigram"]
    expected = {(n, n): 1 for n in range(3)} | {(n, -1): 1 for n in range(3)} | {(-1, n): 1 for n in range(3)}
    assert {(row["from_state"], row["to_state"]): row["count"] for row in rows} == expected
    assert sum(row["count"] for row in rows) == sum(len(one.labels) - 1 for one in runs)
    by_core = {(r["from_state"], r["to_state"]): r["count"] for r in findings.transitions if r["kind"] == "core"}
    assert by_core == {(n, n): 3 for n in range(3)}, "milestones: an outlier is still in the core before it"
    assert told(findings, "absorbing_classes").estimate.value == 3
    assert told(findings, "absorbed_share", "cluster=1").estimate.value == pytest.approx(1 / 3)
    assert told(findings, "mixing_time").details == {
        "why": "core states with ways both ways between them: 1; it takes two"
    }


def test_shares_of_passages_have_intervals_over_runs(tmp_path: Path) -> None:
    runs = [labelled(own.tolist(), number) for number, own in enumerate(chains(PLANTED, 30, 100, seed=8))]
    rows = [r for r in cluster_dynamics(planted(tmp_path, runs)).transitions if r["kind"] == "bigram"]
    assert len(rows) == 9
    for row in rows:
        assert row["low"] <= row["probability"] <= row["high"]
        assert row["probability"] == pytest.approx(PLANTED[row["from_state"], row["to_state"]], abs=0.05)


def test_networks_are_apart_and_a_cycle_goes_on(tmp_path: Path) -> None:
    runs = [
        labelled([0, 1, 0, 1, 0], 0, cycle=(0, 2)),
        labelled([2, 0, 1] * 20, 1),
        labelled([5] * 30, 2, network="C -> D"),
    ]
    corpus = planted(tmp_path, runs)
    findings = cluster_dynamics(corpus)
    assert {row["network"] for row in findings.transitions} == {"A -> B", "C -> D"}
    core = sum(r["count"] for r in findings.transitions if (r["network"], r["kind"], r["lag"]) == ("A -> B", "core", 1))
    assert core == 59 + 59
    stored = cluster_dynamics(corpus, along_cycles=False).transitions
    assert sum(r["count"] for r in stored if (r["network"], r["kind"], r["lag"]) == ("A -> B", "core", 1)) == 4 + 59


@pytest.mark.parametrize("labels", [[[3]], [[-1, -1]], [[0], [1]], [[0, 1] * 10], [[0] * 5, [1]], [[0, 1, 2] * 9] * 4])
def test_odd_runs_raise_nothing(tmp_path: Path, labels: list[list[int]]) -> None:
    runs = [labelled(own, number) for number, own in enumerate(labels)]
    findings = cluster_dynamics(planted(tmp_path, runs))
    assert findings.tables("small", "cluster_dynamics")["dynamics"]
    assert sum(row["count"] for row in findings.transitions if row["kind"] == "bigram") == sum(
        len(own) - 1 for own in labels
    )


def test_the_newest_clustering_counts(tmp_path: Path) -> None:
    planted(tmp_path, [labelled([7, 7, 7])], IDS[0], day=1)
    corpus = planted(tmp_path, [labelled([1, 2, 2])], IDS[1], day=3)
    (space,) = labelled_spaces(corpus.lake, "small", corpus.runs)
    assert (space.clustering_id, space.runs[0].labels.tolist()) == (IDS[1], [1, 2, 2])
    assert labelled_spaces(corpus.lake, "other", corpus.runs) == []


def test_it_is_made_again_when_clusters_changed(tmp_path: Path) -> None:
    lake = embedded(tmp_path, ASKED)
    assert analyse(lake, "small", CLUSTER_DYNAMICS).rows["dynamics"] == 0
    cluster_lake(lake)
    made = analyse(lake, "small", CLUSTER_DYNAMICS)
    assert made.computed
    assert made.rows["dynamics"] > 0
    assert lake.read("transitions", "small").num_rows > 0
    assert not analyse(lake, "small", CLUSTER_DYNAMICS).computed
