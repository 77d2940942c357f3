"""Logging beside training: what arrives, and how little an outage costs."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from panic_assets.studies.tracking import MlflowLog, Tracking
from panic_assets.studies.tracking.mlflow_log import Rest
from panic_assets_tests.studies.tracking.parts import ARMS, EPOCHS, epoch_values, trial
from panic_assets_tests.studies.tracking.server import MlflowServer, free_port


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Silent:
    """A server that takes connections and never answers; ``connections`` counts them."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.connections.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for one in self.connections:
            one.close()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    one = Silent()
    yield one
    one.close()


def test_every_arm_is_logged_whole(
    mlflow: MlflowServer, tracking: Tracking, study: str, files: Path, clock: Clock
) -> None:
    log = MlflowLog(mlflow.uri, study, "run-1", platform="http://panic.test/", clock=clock)
    client = MlflowClient(tracking_uri=mlflow.uri)
    trials = [trial(study, arm, 3) for arm in ARMS]
    run_ids = []
    for one in trials:
        run_ids.append(log.start(one))
        for step in range(EPOCHS):
            log.metrics(one.trial_id, step, epoch_values(step) | {"bad": math.nan, "worse": math.inf})
        checkpoint = files / f"{one.trial_id}.safetensors"
        checkpoint.write_bytes(one.arm.encode())
        log.artifact(one.trial_id, checkpoint)
        log.finish(one.trial_id, "completed", {"test_loss": 0.5})
    figure = files / "figure.svg"
    figure.write_text("<svg/>")
    log.study_artifact(figure)
    log.close("completed")
    assert (log.status.failures, log.status.problem) == (0, None)

    runs = {run_id: client.get_run(run_id) for run_id in run_ids if run_id}
    assert len(runs) == len(ARMS)
    for one, run_id in zip(trials, run_ids, strict=True):
        run = runs[str(run_id)]
        assert run.data.params["spectral_norm"] == ("true" if one.arm == "spectral_norm" else "false")
        assert (run.data.params["width"], run.data.params["learning_rate"]) == ("8", "0.001")
        assert len(run.data.params) == 13
        tags = run.data.tags
        assert (tags["trial_id"], tags["model_run_id"], tags["constraint_method"]) == (one.trial_id, "run-1", one.arm)
        assert (tags["panic.arm"], tags["panic.pair"], tags["panic.mode"]) == (one.arm, "3", "comparison")
        assert tags["panic.url"] == f"http://panic.test/studies/{study}/trials/{one.trial_id}"
        assert tags["mlflow.parentRunId"] == log.parent
        assert run.info.status == "FINISHED"
        for name, value in epoch_values(2).items():
            history = client.get_metric_history(run_id, name)
            assert [(point.step, point.value) for point in history][-1] == (2, value)
            assert len(history) == EPOCHS
        assert math.isnan(run.data.metrics["bad"])
        assert run.data.metrics["worse"] > 1e308
        assert run.data.metrics["final/test_loss"] == 0.5
        assert tracking.artifacts(str(run_id)) == {f"{one.trial_id}.safetensors": len(one.arm)}
    parent = client.get_run(log.parent)
    assert (parent.info.status, parent.info.experiment_id) == ("FINISHED", log.experiment_id)
    assert "figure.svg" in tracking.artifacts(str(log.parent))


def test_a_trial_begun_again_keeps_its_run(mlflow: MlflowServer, tracking: Tracking, study: str) -> None:
    """As after a kill in the middle of it, by another process."""
    one = trial(study)
    first = MlflowLog(mlflow.uri, study, "run-1").start(one)
    tracking.finish(str(first), "KILLED")
    log = MlflowLog(mlflow.uri, study, "run-1")
    assert log.start(one) == first
    assert [(run.run_id, run.status) for run in tracking.runs(study, "trial_id", one.trial_id)] == [(first, "RUNNING")]
    assert len(tracking.runs(study)) == 2, "the trial's, and one in which it is nested"


