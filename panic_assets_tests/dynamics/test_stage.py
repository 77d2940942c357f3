"""The way of an analysis: what it is given, what becomes of its findings, when it is made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from panic_assets.devices.local import LocalDevice
from panic_assets.dynamics.corpus import Corpus, NothingToAnalyse, load_corpus
from panic_assets.dynamics.findings import Curve, Findings, Group, GroupStatistic, Interval, RunStatistic
from panic_assets.dynamics.stage import Analysis, analyse
from panic_assets.experiment import Experiment
from panic_assets.lake import Lake
from panic_assets.loop.embedding import embed_experiment
from panic_assets.loop.planning import resolve_models
from panic_assets_tests.loop.parts import experiment, fresh, plain_pool, registry, run


def embedded(folder: Path, asked: Experiment) -> Lake:
    """A lake with the loops and vectors of an experiment."""
    lake = Lake(folder) if folder.exists() else fresh(folder, asked)
    run(lake, asked)
    embed_experiment(lake, asked, resolve_models(asked, registry()), [LocalDevice(plain_pool())])
    return lake


ASKED = experiment(prompts=[{"text": "a boat", "category": "control"}, "a hill"], seeds=[7, -1])


def test_a_corpus_holds_every_output_and_every_vector_in_order(tmp_path: Path) -> None:
    asked = experiment(prompts=["a boat", "a hill"], seeds=[7, -1], embedding_models=["DummyText", "DummyVision"])
    corpus = load_corpus(embedded(tmp_path, asked), "small")
    assert [run.number for run in corpus.runs] == [0, 1, 2, 3]
    assert [(space.embedding_model, space.modality) for space in corpus.spaces] == [
        ("DummyText", "text"),
        ("DummyVision", "image"),
    ]
    embedder = plain_pool().get(registry()["DummyText"])
    texts, pictures = corpus.spaces
    for trajectory in texts.trajectories:
        outputs = [trajectory.run.outputs[place] for place in trajectory.sequence_numbers]
        assert outputs == [output for output in trajectory.run.outputs if isinstance(output, str)]
        assert np.array_equal(trajectory.vectors, embedder.embed(outputs, "text"))
        assert trajectory.prompt is not None
        assert np.array_equal(trajectory.prompt, embedder.embed([trajectory.run.prompt], "text")[0])
    assert all(t.prompt is None and (t.sequence_numbers % 2 == 0).all() for t in pictures.trajectories)
    assert [len(group) for group in texts.by_network().values()] == [4]


def test_tags_come_with_the_corpus(tmp_path: Path) -> None:
    assert load_corpus(embedded(tmp_path, ASKED), "small").tags == {0: {"category": "control"}, 1: {}}


def test_an_experiment_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(NothingToAnalyse, match="no runs of an experiment 'small'"):
        load_corpus(Lake(tmp_path), "small")


def _count(corpus: Corpus) -> Findings:
    """Lengths of runs, as a stand-in for a statistic."""
    lengths = [len(run.outputs) for run in corpus.runs]
    group = Group(network=corpus.runs[0].network)
    return Findings(
        runs=[RunStatistic(r.number, "length", float(len(r.outputs)), unit="invocations") for r in corpus.runs],
        groups=[
            GroupStatistic(group, "mean", Interval(float(np.mean(lengths)), 1.0, 99.0), len(lengths), "mean", "x"),
            GroupStatistic(group, "unknown", Interval(float("nan")), 0, "none", details={"why": "no data"}),
        ],
        curves=[
            Curve(group, "one", np.arange(3), np.array([1.0, np.nan, 3.0]), "steps"),
            Curve(group, "two", np.arange(2), np.ones(2), "steps", np.zeros(2), np.full(2, 2.0), run_number=1),
        ],
    )


COUNT = Analysis("count", "Lengths", "How long runs are.", _count)


def test_findings_become_rows_and_what_can_not_be_told_is_null(tmp_path: Path) -> None:
    lake = embedded(tmp_path, ASKED)
    summary = analyse(lake, "small", COUNT)
    assert summary.computed
    assert summary.rows == {"run_statistics": 4, "dynamics": 2, "curves": 5}
    assert {row["value"] for row in lake.read("run_statistics", "small").to_pylist()} <= {12.0}
    mean, unknown = lake.read("dynamics", "small").to_pylist()
    assert (mean["value"], mean["low"], mean["high"], mean["confidence"], mean["runs"]) == (12.0, 1.0, 99.0, 0.95, 4)
    assert (unknown["value"], unknown["low"], json.loads(unknown["details"])) == (None, None, {"why": "no data"})
    points = lake.read("curves", "small").to_pylist()
    assert [(p["curve"], p["run_number"], p["x"], p["value"], p["high"]) for p in points] == [
        ("one", -1, 0.0, 1.0, None),
        ("one", -1, 1.0, None, None),
        ("one", -1, 2.0, 3.0, None),
        ("two", 1, 0.0, 1.0, 2.0),
        ("two", 1, 1.0, 1.0, 2.0),
    ]


def test_an_analysis_is_made_again_only_when_its_data_or_its_meaning_changed(tmp_path: Path) -> None:
    lake = embedded(tmp_path, ASKED)
    analyse(lake, "small", COUNT)
    again = analyse(lake, "small", COUNT)
    assert not again.computed
    assert again.rows == {"run_statistics": 4, "dynamics": 2, "curves": 5}
    other = Analysis("other", "Others", "The same under another name.", _count)
    assert analyse(lake, "small", other).computed
    assert not analyse(lake, "small", COUNT).computed, "another analysis in the same tables changes nothing"
    assert analyse(lake, "small", Analysis("count", "Lengths", "Longer.", _count, version=2)).computed
    run(lake, experiment(prompts=ASKED.prompts, seeds=[7, -1, 8]))
    assert analyse(lake, "small", COUNT).rows["run_statistics"] == 6
    assert lake.read("run_statistics", "small", where={"analysis": "count"}).num_rows == 6
