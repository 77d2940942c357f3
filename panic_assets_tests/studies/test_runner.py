"""Running a study with real trainings: failures stop nothing, limits hold, nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panic_assets.lake import PartitionLocked
from panic_assets.lake.locks import locked
from panic_assets.studies import stage
from panic_assets.studies.bench import Bench
from panic_assets.studies.runner import LOCK, StudySummary, TrialNews
from panic_assets_tests.studies.small import SEARCH, write


def train(data: Path, **values: Any) -> tuple[StudySummary, list[TrialNews]]:
    write(data, "small", **values)
    bench = Bench(data)
    news: list[TrialNews] = []
    summary = stage.train(bench, bench.files.study("small"), news.append)
    assert summary.trained == sum(one.is_new for one in news)
    return summary, news


def states_told(data: Path) -> dict[str, str]:
    """State of each trial at the platform; nothing may have gone astray."""
    with Bench(data).store() as store:
        assert store.dead_letters() == []
        return {row.trial_id: row.state for row in store.trials("small")}


def test_a_study_is_trained_once_and_grows(tmp_path: Path) -> None:
    summary, news = train(tmp_path)
    assert (summary.trained, summary.left, summary.states) == (4, 0, {"completed": 4})
    assert [(one.place, one.total) for one in news] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert states_told(tmp_path) == dict.fromkeys(summary.trials, "completed")
    again, _ = train(tmp_path)
    assert (again.trained, again.measured, again.trials, again.best) == (0, 0, summary.trials, summary.best)
    grown, _ = train(tmp_path, comparison={"pairs": 3})
    assert (grown.trained, grown.trials[:4]) == (2, summary.trials)
    assert grown.model_run_id != summary.model_run_id
    lake = Bench(tmp_path).lake
    assert lake.read("trials", "small").num_rows == 6
    assert lake.read("model_runs", "small").num_rows == 2
    # What another form of the study had is no more of it.
    other, _ = train(tmp_path, comparison={"seeds": [5, 6]})
    assert (other.trained, lake.read("trials", "small").num_rows) == (4, 4)


def test_other_settings_of_measures_measure_anew_and_train_nothing(tmp_path: Path) -> None:
    summary, _ = train(tmp_path)
    bench = Bench(tmp_path)
    before = [record.measured for record in stage.records(bench, "small")]
    evaluation = {"pgd_steps": 1, "noise_draws": 1, "most_rows": 8, "epsilons": {"l2": [0.3], "linf": [0.02]}}
    bench.trials("small").checkpoint(summary.trials[0]).unlink()
    anew, _ = train(tmp_path, evaluation=evaluation)
    assert (anew.trained, anew.measured, anew.model_run_id) == (0, 4, summary.model_run_id)
    stage.write_robustness(bench, "small")
    rows = bench.lake.read("robustness", "small", where={"attack": "pgd", "norm": "l2"}).to_pylist()
    assert {(row["epsilon"], row["rows"]) for row in rows} == {(0.3, 8)}
    # What was trained again, as its checkpoint was gone, is the same model.
    assert bench.trials("small").checkpoint(summary.trials[0]).is_file()
    train(tmp_path)
    for first, second in zip(before, stage.records(bench, "small"), strict=True):
        assert first is not None
        assert second.measured is not None
        assert second.measured.layers == first.layers


def test_trials_that_diverge_or_break_stop_nothing(tmp_path: Path) -> None:
    arms = {
        "none": {},
        "wild": {"learning_rate": 10.0, "width": 64, "layers": 8, "epochs": 4},
        "huge": {"kind": "cnn", "layers": 30},
    }
    summary, news = train(tmp_path, arms=arms, claim=None)
    assert summary.left == 0
    by_arm = {one.record.trial.arm: one.record for one in news}
    assert by_arm["none"].state == "completed"
    for arm in ("wild", "huge"):
        if by_arm[arm].state != "completed":
            assert by_arm[arm].reason
    assert states_told(tmp_path) == {one.record.trial.trial_id: one.record.state for one in news}
    assert stage.compare(Bench(tmp_path), Bench(tmp_path).files.study("small")) is None


def test_a_trial_with_an_error_of_its_own_is_failed_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panic_assets.studies.training import loop

    inner = loop.layer_sigmas

    def broken(model: Any) -> dict[str, float]:
        if any(isinstance(layer, loop.nn.Dropout) and layer.p for layer in model):
            raise ValueError("the weights are not a matrix")
        return inner(model)

    monkeypatch.setattr(loop, "layer_sigmas", broken)
    summary, news = train(tmp_path, arms={"none": {}, "dropout": {"dropout": 0.5}}, claim=None)
    assert summary.states == {"completed": 2, "failed": 2}
    failed = [one.record for one in news if one.record.state == "failed"]
    assert {(r.trial.arm, r.error_type, r.reason) for r in failed} == {
        ("dropout", "ValueError", "ValueError: the weights are not a matrix")
    }
    assert sorted(states_told(tmp_path).values()) == ["completed", "completed", "failed", "failed"]
    assert train(tmp_path, arms={"none": {}, "dropout": {"dropout": 0.5}}, claim=None)[0].trained == 0


def test_limits_of_time(tmp_path: Path) -> None:
    late, _ = train(tmp_path, budget={"seconds_per_trial": 1e-9})
    assert late.states == {"timed_out": 4}
    assert set(states_told(tmp_path).values()) == {"timed_out"}
    reason = stage.compare(Bench(tmp_path), Bench(tmp_path).files.study("small"))
    assert reason is not None
    assert "no completed trial of the arm 'none'" in reason


def test_a_spent_budget_leaves_the_rest_for_later(tmp_path: Path) -> None:
    cut, _ = train(tmp_path, budget={"seconds": 1e-9})
    assert (cut.trained, cut.left) == (1, 3)
    assert cut.why is not None
    assert "budget.seconds is 1e-09; raise it" in cut.why
    with Bench(tmp_path).store() as store:
        assert [row.state for row in store.model_runs("small")] == ["running"]
    rest, _ = train(tmp_path)
    assert (rest.trained, rest.left, rest.model_run_id) == (3, 0, cut.model_run_id)
    with Bench(tmp_path).store() as store:
        assert [row.state for row in store.model_runs("small")] == ["completed"]


def test_a_stop_in_the_middle_of_a_trial_records_nothing_of_it(tmp_path: Path) -> None:
    write(tmp_path, "small")
    bench = Bench(tmp_path)
    asked = iter([False, False, False, False, False, True])
    summary = stage.train(bench, bench.files.study("small"), should_stop=lambda: next(asked))
    assert (summary.trained, summary.left, summary.why) == (1, 3, "it was asked to stop")
    assert sorted(states_told(tmp_path).values()) == ["completed", "running"]
    assert train(tmp_path)[0].trained == 3
    assert set(states_told(tmp_path).values()) == {"completed"}


def test_a_search_feeds_the_comparison(tmp_path: Path) -> None:
    values = {"search": SEARCH, "comparison": {"pairs": 2, "hyperparameters": "searched"}}
    summary, news = train(tmp_path, **values)
    assert summary.requested == len(news) == 10
    found = [one.record for one in news if one.record.trial.mode == "search"]
    assert {record.measured for record in found} == {None}
    for arm in ("none", "spectral_norm"):
        own = [r for r in found if r.trial.arm == arm and r.state == "completed"]
        best = min(own, key=lambda r: r.metrics["validation_loss"])
        assert summary.searched[arm] == best.trial.hyperparameters
        compared = [one.record for one in news if one.record.trial.mode == "comparison"]
        assert {r.trial.hyperparameters for r in compared if r.trial.arm == arm} == {best.trial.hyperparameters}


def test_a_search_alone_measures_the_best_of_each_arm(tmp_path: Path) -> None:
    summary, _ = train(tmp_path, search=SEARCH, comparison=None, claim=None)
    measured = [record for record in stage.records(Bench(tmp_path), "small") if record.measured]
    assert summary.measured == len(measured) == 2
    assert {record.trial.arm for record in measured} == {"none", "spectral_norm"}


def test_a_platform_that_lost_its_store_is_told_all_again(tmp_path: Path) -> None:
    summary, _ = train(tmp_path)
    for path in (tmp_path / "training").glob("events.db*"):
        path.unlink()
    assert train(tmp_path)[0].trained == 0
    assert states_told(tmp_path) == dict.fromkeys(summary.trials, "completed")
    with Bench(tmp_path).store() as store:
        assert [row.state for row in store.model_runs("small")] == ["completed"]
        assert len(store.artifacts("small")) == 4


def test_one_process_trains_a_study_at_a_time(tmp_path: Path) -> None:
    write(tmp_path, "small")
    with locked(tmp_path / "training" / "small" / LOCK), pytest.raises(PartitionLocked):
        train(tmp_path)


def test_steps_before_training_say_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "small")
    with pytest.raises(stage.NotTrained, match="panic study run small"):
        stage.write_metrics(Bench(tmp_path), "small")
    (tmp_path / "training" / "small").mkdir(parents=True)
    (tmp_path / "training" / "small" / "summary.json").write_text("{}")
    with pytest.raises(stage.NotTrained, match=r"summary\.json can't be read"):
        stage.write_lipschitz(Bench(tmp_path), "small")