def test_measurements_go_together(mlflow: MlflowServer, study: str, clock: Clock) -> None:
    one = trial(study)
    log = MlflowLog(mlflow.uri, study, "run-1", interval=2.0, clock=clock)
    log.start(one)
    before = log.status.attempts
    for step in range(50):
        clock.now += 0.1
        log.metrics(one.trial_id, step, {"loss": 1.0})
    assert log.status.attempts - before == 2
    log.finish(one.trial_id, "completed")
    assert log.status.attempts - before == 4
    run_id = Tracking(mlflow.uri).runs(study, "trial_id", one.trial_id)[0].run_id
    found = Tracking(mlflow.uri).histories([run_id], "loss")[run_id]
    assert [point.step for point in found] == list(range(50))


def test_an_outage_costs_a_few_attempts_an_hour(study: str, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand epochs of a hundred trials within an hour, and MLflow is not there."""
    log = MlflowLog(f"http://127.0.0.1:{free_port()}", study, "run-1", rest=Rest(15.0, 300.0), clock=clock)
    for pair in range(100):
        one = trial(study, pair=pair)
        assert log.start(one) is None
        for step in range(100):
            clock.now += 0.36
            log.metrics(one.trial_id, step, epoch_values(step))
        log.artifact(one.trial_id, Path("nowhere"))
        log.finish(one.trial_id, "completed", {"loss": 1.0})
    log.close("completed")
    assert clock.now == pytest.approx(3600)
    # Rests of 15, 30, 60, 120 and 240 seconds, then of 300.
    assert 11 <= log.status.attempts <= 1 + 5 + (3600 - 465) // 300
    assert log.status.failures == log.status.attempts
    assert log.status.skipped > 1000
    assert "Is it running" in str(log.status.problem)
    assert caplog.text.count("made up for later") == 1


def test_rests_double_up_to_the_longest() -> None:
    rest = Rest(15.0, 300.0)
    assert [rest.after(failures) for failures in range(1, 8)] == [15, 30, 60, 120, 240, 300, 300]
    assert rest.after(10**9) == 300


def test_a_silent_server_is_asked_once_for_each_attempt(
    silent: Silent, study: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own seven retries with pauses would be pauses of the training."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    log = MlflowLog(silent.uri, study, "run-1", clock=clock)
    one = trial(study)
    assert log.start(one) is None
    for step in range(1000):
        log.metrics(one.trial_id, step, {"loss": 1.0})
    log.finish(one.trial_id, "completed")
    assert (log.status.attempts, len(silent.connections)) == (1, 1)
    clock.now += 15
    assert log.start(trial(study, pair=1)) is None
    assert (log.status.attempts, len(silent.connections)) == (2, 2)


def test_what_waited_is_sent_when_mlflow_is_back(mlflow: MlflowServer, study: str, clock: Clock) -> None:
    one, late = trial(study), trial(study, pair=1)
    log = MlflowLog(mlflow.uri, study, "run-1", interval=1.0, clock=clock)
    run_id = str(log.start(one))
    mlflow.stop()
    for step in range(3):
        clock.now += 1.0
        log.metrics(one.trial_id, step, {"loss": float(step)})
    assert log.status.failures == 1
    assert log.start(late) is None
    mlflow.start()
    log.metrics(one.trial_id, 3, {"loss": 3.0})
    log.metrics(late.trial_id, 0, {"loss": 0.0})
    assert log.run_id(late.trial_id) is None, "it rests still"
    clock.now += 15
    log.metrics(one.trial_id, 4, {"loss": 4.0})
    log.metrics(late.trial_id, 1, {"loss": 1.0})
    found = Tracking(mlflow.uri).histories([run_id, str(log.run_id(late.trial_id))], "loss")
    assert {key: [point.value for point in points] for key, points in found.items()} == {
        run_id: [0.0, 1.0, 2.0, 3.0, 4.0],
        str(log.run_id(late.trial_id)): [0.0, 1.0],
    }
    assert log.status.problem is None
    log.metrics("unknown", 0, {"loss": 1.0})
    log.finish("unknown", "completed")
