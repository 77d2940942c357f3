"""MLflow is stopped and started in the middle of a study: in the end both sides agree on every trial."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow import MlflowClient

from panic_assets.studies.client import Client, LocalTransport
from panic_assets.studies.events.store import EventStore, open_store
from panic_assets.studies.records import Trial
from panic_assets.studies.tracking import MlflowLog
from panic_assets.studies.tracking.contents import STATUS
from panic_assets.studies.tracking.linking import tell_links
from panic_assets.studies.tracking.reconcile import Reconciled, reconcile
from panic_assets_tests.studies.tracking.parts import ARMS, EPOCHS, epoch_values, trial
from panic_assets_tests.studies.tracking.server import MlflowServer


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = open_store(f"sqlite:///{tmp_path / 'events.db'}")
    yield store
    store.close()


class Study:
    """Trains as the runner does, but for the training: the platform is told first, MLflow afterwards."""

    def __init__(self, client: Client, log: MlflowLog, files: Path) -> None:
        self.client, self.log, self.files = client, log, files

    def begin(self, one: Trial) -> None:
        run_id = self.log.start(one)
        self.client.trial_started(
            self.log.model_run_id,
            one.trial_id,
            one.hyperparameters.spectral_norm,
            parameters=asdict(one.hyperparameters),
            mode=one.mode,
            arm=one.arm,
            pair=one.pair,
            seed=one.seed,
            mlflow_run_id=run_id,
        )

    def epoch(self, one: Trial, step: int) -> None:
        values = epoch_values(step) | {"validation_loss": math.nan if step == 1 else 0.5}
        self.client.metrics(one.trial_id, step, values)
        self.log.metrics(one.trial_id, step, values)

    def end(self, one: Trial) -> None:
        file = self.files / f"{one.trial_id}.safetensors"
        file.write_bytes(one.trial_id.encode())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self.client.artifact_created(
            self.log.model_run_id,
            "checkpoint",
            file.as_uri(),
            checksum=digest,
            size=file.stat().st_size,
            media_type="application/octet-stream",
            trial_id=one.trial_id,
        )
        final = {"test_loss": 0.25, "seconds": 1.5}
        if one.arm == "dropout":
            self.client.trial_failed(one.trial_id, "no memory", error_type="OOM", metrics=final)
        else:
            self.client.trial_completed(one.trial_id, final, mlflow_run_id=self.log.run_id(one.trial_id))
        self.log.artifact(one.trial_id, file)
        self.log.finish(one.trial_id, "failed" if one.arm == "dropout" else "completed", final)


def test_both_sides_agree_after_an_outage_in_the_middle(
    mlflow: MlflowServer, study: str, files: Path, store: EventStore, tmp_path: Path
) -> None:
    trials = [trial(study, arm, pair) for pair in range(2) for arm in ARMS]
    now = 0.0
    log = MlflowLog(mlflow.uri, study, "run-1", interval=0.0, clock=lambda: now)
    with Client(LocalTransport(store.deliver), tmp_path / "outbox.db", study=study) as client:
        client.run_started("run-1", len(trials))
        training = Study(client, log, files)
        for number, one in enumerate(trials):
            training.begin(one)
            for step in range(EPOCHS):
                if (number, step) == (3, 1):
                    mlflow.stop()
                if (number, step) == (6, 2):
                    mlflow.start()
                    now += 3600.0
                training.epoch(one, step)
            training.end(one)
        assert client.flush() == 0
        assert log.status.failures > 0

        done = agreed(store, mlflow, study)
        assert done.agreed_before < done.trials == len(trials)
        assert (done.share, done.disagreements) == (1.0, ())
        assert {one.kind for one in done.found} >= {"run_missing", "metric_missing", "status", "artifact_missing"}
        assert tell_links(client, store.trials(study), done.links) == len(done.links) > 0
        assert client.flush() == 0

    again = agreed(store, mlflow, study)
    assert (again.share_before, again.created, again.links) == (1.0, 0, {})
    assert store.dead_letters() == []
    rows = store.trials(study)
    assert len(rows) == len(trials)
    for row in rows:
        the_same(MlflowClient(tracking_uri=mlflow.uri), store, row.trial_id, study, tmp_path)


def agreed(store: EventStore, mlflow: MlflowServer, study: str) -> Reconciled:
    return reconcile(store.trials(study), store.metrics(study=study), mlflow.uri, artifacts=store.artifacts(study))


def the_same(client: MlflowClient, store: EventStore, trial_id: str, study: str, folder: Path) -> None:
    """Compare both sides by their own means, without anything of the reconciliation."""
    row = store.trial(trial_id, study)
    assert row is not None
    experiment = client.get_experiment_by_name(f"panic/{study}")
    (run,) = client.search_runs([experiment.experiment_id], f"tags.trial_id = '{trial_id}'")
    assert run.info.run_id == row.mlflow_run_id
    assert run.info.status == STATUS[row.state]
    assert run.data.params["spectral_norm"] == str(row.spectral_norm).lower()
    assert {key: str(value) for key, value in row.parameters.items() if isinstance(value, int | float)}.items() <= {
        key: {"true": "True", "false": "False"}.get(value, value) for key, value in run.data.params.items()
    }.items()
    assert run.data.params.keys() == row.parameters.keys()
    tags = run.data.tags
    assert (tags["model_run_id"], tags["panic.arm"], tags["panic.pair"]) == (row.model_run_id, row.arm, str(row.pair))
    assert client.get_run(tags["mlflow.parentRunId"]).data.tags["model_run_id"] == row.model_run_id
    there = {
        (name, point.step): None if math.isnan(point.value) else point.value
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    }
    here = {(metric.metric, metric.step): metric.value for metric in store.metrics(trial_id, study)}
    final = {(f"final/{name}", 0): value for name, value in row.metrics.items()}
    assert there == here | final
    assert len(here) == EPOCHS * 4
    (artifact,) = [one for one in store.artifacts(study) if one.trial_id == trial_id]
    copied = Path(client.download_artifacts(run.info.run_id, f"{trial_id}.safetensors", str(folder)))
    assert hashlib.sha256(copied.read_bytes()).hexdigest() == artifact.checksum
