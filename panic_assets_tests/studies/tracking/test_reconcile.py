"""Reconciliation sees every kind of disagreement in a real MLflow, and mends what can be mended."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from panic_assets.studies.tracking import Tracking, TrackingError
from panic_assets.studies.tracking.histories import Measured
from panic_assets.studies.tracking.reconcile import Reconciled, reconcile
from panic_assets_tests.studies.tracking.parts import Rows, artifact_row, metric_rows, rows, trial, trial_row
from panic_assets_tests.studies.tracking.server import MlflowServer

Harm = Callable[[MlflowServer, str, str], object]


def reconciled(these: Rows, tracking: Tracking | str, mend: bool = True) -> Reconciled:
    return reconcile(these.trials, these.metrics, tracking, artifacts=these.artifacts, mend=mend)


def known_runs(these: Rows, done: Reconciled) -> Rows:
    """The rows once the platform was told of the runs."""
    runs = {row.trial_id: done.links.get(row.trial_id, row.mlflow_run_id) for row in these.trials}
    return replace(these, trials=[replace(row, mlflow_run_id=runs[row.trial_id]) for row in these.trials])


def kinds(done: Reconciled) -> set[str]:
    return {one.kind for one in done.found}


def sql(mlflow: MlflowServer, statement: str, *values: str) -> None:
    """Change what no client of MLflow can."""
    with sqlite3.connect(mlflow.database, timeout=30) as connection:
        changed = connection.execute(statement, values).rowcount
    assert changed > 0
    connection.close()


def stored_file(mlflow: MlflowServer, run_id: str, name: str) -> Path:
    return next((mlflow.folder / "artifacts").rglob(f"{run_id}/artifacts/{name}"))


def of(mlflow: MlflowServer) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow.local_uri)


def lose_a_param(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    sql(mlflow, "DELETE FROM params WHERE run_uuid = ? AND key = 'spectral_norm'", run_id)


def change_a_param(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    sql(mlflow, "UPDATE params SET value = 'true' WHERE run_uuid = ? AND key = 'spectral_norm'", run_id)


def lose_a_step(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    sql(mlflow, "DELETE FROM metrics WHERE run_uuid = ? AND key = 'train_loss' AND step = 1", run_id)


def lose_a_metric(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    sql(mlflow, "DELETE FROM metrics WHERE run_uuid = ? AND key = 'final/test_loss'", run_id)
    sql(mlflow, "DELETE FROM latest_metrics WHERE run_uuid = ? AND key = 'final/test_loss'", run_id)


def log_another_value(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).log_metric(run_id, "train_loss", 77.0, step=1)


def log_a_number_for_none(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).log_metric(run_id, "final/broken", 0.0, step=0)


def log_two_values_at_once(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    (there, *_) = of(mlflow).get_metric_history(run_id, "train_loss")
    of(mlflow).log_metric(run_id, "train_loss", 77.0, timestamp=there.timestamp, step=there.step)


def change_a_tag(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).set_tag(run_id, "constraint_method", "dropout")


def leave_the_nest(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).delete_tag(run_id, "mlflow.parentRunId")


def lose_the_trial(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).delete_tag(run_id, "trial_id")


def go_on_running(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).update_run(run_id, status="RUNNING")


def fail(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).set_terminated(run_id, "FAILED")


def vanish(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    of(mlflow).delete_run(run_id)


def double(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    experiment = of(mlflow).get_run(run_id).info.experiment_id
    of(mlflow).create_run(experiment, start_time=1, tags={"trial_id": trial_id})


def lose_the_file(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    stored_file(mlflow, run_id, f"{trial_id}.safetensors").unlink()


def cut_the_file(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    stored_file(mlflow, run_id, f"{trial_id}.safetensors").write_bytes(b"x")


def rot_the_file(mlflow: MlflowServer, run_id: str, trial_id: str) -> None:
    file = stored_file(mlflow, run_id, f"{trial_id}.safetensors")
    file.write_bytes(bytes(len(file.read_bytes())))


HARMS: dict[Harm, str] = {
    lose_a_param: "param_missing",
    change_a_param: "param_differs",
    lose_a_step: "metric_missing",
    lose_a_metric: "metric_missing",
    log_another_value: "metric_differs",
    log_a_number_for_none: "metric_differs",
    log_two_values_at_once: "metric_differs",
    change_a_tag: "tag",
    leave_the_nest: "tag",
    lose_the_trial: "tag",
    go_on_running: "status",
    fail: "status",
    vanish: "run_missing",
    double: "run_duplicate",
    lose_the_file: "artifact_missing",
    cut_the_file: "artifact_differs",
    rot_the_file: "artifact_differs",
}


def test_each_disagreement_is_seen_and_mended(mlflow: MlflowServer, study: str, files: Path) -> None:
    """One trial for each harm, and one that comes to none."""
    tracking = Tracking(mlflow.local_uri)
    trials = [trial(study, pair=pair) for pair in range(len(HARMS) + 1)]
    these = Rows(
        [trial_row(one) for one in trials],
        [row for one in trials for row in metric_rows(one)],
        [artifact_row(one, files) for one in trials],
    )
    these = known_runs(these, reconciled(these, tracking))
    for row, harm in zip(these.trials, HARMS, strict=False):
        harm(mlflow, str(row.mlflow_run_id), row.trial_id)

    seen = reconciled(these, tracking, mend=False)
    by_trial: dict[str, set[str]] = {row.trial_id: set() for row in these.trials}
    for one in seen.found:
        by_trial[one.trial_id].add(one.kind)
    names = [*(harm.__name__ for harm in HARMS), "none"]
    assert dict(zip(names, by_trial.values(), strict=True)) == {
        **{harm.__name__: {kind} for harm, kind in HARMS.items()},
        "none": set(),
    }
    assert (seen.agreed_before, seen.agreed_after, seen.mended, seen.created) == (1, 1, 0, 0)
    assert seen.disagreements == seen.found

    mended = reconciled(these, tracking)
    assert (mended.agreed_before, mended.agreed_after, mended.mended) == (1, len(trials), len(HARMS))
    assert mended.disagreements == ()
    assert mended.created == 2, "that which vanished, and that with another value of a parameter"
    assert set(mended.links) == {these.trials[names.index(name)].trial_id for name in ("vanish", "change_a_param")}

    again = reconciled(known_runs(these, mended), tracking)
    assert (again.share_before, again.share, again.created, again.links) == (1.0, 1.0, 0, {})


def test_a_study_that_mlflow_never_saw_is_made_up_for_whole(
    tracking: Tracking, mlflow: MlflowServer, study: str, files: Path
) -> None:
    these = rows(study, files, ("none", "spectral_norm", "dropout"))
    done = reconciled(these, tracking)
    assert (done.trials, done.share_before, done.share, done.created, done.mended) == (3, 0.0, 1.0, 3, 3)
    assert kinds(done) == {"run_missing"}
    client = of(mlflow)
    for row in these.trials:
        run = client.get_run(done.links[row.trial_id])
        assert run.data.params["spectral_norm"] == str(row.spectral_norm).lower()
        assert run.data.tags["constraint_method"] == row.arm
        assert (run.info.status, run.info.start_time) == ("FINISHED", 1772366400000)
        assert run.info.end_time - run.info.start_time == 60_000
        assert [one.step for one in client.get_metric_history(run.info.run_id, "train_loss")] == [0, 1, 2]
        assert math.isnan(run.data.metrics["final/broken"])
        parent = client.get_run(run.data.tags["mlflow.parentRunId"])
        assert parent.data.tags["panic.parent_of"] == row.model_run_id


def test_each_state_has_its_status(tracking: Tracking, mlflow: MlflowServer, study: str, files: Path) -> None:
    statuses = {"running": "RUNNING", "failed": "FAILED", "timed_out": "FAILED", "cancelled": "KILLED"}
    these = rows(study, files, ("none", "spectral_norm", "weight_decay", "dropout"))
    trials = [replace(row, state=state) for row, state in zip(these.trials, statuses, strict=True)]
    these = replace(these, trials=trials)
    done = reconciled(these, tracking)
    assert done.share == 1.0
    found = {row.state: of(mlflow).get_run(done.links[row.trial_id]).info.status for row in these.trials}
    assert found == statuses
    assert reconciled(known_runs(these, done), tracking).share_before == 1.0


def test_a_trial_that_has_not_begun_needs_no_run(tracking: Tracking, study: str, files: Path) -> None:
    done = reconciled(rows(study, files, state="pending"), tracking)
    assert (done.trials, done.share, done.share_before, done.created) == (0, 1.0, 1.0, 0)


def test_what_mlflow_alone_knows_is_told_and_kept(
    tracking: Tracking, mlflow: MlflowServer, study: str, files: Path
) -> None:
    these = rows(study, files)
    done = reconciled(these, tracking)
    run_id = done.links[these.trials[0].trial_id]
    tracking.add_metrics(run_id, [Measured("train_loss", 0.5, 99, 1), Measured("gpu", 0.5, 0, 1)])
    done = reconciled(known_runs(these, done), tracking)
    assert [one.kind for one in done.disagreements] == ["metric_unknown"] * 2
    assert "gpu at step 0" in done.disagreements[0].detail
    assert done.share == 0.5
    assert {one.step for one in of(mlflow).get_metric_history(run_id, "train_loss")} == {0, 1, 2, 99}


def test_a_file_that_is_gone_or_another_is_told(tracking: Tracking, study: str, files: Path) -> None:
    these = rows(study, files)
    (files / f"{these.trials[0].trial_id}.safetensors").unlink()
    (files / f"{these.trials[1].trial_id}.safetensors").write_bytes(b"other")
    done = reconciled(these, tracking)
    assert [one.kind for one in done.disagreements] == ["artifact_missing"] * 2
    assert done.share == 0.0


def test_files_may_be_named_relative_to_a_folder(tracking: Tracking, study: str, files: Path) -> None:
    these = rows(study, files, ("none",))
    artifact = replace(these.artifacts[0], uri=f"files/{these.trials[0].trial_id}.safetensors")
    done = reconcile(these.trials, these.metrics, tracking, artifacts=[artifact], root=files.parent)
    assert done.share == 1.0


def test_names_and_values_that_mlflow_does_not_take_as_they_are(tracking: Tracking, study: str, files: Path) -> None:
    these = rows(study, files, parameters={"a=b": 1, "long": "x" * 10_000, "list": [1, {"deep": None}]})
    metric = replace(these.metrics[0], metric="loss (%)")
    done = reconcile(these.trials, [*these.metrics, metric], tracking, artifacts=these.artifacts)
    assert done.share == 1.0
    params = tracking.runs(study, "trial_id", these.trials[0].trial_id)[0].params
    assert params["a_b"] == "1"
    assert params["list"] == '[1, {"deep": null}]'
    assert len(params["long"]) == 6000


def test_what_mlflow_refuses_holds_up_no_other_trial(tracking: Tracking, study: str, files: Path) -> None:
    these = rows(study, files)
    bad = replace(these.metrics[0], metric="../outside")
    done = reconcile(these.trials, [*these.metrics, bad], tracking, artifacts=these.artifacts)
    assert done.agreed_after == 1
    assert {one.kind for one in done.disagreements} >= {"refused"}
    again = reconcile(these.trials, [*these.metrics, bad], tracking, artifacts=these.artifacts)
    assert (again.created, again.agreed_after) == (0, 1)


def test_an_outage_is_told_and_the_next_time_does_the_rest(mlflow: MlflowServer, study: str, files: Path) -> None:
    class Ending(Tracking):
        """A way to MLflow that sees it go down once the first measurements are there."""

        def add_metrics(self, run_id: str, measured: object) -> None:
            super().add_metrics(run_id, measured)  # type: ignore[arg-type]
            mlflow.stop()

    these = rows(study, files)
    with pytest.raises(TrackingError, match="Is it running"):
        reconciled(these, Ending(mlflow.uri))
    with pytest.raises(TrackingError, match="PANIC_MLFLOW_URL"):
        reconciled(these, mlflow.uri)
    mlflow.start()
    seen = reconciled(these, mlflow.uri, mend=False)
    assert kinds(seen) == {"run_missing", "artifact_missing", "status"}, "one trial half done, one not begun"
    done = reconciled(these, mlflow.uri)
    assert (done.share, done.created) == (1.0, 1)


def test_a_local_store_is_reconciled_alike(mlflow: MlflowServer, study: str, files: Path) -> None:
    these = rows(study, files)
    done = reconciled(these, mlflow.local_uri)
    assert done.share == 1.0
    again = reconciled(known_runs(these, done), mlflow.local_uri)
    assert (again.share_before, again.created) == (1.0, 0)
    assert list((mlflow.folder / "artifacts" / "panic" / study).rglob("*.safetensors"))


def test_more_runs_than_one_question_may_ask_for(
    tracking: Tracking, study: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reconcile", "store"):
        monkeypatch.setattr(sys.modules[f"panic_assets.studies.tracking.{module}"], "MOST_RUNS", 2)
    these = rows(study, files, ("none", "spectral_norm", "dropout"))
    done = reconciled(these, tracking)
    assert (done.trials, done.share, done.created) == (3, 1.0, 3)
    assert reconciled(known_runs(these, done), tracking, mend=False).share == 1.0
