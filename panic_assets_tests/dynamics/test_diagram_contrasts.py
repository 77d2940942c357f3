"""The analysis of distances on a lake: which rows come out for which runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from panic_assets.dynamics.corpus import Corpus, Run
from panic_assets.dynamics.diagram_contrasts import diagram_contrasts, stored_distances
from panic_assets.dynamics.findings import Findings, GroupStatistic
from panic_assets.lake import Lake
from panic_assets.topology.distance_stage import relate_experiment
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.topology.clouds import circle, noise
from panic_assets_tests.topology.test_stage import put, rows_of

NETWORKS = ("A -> B", "C -> D")


def runs(prompts: int = 2, seeds: tuple[int, ...] = (7, 8, 9), networks: int = 2) -> list[Run]:
    made: list[Run] = []
    for network in NETWORKS[:networks]:
        for prompt in range(prompts):
            for seed in seeds:
                models = tuple(network.split(" -> "))
                made.append(Run(len(made), network, models, prompt, "", seed, 0, "length", None, None, ()))
    return made


def cloud(run: Run, shift: int = 0) -> np.ndarray:
    """The first network goes round in circles, the second anywhere."""
    jitter = noise(16, 2, seed=100 * shift + run.number)
    return circle(16) + 0.1 * jitter if run.network == NETWORKS[0] else 2 * jitter


def corpus(folder: Path, made: list[Run], models: tuple[str, ...] = ("M",), **values: Any) -> Corpus:
    lake = Lake(folder)
    for shift, model in enumerate(models):
        put(lake, *(rows_of(cloud(run, shift), run.number, embedding_model=model) for run in made))
    persist_experiment(lake, "small")
    relate_experiment(lake, "small", **values)
    return Corpus("small", tuple(made), {}, lake)


def found(findings: Findings, statistic: str, contrast: str = "", network: str = "") -> GroupStatistic:
    (row,) = [
        row
        for row in findings.groups
        if (row.statistic, row.group.contrast, row.group.network) == (statistic, contrast, network)
        and row.group.prompt_number == -1
    ]
    return row


def test_networks_of_different_shapes_are_told_apart_and_prompts_are_not(tmp_path: Path) -> None:
    findings = diagram_contrasts(corpus(tmp_path, runs()), 99, 100)
    network = found(findings, "r_squared_h1", "network")
    assert network.p_value is not None
    assert network.p_value <= 0.05
    assert network.p_adjusted is not None
    assert network.p_value <= network.p_adjusted <= 1
    assert found(findings, "separation_h1", "network").estimate.low > 0
    prompt = found(findings, "r_squared_h1", "prompt")
    assert prompt.p_value is not None
    assert prompt.p_value > 0.05
    assert (network.runs, found(findings, "r_squared_h1", "prompt", NETWORKS[1]).runs) == (12, 6)
    keys = [(row.group, row.statistic) for row in findings.groups]
    assert len(set(keys)) == len(keys) == 3 * 2 * (1 + 3 + 3)
    assert findings.tables("small", "diagram_contrasts")["dynamics"]


def test_embedding_models_that_see_the_same_agree(tmp_path: Path) -> None:
    findings = diagram_contrasts(corpus(tmp_path, runs(), ("M", "N")), 99, 100)
    row = found(findings, "mantel_h1", "M x N")
    assert row.runs == 12
    assert row.estimate.value > 0.3
    assert (row.group.embedding_model, row.group.modality) == ("", "text")
    assert row.p_value is not None  # the networks differ, but within them the two clouds have nothing in common
    assert row.p_value > 0.05


def test_unseeded_runs_have_no_seed_in_common(tmp_path: Path) -> None:
    findings = diagram_contrasts(corpus(tmp_path, runs(seeds=(-1, -1, -1))), 19, 20)
    row = found(findings, "r_squared_h0", "seed")
    assert (row.runs, row.details) == (0, {"why": "needs two labels, and one of two runs or more"})
    assert found(findings, "r_squared_h0", "prompt").p_value is not None


def test_one_network_and_one_run_are_no_trouble(tmp_path: Path) -> None:
    for number, made in enumerate((runs(networks=1), runs(1, (7,), 1), [])):
        held = corpus(tmp_path / str(number), made)
        findings = diagram_contrasts(held, 19, 20)
        findings.tables("small", "diagram_contrasts")
        assert all(row.group.network in ("", NETWORKS[0]) for row in findings.groups)


def censor(held: Corpus, run: int) -> None:
    """Make the diagrams of one run look as if they had been cut."""
    rows = held.lake.read("persistence_diagrams", "small").to_pylist()
    for row in rows:
        if row["run_number"] == run:
            row |= {"status": "thresholded", "threshold": 0.1}
    with held.lake.writer("persistence_diagrams", "small") as writer:
        writer.replace(rows, {})
        writer.commit()


def test_censored_diagrams_are_left_out(tmp_path: Path) -> None:
    held = corpus(tmp_path, runs())
    censor(held, 3)
    assert all(3 not in {run.number for run in distances.runs} for distances in stored_distances(held))


def test_runs_that_never_move_have_nothing_to_compare(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    made = runs(1)
    put(lake, *(rows_of(np.ones((5, 2)), run.number) for run in made))
    persist_experiment(lake, "small")
    relate_experiment(lake, "small")
    held = Corpus("small", tuple(made), {}, lake)
    told = diagram_contrasts(held, 19, 20).tables("small", "diagram_contrasts")["dynamics"]
    assert {row["value"] for row in told} == {None}
    assert all(json.loads(row["details"])["why"] for row in told)
