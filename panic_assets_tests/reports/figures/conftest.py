"""A lake of dummies with vectors, diagrams, clusters and what analyses write. No tests here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panic_assets.clustering.stage import cluster_lake
from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.cluster_dynamics import CLUSTER_DYNAMICS
from panic_assets.dynamics.corpus import Corpus
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.stage import Analysis, analyse
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets.topology.stage import persist_experiment
from panic_assets_tests.codec import measured
from panic_assets_tests.loop.parts import experiment, plain_pool, registry, run

NETWORKS = ("DummyT2I -> DummyI2T", "DummyT2I -> DummyI2I -> DummyI2T", "DummyT2T")


MODELS: dict[str, dict[str, int]] = {"DummyT2I": {"side": 8}, "DummyI2I": {"side": 8}, "DummyI2T": {"states": 12}}


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Experiment ``small``: three networks, 36 runs of up to 24 invocations, seeded ones end in cycles."""
    asked = experiment(
        networks=[name.split(" -> ") for name in NETWORKS],
        prompts=["a cat", "it costs $5 or $\\frac{6", "two\nlines 猫"],
        seeds=[1, 2, -1, -1],
        max_length=24,
        embedding_models=["DummyText", "DummyVision"],
        models={name: {"parameters": given} for name, given in MODELS.items()},
    )
    made = Lake(tmp_path_factory.mktemp("figures") / "lake")
    run(made, asked)
    embed_experiment(made, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    persist_experiment(made, "small")
    cluster_lake(made)
    for one in (
        CLUSTER_DYNAMICS,
        Analysis("divergence", "Divergence", "Known.", diverging),
        Analysis("sweet", "Sweet", "Known.", sweet),
    ):
        analyse(made, "small", one)
    measured.fill(made, "small")
    return made


def diverging(corpus: Corpus) -> Findings:
    """Distances that grow by 0.1 an invocation in one network, and stay at zero in another."""
    found = Findings()
    x = np.arange(1.0, 21.0, 2.0)
    growing, still = (Group("DummyText", "text", name) for name in NETWORKS[:2])
    grown = 0.05 * np.exp(0.1 * x)
    found.curves.append(Curve(growing, "distance", x, grown, "invocations", 0.8 * grown, 1.2 * grown))
    found.curves.append(Curve(still, "distance", x, np.zeros(10), "invocations"))
    estimate = Interval(0.1, 0.08, 0.12)
    found.groups.append(GroupStatistic(growing, "early_slope", estimate, 12, "known", details={"points": 6}))
    return found


def sweet(corpus: Corpus) -> Findings:
    """Curves, statistics, values and labels whose numbers are known."""
    found = Findings()
    x = np.arange(5.0)
    for number, network in enumerate(NETWORKS):
        group = Group("DummyText", "text", network)
        found.curves.append(Curve(group, "sugar", x, x + number, "spoons", x + number - 1, x + number + 1))
        found.groups.append(
            GroupStatistic(group, "sweetness", Interval(number, number - 0.5, number + 0.5), 12, "known")
        )
        narrow = Group("DummyText", "text", network, prompt_number=0)
        found.curves.append(Curve(narrow, "sugar", x, x, "spoons"))
    for one in corpus.runs:
        found.runs.append(RunStatistic(one.number, "grams", float(one.number), unit="g"))
        found.runs.append(RunStatistic(one.number, "taste", label="sweet" if one.number % 2 else "sour"))
        found.runs.append(RunStatistic(one.number, "name", label=f"run {one.number}"))
    return found


@pytest.fixture
def empty(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")
